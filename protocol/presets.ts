/**
 * The timing presets: `production` is what the design was calculated for, `demo` is the same shape
 * made short enough to watch, `test` is for virtual clocks (SPEC §4.3).
 */
import type { Timing } from './group-config.ts'

/** Probes every 5 s, failure seen within 18 s, leases of a minute. */
export const PRODUCTION: Timing = {
  preset: 'production',
  probeMs: 5_000,
  failRounds: 3,
  windowMs: 30_000,
  leaseMs: 60_000,
  activateMs: 120_000,
  viewMs: 2_000,
  viewMsMax: 60_000,
  anchorMs: 3_600_000,
}

/** Ten times faster, for a fleet on one machine that somebody watches. */
export const DEMO: Timing = {
  preset: 'demo',
  probeMs: 500,
  failRounds: 3,
  windowMs: 1_000,
  leaseMs: 10_000,
  activateMs: 10_000,
  viewMs: 1_000,
  viewMsMax: 8_000,
  anchorMs: 60_000,
}

export const PRESETS: Readonly<Record<string, Timing>> = { production: PRODUCTION, demo: DEMO }
