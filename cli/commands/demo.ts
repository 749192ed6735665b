/** `nixfleet demo`: a fleet of real processes on this machine, and the story that it plays. */
import { join, resolve } from 'node:path'
import type { Context } from '../context.ts'
import { play } from '../demo/play.ts'
import { report } from '../demo/reporter.ts'
import { STEP_NAMES, type StepName, type Victim } from '../demo/steps.ts'
import { usage } from '../errors.ts'
import { type CommandInput, flagOption, textOption } from '../registry.ts'

const FOLDER = '.nixfleet-demo'
const HOSTS_DEFAULT = 5
/** Three voters of four must agree while one of them is dead, and two waves be done before a third. */
const HOSTS_MIN = 5
/** Each host is two processes of some 100 MB together. */
const HOSTS_MAX = 20
const VICTIMS: readonly Victim[] = ['entry', 'leader', 'non-voter']

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { options } = input
  const folder = resolve(context.cwd, textOption(options, 'data') ?? join(context.cwd, FOLDER))
  if (flagOption(options, 'report')) return await report(context, folder)
  const program = process.argv[1]
  if (program === undefined) throw usage('expected to be run as a program of Node')
  return await play(context, {
    folder,
    program: resolve(program),
    hosts: hostsOf(textOption(options, 'hosts')),
    steps: stepsOf(textOption(options, 'only')),
    victim: victimOf(textOption(options, 'kill')),
    script: flagOption(options, 'script'),
    keep: flagOption(options, 'keep'),
  })
}

function hostsOf(text: string | undefined): number {
  const hosts = Number(text ?? HOSTS_DEFAULT)
  if (Number.isInteger(hosts) && hosts >= HOSTS_MIN && hosts <= HOSTS_MAX) return hosts
  throw usage(`expected --hosts from ${HOSTS_MIN} to ${HOSTS_MAX}, found ${text}`)
}

function stepsOf(text: string | undefined): readonly StepName[] {
  if (text === undefined) return STEP_NAMES
  const wanted = text.split(',').map((name) => name.trim())
  const unknown = wanted.filter((name) => !STEP_NAMES.some((known) => known === name))
  if (unknown.length === 0) return STEP_NAMES.filter((name) => wanted.includes(name))
  throw usage(
    `expected steps of ${STEP_NAMES.join(', ')} after --only, found ${unknown.join(', ')}`,
  )
}

function victimOf(text: string | undefined): Victim {
  const victim = VICTIMS.find((known) => known === (text ?? 'entry'))
  if (victim !== undefined) return victim
  throw usage(`expected ${VICTIMS.join(', ')} after --kill, found ${text}`)
}
