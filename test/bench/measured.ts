/** A run of the shipped program in a process of its own: how long, how much memory, how much CPU. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type BenchOptions, program } from './bench.ts'

const PEAK = fileURLToPath(new URL('./peak-memory.mjs', import.meta.url))

/** What one run took. */
export interface Measured {
  readonly seconds: number
  readonly cpuSeconds: number
  /** The most memory that it had at once (VmHWM), in MB of 1,000,000 bytes. */
  readonly peakMb: number
}

/** Runs `nixfleet …words`; `taken` gets its stdout piece by piece. Throws unless it ends well. */
export async function measureProgram(
  words: readonly string[],
  taken: (piece: Buffer) => void,
  signal: AbortSignal,
): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'nixfleet-peak-'))
  const file = join(folder, 'peak.json')
  try {
    const startedAt = performance.now()
    const child = spawn(process.execPath, ['--import', PEAK, program, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NIXFLEET_BENCH_PEAK: file },
      signal,
    })
    child.stdout.on('data', taken)
    const [code] = (await once(child, 'close')) as [number | null]
    const seconds = (performance.now() - startedAt) / 1000
    if (code !== 0)
      throw new Error(`expected nixfleet ${words[0]} ${words[1]} to end well: ${code}`)
    const peak = JSON.parse(readFileSync(file, 'utf8')) as { peakKb: number; cpuSeconds: number }
    if (!(peak.peakKb > 0)) throw new Error('expected a peak of memory, found none')
    return { seconds, cpuSeconds: peak.cpuSeconds, peakMb: (peak.peakKb * 1024) / 1e6 }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Bytes on the disk of one fact, its signature, its share of tiles, blocks and checkpoints, with room. */
const BYTES_PER_FACT = 1500

/** A folder for logs of `facts` facts together, gone when `use` is done. Throws when the disk has no room. */
export async function withRoom<T>(
  { facts, tell }: { facts: number } & Pick<BenchOptions, 'tell'>,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const { bavail, bsize } = statfsSync(tmpdir())
  const needed = facts * BYTES_PER_FACT
  if (bavail * bsize < 2 * needed)
    throw new Error(`expected ${2 * needed} bytes free in ${tmpdir()}`)
  const folder = mkdtempSync(join(tmpdir(), 'nixfleet-log-'))
  try {
    return await use(folder)
  } finally {
    tell('removing the logs')
    rmSync(folder, { recursive: true, force: true })
  }
}
