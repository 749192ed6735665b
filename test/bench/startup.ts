/**
 * `startup`: `nixfleet status` from the bundle against a running node, beside an empty `node -e ''`.
 *
 * The two take turns within one run, so that whatever else the machine does falls on both. Wall time
 * is the median; CPU is what the kernel charged for all starts of one side together, children's
 * teardown included.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  percentile,
  program,
  round,
  target,
} from './bench.ts'
import { withFleet } from './fleet.ts'

/** Starts of each side that are not counted: the disk cache fills. */
const WARM_UP = 3
/** What the kernel counts CPU in: 10 ms. */
const TICK_MS = 10
const RATIO_MAX = 1.3

export const bench: Bench = { hosts: 1, runs: 60, run }

/** One side of the comparison. */
interface Side {
  readonly name: string
  readonly argv: readonly string[]
  readonly wallMs: number[]
  cpuMs: number
}

async function run(options: BenchOptions): Promise<BenchResult> {
  return await withFleet(options, async (fleet) => {
    const [host] = fleet.site.hosts
    if (host === undefined) throw new TypeError('expected a host')
    const side = (name: string, argv: readonly string[]): Side => ({
      ...{ name, argv, wallMs: [], cpuMs: 0 },
    })
    const empty = side('empty', ['-e', ''])
    const status = side('status', [program, 'status', '--peer', host.api])
    const version = side('version', [program, 'version'])
    const sides = [empty, status, version]
    for (let i = 0; i < WARM_UP + options.runs; i++) {
      options.signal.throwIfAborted()
      // Each side goes first as often as the others.
      for (let k = 0; k < sides.length; k++) {
        const one = sides[(i + k) % sides.length]
        if (one !== undefined) startOnce(one, i >= WARM_UP)
      }
    }
    return summarise({ empty, status, version })
  })
}

/** Starts once. Throws when it fails: a program that fails fast would look good. */
function startOnce(side: Side, counts: boolean): void {
  const cpuBefore = childrenCpuMs()
  const startedAt = performance.now()
  const { status, stderr, error } = spawnSync(process.execPath, side.argv, {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' },
    timeout: 60_000,
  })
  const wallMs = performance.now() - startedAt
  if (error !== undefined || status !== 0) {
    throw new Error(`${side.argv.join(' ')} ended with ${status ?? error?.message}: ${stderr}`)
  }
  if (!counts) return
  side.wallMs.push(wallMs)
  side.cpuMs += childrenCpuMs() - cpuBefore
}

/** CPU of all children that ended, in ms. Read often, its steps of 10 ms even out. */
function childrenCpuMs(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return TICK_MS * (Number(fields[13]) + Number(fields[14]))
}

function summarise(sides: Readonly<Record<'empty' | 'status' | 'version', Side>>): BenchResult {
  const figuresOf = (side: Side) => ({
    count: side.wallMs.length,
    wallMs: round(percentile(side.wallMs, 0.5)),
    wallBestMs: round(percentile(side.wallMs, 0)),
    cpuMs: round(side.cpuMs / side.wallMs.length),
  })
  const empty = figuresOf(sides.empty)
  const status = figuresOf(sides.status)
  const version = figuresOf(sides.version)
  const wallRatio = round(status.wallMs / empty.wallMs)
  const cpuRatio = round(status.cpuMs / empty.cpuMs)
  return {
    figures: { empty, status, version, wallRatio, cpuRatio },
    targets: [
      target('status against an empty start, wall', RATIO_MAX, wallRatio),
      target('status against an empty start, CPU', RATIO_MAX, cpuRatio),
    ],
    commands: Object.values(sides).map((side) => commandLine(side.argv)),
    notes: ['CPU is of the process alone: what the node that answers spends is not in it'],
    lines: Object.entries({ empty, status, version }).map(
      ([name, { wallMs, wallBestMs, cpuMs, count }]) =>
        `${name.padEnd(8)} ${wallMs} ms wall median (best ${wallBestMs}), ${cpuMs} ms CPU mean of ${count}`,
    ),
    raw: Object.values(sides).map(({ name, wallMs, cpuMs }) => ({
      name,
      cpuMs,
      wallMs: wallMs.map(round),
    })),
  }
}

function commandLine(argv: readonly string[]): string {
  return [process.execPath, ...argv.map((word) => (word === '' ? "''" : word))].join(' ')
}
