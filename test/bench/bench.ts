/** What a benchmark is, and what every one of them tells besides its figures. */
import { execFileSync } from 'node:child_process'
import { availableParallelism, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'

/** The root of the repository. */
export const repository: string = fileURLToPath(new URL('../..', import.meta.url))
/** The bundled program, which `npm run bench` has just built. */
export const program: string = fileURLToPath(new URL('../../dist/nixfleet.cjs', import.meta.url))

/** What was asked for on the command line. */
export interface BenchOptions {
  readonly hosts: number
  readonly runs: number
  /** Size of what is moved, in MiB, where something is. */
  readonly mib: number
  /** Facts of the log, where there is one. */
  readonly facts: number
  /** Each host's line, as tc writes a rate, where lines are bounded. */
  readonly uplink: string
  /** One line of progress, for stderr. */
  readonly tell: (line: string) => void
  /** Aborts when the benchmark has to stop: cleaning up is all that may still happen. */
  readonly signal: AbortSignal
}

/** A promise of the product that a figure keeps or breaks. */
export interface Target {
  readonly name: string
  /** One of the two bounds. */
  readonly atMost?: number
  readonly atLeast?: number
  readonly found: number
  readonly met: boolean
}

/** What a benchmark found. */
export interface BenchResult {
  /** The kind of the report that `--json` ends with, BenchReport by default. */
  readonly kind?: string
  /** Figures that stand in the report itself. */
  readonly top?: Readonly<Record<string, number>>
  /** The figures by name, with the unit last in each name. */
  readonly figures: Readonly<Record<string, unknown>>
  readonly targets: readonly Target[]
  /** What was run: each side's whole command line. */
  readonly commands: readonly string[]
  /** What a reader has to know to judge the figures. */
  readonly notes: readonly string[]
  /** The lines to print. */
  readonly lines: readonly string[]
  /** Everything that was measured, one entry a run. */
  readonly raw: unknown
}

/** One benchmark. */
export interface Bench {
  readonly hosts: number
  readonly runs: number
  /** MiB that are moved when nobody says, where something is. */
  readonly mib?: number
  /** Facts of the log when nobody says, where there is one: its figures are then named after them. */
  readonly facts?: number
  readonly run: (options: BenchOptions) => Promise<BenchResult>
}

/** What else the machine was doing: the kernel's load averages over 1, 5 and 15 minutes. */
export interface Load {
  readonly average: readonly number[]
  readonly cpus: number
}

/** The machine's load now. */
export function loadNow(): Load {
  const average = loadavg().map((value) => Math.round(value * 100) / 100)
  return { average, cpus: availableParallelism() }
}

/** The commit that is measured; `+` behind it when tracked files differ from it. */
export function commitNow(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: repository, encoding: 'utf8' }).trim()
  try {
    const changed = git('status', '--porcelain', '--untracked-files=no') !== ''
    return `${git('rev-parse', 'HEAD')}${changed ? '+' : ''}`
  } catch {
    return 'unknown'
  }
}

/** A target with its verdict. */
export function target(name: string, atMost: number, found: number): Target {
  return { name, atMost, found, met: found <= atMost }
}

/** A target that a figure must reach, with its verdict. */
export function floor(name: string, atLeast: number, found: number): Target {
  return { name, atLeast, found, met: found >= atLeast }
}

/**
 * The value below which `share` (0 to 1) of the values lie: the smallest that at least that share does
 * not exceed. Throws RangeError without values: a percentile of nothing would look like a good one.
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const found = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
  if (found === undefined) throw new RangeError('expected values, found none')
  return found
}

/** How values spread: their count, median, 99th percentile and greatest. */
export interface Spread {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** The spread of values. Throws RangeError when there are none. */
export function spreadOf(values: readonly number[]): Spread {
  const at = (share: number): number => round(percentile(values, share))
  return { count: values.length, p50: at(0.5), p99: at(0.99), max: at(1) }
}

/** A number with at most three digits behind the point. */
export function round(value: number): number {
  return Math.round(value * 1000) / 1000
}

/** Waits, and gives up at once when the benchmark has to stop. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal.addEventListener('abort', stop, { once: true })
  })
}

/** Waits until `holds` does. Throws Error when that takes longer than `withinMs`. */
export async function until(
  what: string,
  holds: () => Promise<boolean>,
  { withinMs, everyMs, signal }: { withinMs: number; everyMs: number; signal: AbortSignal },
): Promise<void> {
  const giveUp = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > giveUp) {
      throw new Error(`expected within ${withinMs / 1000} s: ${what}`)
    }
    await pause(everyMs, signal)
  }
}
