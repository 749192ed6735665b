/** The command line of the simulator. */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { FAULTS, type Fault, isFault } from './faults/kinds.ts'
import { PACES, type Pace } from './scenario.ts'

export const HELP = `usage: npm run simulate -- [options]

Plays whole fleets of the shipped daemon in one thread and virtual time, one for each seed, with a
random set of faults and liars, and checks the invariants S1-S18 and L1-L8 of the protocol.

  --seeds N           how many seeds (default 20)
  --minutes M         as many seeds as fit into M minutes; with --seeds, whichever ends first. Says at
                      the end which seed comes next
  --from S            the first seed (default 1): a run can be taken up where it ended
  --seed S            only this seed
  --trace             with --seed: print every event (virtual ms, host, event)
  --hosts H           every fleet has H hosts; default 1 to 7, as the seed says
  --pace P            ${PACES.join(', ')}: the group's timing; default as the seed says
  --only F,F          switch on exactly these faults ("none": no fault); default as the seed says
  --rollout           no fault, and one canary rollout as nixfleet deploy plans it by default; 7 hosts and
                      production pace unless said otherwise: how much faster than life it runs
  --scenario FILE     play a kept scenario (test/simulation/regressions/*.json)
  --shrink            make a failing scenario smaller before it is reported, and print it
  --keep DIR          with --shrink: write it there as a regression
  --stop-at-first     end at the first violation
  --cover N           fail unless every fault and decision occurred N times; with --minutes only if the
                      machine was quick enough for 500 seeds
  --jobs J            processes (default 1; with --minutes one for each core)
  --json              one SimulationReport on stdout

faults: ${FAULTS.join(' ')}

Exit code 0: no violation. 1: a violation, or a run that saw nothing. 64: a bad option.
`

export interface Options {
  readonly seeds: number | undefined
  readonly minutes: number | undefined
  readonly from: number
  readonly step: number
  readonly trace: boolean
  readonly hosts: number | undefined
  readonly pace: Pace | undefined
  readonly only: readonly Fault[] | undefined
  readonly rollout: boolean
  readonly scenario: string | undefined
  readonly shrink: boolean
  readonly keep: string | undefined
  readonly stopAtFirst: boolean
  readonly cover: number
  readonly jobs: number
  readonly json: boolean
  readonly help: boolean
}

const SEEDS = 20
const HOSTS_MAX = 250
const ROLLOUT_HOSTS = 7

/** Reads the arguments. Throws RangeError or TypeError with what was expected. */
export function readOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      ...text('seeds', 'minutes', 'from', 'seed', 'hosts', 'pace', 'only', 'scenario'),
      ...text('keep', 'cover', 'jobs', 'step'),
      ...flag('trace', 'shrink', 'stop-at-first', 'rollout', 'json', 'help'),
    },
  })
  const number = (name: string, most = Number.MAX_SAFE_INTEGER): number | undefined =>
    typeof values[name] === 'string' ? count(`--${name}`, values[name], most) : undefined
  const word = (name: string): string | undefined =>
    typeof values[name] === 'string' ? values[name] : undefined
  const rollout = values['rollout'] === true
  const seed = number('seed')
  const minutes = number('minutes')
  const seeds = seed === undefined ? number('seeds') : 1
  return {
    seeds: seeds ?? (minutes === undefined ? (rollout ? 1 : SEEDS) : undefined),
    minutes,
    from: seed ?? number('from') ?? 1,
    step: number('step') ?? 1,
    trace: values['trace'] === true,
    hosts: number('hosts', HOSTS_MAX) ?? (rollout ? ROLLOUT_HOSTS : undefined),
    pace: paceOf(word('pace')) ?? (rollout ? 'production' : undefined),
    rollout,
    only: faultsOf(word('only')),
    scenario: word('scenario'),
    shrink: values['shrink'] === true,
    keep: word('keep'),
    stopAtFirst: values['stop-at-first'] === true,
    cover: number('cover') ?? 0,
    jobs: number('jobs') ?? (minutes === undefined ? 1 : availableParallelism()),
    json: values['json'] === true,
    help: values['help'] === true,
  }
}

function text(...names: readonly string[]): Record<string, { type: 'string' }> {
  return Object.fromEntries(names.map((name) => [name, { type: 'string' }]))
}

function flag(...names: readonly string[]): Record<string, { type: 'boolean' }> {
  return Object.fromEntries(names.map((name) => [name, { type: 'boolean' }]))
}

function count(option: string, text: string, most: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new RangeError(`expected a number from 1 to ${most} after ${option}, found ${text}`)
}

function paceOf(text: string | undefined): Pace | undefined {
  const pace = PACES.find((one) => one === text)
  if (text === undefined || pace !== undefined) return pace
  throw new RangeError(`expected one of ${PACES.join(', ')} after --pace, found ${text}`)
}

function faultsOf(text: string | undefined): readonly Fault[] | undefined {
  if (text === undefined) return undefined
  if (text === 'none') return []
  return text.split(',').map((name) => {
    if (isFault(name)) return name
    throw new RangeError(`expected a fault after --only, found ${name}; --help lists them`)
  })
}
