/**
 * A few seconds with the built program under whatever Node runs this file: `node test/smoke.mjs`.
 * It shows that the bundle starts there; the suites show that it works.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../dist/nixfleet.cjs', import.meta.url))
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const failures = []

const help = check(['help'], (out) => out.includes('deploy') || 'expected the command deploy in it')
check(['version'], (out) => out.includes(version) || `expected ${version} in it`)
// The demo is tried as soon as the program offers one.
if (/\bdemo\b/.test(help)) check(['demo', '--script', '--json'], endsWithReport, 240_000)

console.log(`Node ${process.versions.node}: ${failures.length === 0 ? 'passed' : 'failed'}`)
process.exitCode = failures.length === 0 ? 0 : 1

function check(args, judge, timeout = 20_000) {
  const run = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', timeout })
  const status = run.error?.message ?? run.signal ?? run.status
  const verdict = status === 0 ? judge(run.stdout) : `expected exit 0, found ${status}`
  console.log(`  nixfleet ${args.join(' ')}: ${verdict === true ? 'ok' : verdict}`)
  if (verdict !== true) {
    failures.push(args)
    console.log(`${run.stdout ?? ''}${run.stderr ?? ''}`.replace(/^/gm, '    '))
  }
  return run.stdout ?? ''
}

function endsWithReport(out) {
  const last = out.trimEnd().split('\n').at(-1) ?? ''
  try {
    return typeof JSON.parse(last) === 'object' || 'expected an object in the last line'
  } catch {
    return `expected JSON in the last line, found ${last.slice(0, 80)}`
  }
}
