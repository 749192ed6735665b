/**
 * `audit`: `nixfleet audit verify` over a long pull, beside Ed25519 alone with as many threads.
 *
 * The two take turns, so that whatever else the machine does falls on both. Both are counted in signatures
 * a second: a verification checks those of facts, and of blocks, votes and cosignatures beside them.
 */
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  floor,
  percentile,
  program,
  round,
  target,
} from './bench.ts'
import { type LongLog, writeLongLog } from './long-log.ts'
import { type Measured, measureProgram, withRoom } from './measured.ts'

const NATIVE = fileURLToPath(new URL('./native-verify.mjs', import.meta.url))
/** How long Ed25519 alone runs before and after each verification. */
const NATIVE_SECONDS = 4
const RATIO_MIN = 0.6
/** What `audit verify` may need at most, whatever the log holds: see docs/auditor-guide.md. */
const PEAK_MB_MAX = 600

export const bench: Bench = { hosts: 250, runs: 3, facts: 200_000, run }

interface Native {
  readonly perSecond: number
  readonly verified: number
  readonly cpuSeconds: number
}

/** One verification and Ed25519 alone before and after it. */
interface Turn extends Measured {
  readonly before: Native
  readonly after: Native
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const { facts, tell, signal } = options
  return await withRoom(options, async (folder) => {
    const pull = join(folder, 'pull')
    tell(`signing ${facts} facts of ${options.hosts} hosts`)
    const log = writeLongLog(pull, options)
    const bytes = Number(/^\d+/.exec(execFileSync('du', ['-s', '--block-size=1', pull]).toString()))
    const threads = availableParallelism()
    const words = ['audit', 'verify', pull, '--root-hash', log.rootHash, '--json']
    const native = [process.execPath, NATIVE, pull, String(threads), String(NATIVE_SECONDS)]
    const turns: Turn[] = []
    for (let i = 0; i < options.runs; i++) {
      signal.throwIfAborted()
      const before = verifyNatively(native)
      const measured = await verify(words, log, signal)
      turns.push({ ...measured, before, after: verifyNatively(native) })
      tell(
        `run ${i + 1} of ${options.runs}: ${Math.round(facts / measured.seconds)} facts a second`,
      )
    }
    const commands = [[process.execPath, program, ...words], native]
    return summarise({ log, pull, bytes, threads, turns, commands })
  })
}

/** Throws unless the pull is clean and every fact of it was verified: a program that looks away is quick. */
async function verify(
  words: readonly string[],
  log: LongLog,
  signal: AbortSignal,
): Promise<Measured> {
  const pieces: Buffer[] = []
  const measured = await measureProgram(words, (piece) => pieces.push(piece), signal)
  const { clean, pulls } = JSON.parse(Buffer.concat(pieces).toString()) as {
    clean: boolean
    pulls: readonly { verdict: { facts: number; blocks: number } | null }[]
  }
  const verdict = pulls[0]?.verdict
  if (clean && verdict?.facts === log.facts && verdict.blocks === log.blocks) return measured
  throw new Error(
    `expected a clean verdict on ${log.facts} facts, found ${JSON.stringify(verdict)}`,
  )
}

function verifyNatively([node = '', ...args]: readonly string[]): Native {
  return JSON.parse(execFileSync(node, args).toString()) as Native
}

function summarise(found: {
  log: LongLog
  pull: string
  bytes: number
  threads: number
  turns: readonly Turn[]
  commands: readonly (readonly string[])[]
}): BenchResult {
  const { log, pull, bytes, threads, turns, commands } = found
  const each = turns.map(({ before, after, ...measured }) => {
    const native = (before.perSecond + after.perSecond) / 2
    const factsPerSecond = log.facts / measured.seconds
    const signaturesPerSecond = log.signatures / measured.seconds
    const nativeCpu = (before.cpuSeconds + after.cpuSeconds) / (before.verified + after.verified)
    return {
      ...measured,
      native,
      factsPerSecond,
      signaturesPerSecond,
      ratio: signaturesPerSecond / native,
      cpuRatio: nativeCpu / (measured.cpuSeconds / log.signatures),
    }
  })
  const median = (of: (one: (typeof each)[number]) => number): number =>
    round(percentile(each.map(of), 0.5))
  const ratio = median((one) => one.ratio)
  const cpuRatio = median((one) => one.cpuRatio)
  const peakMb = round(Math.max(...each.map((one) => one.peakMb)))
  const figures = {
    ...{ threads, facts: log.facts, blocks: log.blocks, signatures: log.signatures },
    pullMb: Math.round(bytes / 1e6),
    seconds: median((one) => one.seconds),
    factsPerSecond: Math.round(median((one) => one.factsPerSecond)),
    signaturesPerSecond: Math.round(median((one) => one.signaturesPerSecond)),
    nativePerSecond: Math.round(median((one) => one.native)),
    ...{ ratio, cpuRatio, peakMb },
  }
  return {
    figures,
    targets: [
      floor('signatures a second against Ed25519 alone, as many threads', RATIO_MIN, ratio),
      target('peak memory of the verifier, MB', PEAK_MB_MAX, peakMb),
    ],
    commands: commands.map((words) =>
      words.map((word) => (word === pull ? 'PULL' : word)).join(' '),
    ),
    notes: [
      'signatures: of facts, blocks, votes in certificates, and cosignatures of checkpoints',
      'by processor time: seconds of it a signature, Ed25519 alone against the whole program',
      'MB are 1,000,000 bytes; peak memory is VmHWM of the whole process',
    ],
    lines: [
      `verify   ${figures.signaturesPerSecond} signatures (${figures.factsPerSecond} facts) a second with ${threads} threads: ${log.facts} facts and ${log.blocks} blocks in ${figures.seconds} s`,
      `Ed25519  ${figures.nativePerSecond} signatures a second with ${threads} threads`,
      `ratio    ${ratio} by the clock, ${cpuRatio} by processor time`,
      `memory   ${peakMb} MB at its peak, for a pull of ${figures.pullMb} MB`,
    ],
    raw: turns,
  }
}
