/** An observer's findings as subjects of an attestation, cut to what one fact holds (SPEC §6.6). */
import {
  ATTEST_SUBJECTS_MAX,
  ATTESTATION,
  type Attestation,
  type AttestSubject,
  encodeCanonical,
  FACT_BYTES_MAX,
  type RolloutId,
  type Verdict,
} from '../protocol/index.ts'
import type { Subject } from './observer-state.ts'

/** What a fact adds to its body: header, author, signature, with room. */
const ENVELOPE_BYTES_MAX = 512
const BODY_BYTES_MAX = FACT_BYTES_MAX - ENVELOPE_BYTES_MAX

/** What is attested of a subject when its window closes; undefined: nothing. */
export function closingVerdict(subject: Subject, window: number): Verdict | undefined {
  const { ok, ko, abstained } = subject.window
  if (subject.failedIn === window) return undefined
  if (abstained !== undefined) return 'abstain'
  return ok > 0 && ko === 0 ? 'ok' : undefined
}

/** One subject of an attestation. */
export function attestSubject(subject: Subject, window: number, verdict: Verdict): AttestSubject {
  const { duty, generation, boot } = subject
  const { ok, ko, elapsedMs, why, abstained } = subject.window
  const reason = verdict === 'ok' ? undefined : verdict === 'abstain' ? abstained : why
  return {
    host: duty.host,
    round: duty.round,
    window,
    verdict,
    ok,
    ko,
    elapsedMs,
    generation,
    boot,
    ...(reason === undefined ? {} : { why: reason }),
  }
}

/** The subjects in as few attestations as fit into facts. */
export function cutAttestations(
  rollout: RolloutId,
  subjects: readonly AttestSubject[],
): readonly Attestation[] {
  const cut: Attestation[] = []
  let part: AttestSubject[] = []
  for (const subject of subjects) {
    if (part.length > 0 && !fits(rollout, [...part, subject])) {
      cut.push({ rollout, subjects: part })
      part = []
    }
    part.push(subject)
  }
  return part.length > 0 ? [...cut, { rollout, subjects: part }] : cut
}

function fits(rollout: RolloutId, subjects: readonly AttestSubject[]): boolean {
  if (subjects.length > ATTEST_SUBJECTS_MAX) return false
  return encodeCanonical(ATTESTATION.encode({ rollout, subjects })).length <= BODY_BYTES_MAX
}
