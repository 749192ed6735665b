/**
 * `npm run bench -- <name> [--hosts N] [--runs R] [--json]`: measures, prints, and writes what it
 * measured to `docs/figures/<name>-<hosts or facts>.json`, with commit and load. Nothing ever reads that
 * file.
 *
 * Progress goes to stderr. With `--json` the last line of stdout is one object. Exit code 2 when a
 * promised bound was missed, 1 when nothing could be measured.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Bench, commitNow, loadNow, repository } from './bench.ts'

const BENCHES: Readonly<Record<string, () => Promise<{ bench: Bench }>>> = {
  rollback: () => import('./rollback.ts'),
  propagation: () => import('./propagation.ts'),
  startup: () => import('./startup.ts'),
  footprint: () => import('./footprint.ts'),
  swarm: () => import('./swarm.ts'),
  substituter: () => import('./substituter.ts'),
  revocation: () => import('./revocation.ts'),
  audit: () => import('./audit.ts'),
  export: () => import('./export.ts'),
}
const HOSTS_MAX = 250
const RUNS_MAX = 1000
const MIB_MAX = 4096
const FACTS_MAX = 10_000_000

process.exitCode = await main(process.argv.slice(2))

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      hosts: { type: 'string' },
      nodes: { type: 'string' },
      runs: { type: 'string' },
      mib: { type: 'string' },
      facts: { type: 'string' },
      uplink: { type: 'string', default: '50mbit' },
      json: { type: 'boolean', default: false },
    },
  })
  const [name = ''] = positionals
  const load = BENCHES[name]
  if (load === undefined || positionals.length > 1) {
    tell(
      `usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [--hosts|--nodes N] [--runs R] [--mib M] [--facts F] [--uplink RATE] [--json]`,
    )
    return 64
  }
  const { bench } = await load()
  const hosts = count('--hosts', values.hosts ?? values.nodes ?? String(bench.hosts), HOSTS_MAX)
  const runs = count('--runs', values.runs ?? String(bench.runs), RUNS_MAX)
  const mib = count('--mib', values.mib ?? String(bench.mib ?? 1), MIB_MAX)
  const facts = count('--facts', values.facts ?? String(bench.facts ?? 1), FACTS_MAX)
  const { uplink, json } = values
  return await measure({ name, bench, hosts, runs, mib, facts, uplink, json })
}

async function measure(input: {
  name: string
  bench: Bench
  hosts: number
  runs: number
  mib: number
  facts: number
  uplink: string
  json: boolean
}): Promise<number> {
  const { name, bench, hosts, runs, mib, facts, uplink, json } = input
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stop.abort(new Error(`stopped by ${signal}`)))
  }
  const before = loadNow()
  const startedAt = Date.now()
  const commit = commitNow()
  const asked = { hosts, runs, mib, facts, uplink }
  const found = await bench.run({ ...asked, tell, signal: stop.signal })
  const { lines, raw, kind = 'BenchReport', top = {}, ...result } = found
  const report = {
    kind,
    apiVersion: 'nixfleet/v1',
    name,
    hosts,
    runs,
    ...(bench.facts === undefined ? {} : { facts }),
    ...top,
    ...result,
    load: { before, after: loadNow() },
    seconds: Math.round((Date.now() - startedAt) / 1000),
    commit,
    node: process.versions.node,
  }
  const file = writeRaw({ ...report, raw })
  for (const line of lines) print(line)
  for (const { name, atMost, atLeast, found, met } of result.targets) {
    const bound = atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`
    print(`${met ? 'met   ' : 'MISSED'}   ${name}: ${found}, ${bound}`)
  }
  for (const command of result.commands) print(`ran      ${command}`)
  for (const note of result.notes) print(`note     ${note}`)
  const { average, cpus } = report.load.after
  print(`load     ${average.join(' ')} on ${cpus} CPUs, Node ${report.node}, commit ${commit}`)
  tell(`raw figures: ${file}`)
  if (json) print(JSON.stringify(report))
  return result.targets.every((one) => one.met) ? 0 : 2
}

function writeRaw(report: {
  readonly name: string
  readonly hosts: number
  readonly facts?: number
  readonly raw: unknown
}): string {
  const folder = join(repository, 'docs', 'figures')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${report.name}-${report.facts ?? report.hosts}.json`)
  // Where this checkout lies is nobody's business.
  const text = JSON.stringify(report, null, 1).replaceAll(`${process.cwd()}/`, '')
  writeFileSync(file, `${text}\n`)
  return file
}

function count(option: string, text: string, most: number): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new RangeError(`expected a number from 1 to ${most} after ${option}, found ${text}`)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function tell(line: string): void {
  process.stderr.write(`${line}\n`)
}
