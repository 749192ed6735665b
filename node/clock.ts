/**
 * The real clock and the real randomness.
 *
 * Leases and deadlines must not outlive a suspend, so `bootMs` is CLOCK_BOOTTIME. Node has no call
 * for it: `process.hrtime` is CLOCK_MONOTONIC, which stands still in a suspend, and `os.uptime` is
 * the boot clock cut to 10 ms. Their difference only grows, by a suspend or towards its true value,
 * so the largest difference seen plus hrtime is the boot clock, fine-grained and never backwards.
 */
import { randomBytes } from 'node:crypto'
import { uptime } from 'node:os'
import type { Cancel, Clock, Random } from './ports.ts'

/**
 * The longest single wait. Timers run on the clock that a suspend stops, so a long one is cut into
 * steps and asks `bootMs` again after each: it is late by at most one step.
 */
const STEP_MS_MAX = 5_000

/** The two readings behind the boot clock; other ones in tests. */
export interface ClockSources {
  /** ms of a clock that may stand still in a suspend. */
  monotonicMs(): number
  /** ms since boot, suspend included, possibly coarse. */
  uptimeMs(): number
}

const SYSTEM: ClockSources = {
  monotonicMs: () => Number(process.hrtime.bigint() / 1000n) / 1000,
  uptimeMs: () => uptime() * 1000,
}

/** The machine's clock. */
export function systemClock(sources: ClockSources = SYSTEM): Clock {
  let aheadMs = Number.NEGATIVE_INFINITY
  const bootMs = (): number => {
    const monotonic = sources.monotonicMs()
    aheadMs = Math.max(aheadMs, sources.uptimeMs() - monotonic)
    return monotonic + aheadMs
  }
  return {
    bootMs,
    wallMs: () => Date.now(),
    after: (ms, run) => startTimer(bootMs, ms, run),
  }
}

function startTimer(bootMs: () => number, ms: number, run: () => void): Cancel {
  const dueMs = bootMs() + Math.max(0, ms)
  let timer: NodeJS.Timeout | undefined
  const wait = (): void => {
    const leftMs = dueMs - bootMs()
    if (leftMs <= 0) run()
    else timer = setTimeout(wait, Math.min(Math.ceil(leftMs), STEP_MS_MAX))
  }
  timer = setTimeout(wait, Math.min(Math.ceil(Math.max(0, ms)), STEP_MS_MAX))
  return () => clearTimeout(timer)
}

/** The machine's cryptographic randomness. */
export function systemRandom(): Random {
  return { bytes: (count) => new Uint8Array(randomBytes(count)) }
}

/** A clock of whole milliseconds: the wire knows no other, and every machine counts in them. */
export function wholeMs(clock: Clock): Clock {
  return {
    bootMs: () => Math.floor(clock.bootMs()),
    wallMs: () => Math.floor(clock.wallMs()),
    after: (ms, run) => clock.after(ms, run),
  }
}
