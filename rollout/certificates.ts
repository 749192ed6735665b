/**
 * What enough observers saw: failure and health, as thresholds over grow-only sets (SPEC §11).
 *
 * Both only ever become true: more attestations add witnesses and windows, none takes one away. A
 * FAIL stands whatever the same observer says of the window besides; each counts for its own
 * certificate, or else learning of one could take back the other. ABSTAIN counts for nothing. No
 * member has a vote about itself: the draw never names a host as its own observer, and the fold drops
 * what a host attests of itself.
 */
import type { KeyId, StorePath } from '../protocol/index.ts'
import type { RoundRecord, WindowAttest } from './fleet-view.ts'

/** The assigned observers, by fact key, that attested FAIL in any window of the round. */
export function failureWitnesses(
  round: RoundRecord,
  observerKeys: readonly KeyId[],
): readonly KeyId[] {
  return distinct(observerKeys).filter((key) =>
    windowsOf(round, key).some((window) => window.subject.verdict === 'fail'),
  )
}

/**
 * Whether the failure certificate is complete: `needed` distinct observers attested FAIL.
 * Never, when `needed` is 0: nobody watches, so nobody proves.
 */
export function isFailedByPeers(input: {
  readonly round: RoundRecord
  readonly observerKeys: readonly KeyId[]
  readonly needed: number
}): boolean {
  return reaches(failureWitnesses(input.round, input.observerKeys).length, input.needed)
}

/**
 * Whether the health certificates cover the soak: `needed` distinct observers each attested OK over
 * windows that sum to `soakMs` or more, all of `generation` and of one boot.
 *
 * `boot` is the boot that must be covered; without it any one boot will do, the same for all
 * witnesses. Never, when `needed` is 0: a host without observers soaks by its own clock.
 */
export function soakedByPeers(input: {
  readonly round: RoundRecord
  readonly observerKeys: readonly KeyId[]
  readonly soakMs: number
  readonly generation: StorePath
  readonly boot?: string | undefined
  readonly needed: number
}): boolean {
  const witnesses = new Map<string, number>()
  for (const key of distinct(input.observerKeys)) {
    for (const [boot, elapsedMs] of healthyMsByBoot(
      windowsOf(input.round, key),
      input.generation,
    )) {
      if (elapsedMs >= input.soakMs) witnesses.set(boot, (witnesses.get(boot) ?? 0) + 1)
    }
  }
  const counts =
    input.boot === undefined ? [...witnesses.values()] : [witnesses.get(input.boot) ?? 0]
  return counts.some((count) => reaches(count, input.needed))
}

function healthyMsByBoot(
  windows: readonly WindowAttest[],
  generation: StorePath,
): ReadonlyMap<string, number> {
  const sums = new Map<string, number>()
  for (const { subject } of windows) {
    if (subject.verdict !== 'ok' || subject.generation !== generation) continue
    sums.set(subject.boot, (sums.get(subject.boot) ?? 0) + subject.elapsedMs)
  }
  return sums
}

function windowsOf(round: RoundRecord, key: KeyId): readonly WindowAttest[] {
  return [...(round.attests.get(key)?.values() ?? [])]
}

function reaches(count: number, needed: number): boolean {
  return needed > 0 && count >= needed
}

function distinct(keys: readonly KeyId[]): readonly KeyId[] {
  return [...new Set(keys)]
}
