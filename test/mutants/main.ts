/**
 * `npm run mutants`: breaks one rule of the protocol after the other in a copy of the shipped source,
 * and sees whether the ordinary checks notice.
 *
 * The table goes to stderr with `--json`, and the report is the last line of stdout. Exit code 1 when
 * a mutant survives, does not apply, or is caught by a check that fails without it; 64 for a wrong call.
 */
import '../../node/shims.ts'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { MUTANTS } from './catalogue.ts'
import { hunt, type Verdict } from './hunt.ts'
import type { Mutant } from './mutant.ts'

const HELP = `usage: npm run mutants -- [options]

Breaks one rule of the protocol after the other in a copy of the shipped source, and runs the ordinary
\`npm run explore\` and \`npm run simulate\` on it: they have to find it, and to pass without it.

  --only NAME,...   only these mutants
  --third K/N       every Nth of them, from the Kth on (1/3, 2/3, 3/3)
  --list            print names and rules, break nothing
  --jobs J          workers, each with a copy of its own (default: one for each core)
  --json            a MutantReport as the last line of stdout

Exit code 0: all were caught. 1: one survived, or proves nothing. 64: a bad option.
`

interface Call {
  readonly mutants: readonly Mutant[]
  readonly list: boolean
  readonly jobs: number
  readonly json: boolean
}

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  let call: Call | undefined
  try {
    call = read(argv)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${HELP}`)
    return 64
  }
  if (call === undefined) {
    process.stdout.write(HELP)
    return 0
  }
  const { mutants, list, jobs, json } = call
  const say = (line: string): void => {
    process[json ? 'stderr' : 'stdout'].write(`${line}\n`)
  }
  if (list) {
    for (const { name, rule } of mutants) say(`${name.padEnd(36)} ${rule}`)
    return 0
  }
  let done = 0
  const verdicts = await hunt(mutants, jobs, (verdict) => {
    say(`${String(++done).padStart(3)}/${mutants.length} ${lineOf(verdict)}`)
  })
  const survivors = verdicts.filter(({ caughtBy }) => caughtBy === null)
  say(`${verdicts.length} mutants, ${verdicts.length - survivors.length} caught`)
  if (json) {
    const told = verdicts.map(({ name, rule, caughtBy, seeds }) => ({
      name,
      rule,
      caughtBy,
      seeds,
    }))
    process.stdout.write(`${JSON.stringify({ kind: 'MutantReport', mutants: told })}\n`)
  }
  return verdicts.length > 0 && survivors.length === 0 ? 0 : 1
}

function lineOf({ name, rule, caughtBy, seeds, seconds, problem }: Verdict): string {
  const verdict = caughtBy ?? (problem === undefined ? 'SURVIVES' : 'NOTHING SHOWN')
  const line = `${verdict.padEnd(4)} after ${seeds}  ${`${seconds.toFixed(0)}s`.padStart(4)}  ${name}`
  return problem === undefined ? `${line}: ${rule}` : `${line}: ${problem}`
}

function read(argv: readonly string[]): Call | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
      third: { type: 'string' },
      list: { type: 'boolean', default: false },
      jobs: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const jobs = Number(values.jobs ?? availableParallelism())
  if (!Number.isSafeInteger(jobs) || jobs < 1) {
    throw new RangeError(`expected --jobs to be a number from 1, found ${values.jobs}`)
  }
  const mutants = part(chosen(values.only), values.third)
  if (mutants.length === 0) throw new RangeError('expected at least one mutant, found none')
  return { mutants, list: values.list, jobs, json: values.json }
}

function chosen(only: string | undefined): readonly Mutant[] {
  if (only === undefined) return MUTANTS
  return only.split(',').map((name) => {
    const found = MUTANTS.find((one) => one.name === name)
    if (found === undefined) {
      throw new RangeError(`expected a mutant after --only, found ${name}; --list names them`)
    }
    return found
  })
}

function part(mutants: readonly Mutant[], share: string | undefined): readonly Mutant[] {
  if (share === undefined) return mutants
  const [, first, every] = /^([1-9])\/([1-9])$/.exec(share) ?? []
  const [from, of] = [Number(first), Number(every)]
  if (!(from <= of)) throw new RangeError(`expected --third as 1/3, 2/3 or 3/3, found ${share}`)
  return mutants.filter((_, i) => i % of === from - 1)
}
