/**
 * `npm run model -- [NAME]`: checks the Promela models with Spin and prints a table.
 *
 * Exit code 1 unless every verdict is the expected one; a search that hit a bound is never a success.
 */
import { RUNS } from './runs.ts'
import { check, type ModelResult, missingTool } from './spin.ts'

process.exitCode = main(process.argv[2])

function main(named: string | undefined): number {
  const missing = missingTool()
  if (missing !== undefined) {
    process.stderr.write(`expected ${missing} in PATH, found none: install spin and gcc\n`)
    return 1
  }
  const runs = RUNS.filter((run) => run.name.includes(named ?? ''))
  if (runs.length === 0) {
    process.stderr.write(`expected a run, found none called ${named}\n`)
    return 64
  }
  const results = runs.map((run) => {
    const result = check(run)
    process.stdout.write(`${lineOf(result)}\n`)
    return result
  })
  const wrong = results.filter((one) => one.found !== one.expected).length
  process.stdout.write(`${results.length - wrong} as expected, ${wrong} not\n`)
  return wrong === 0 ? 0 : 1
}

function lineOf({ name, expected, found, states, seconds, why }: ModelResult): string {
  const verdict = found === 'truncated' ? 'NOT EXHAUSTIVE' : found
  const columns = [
    found === expected ? 'ok ' : 'NOT',
    name.padEnd(58),
    String(states).padStart(9),
    `${seconds.toFixed(1)}s`.padStart(7),
    ` ${verdict} (${why})`,
  ]
  return columns.join(' ')
}
