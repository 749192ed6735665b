/**
 * Certificates: a quorum's votes of one kind on one payload (SPEC §7.3).
 *
 * Kept as signatures alone: the payloads are written again to verify them, so a certificate cannot
 * hold a vote on anything else.
 */
import { fromHex } from './bytes.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import { ProtocolError } from './errors.ts'
import { type Certificate, type CertificateVote, VOTE_BODY, VOTE_KINDS } from './gate.ts'
import { type FleetId, KEY_ID, type KeyId } from './ids.ts'
import { GATE_BYTES_MAX, VOTERS_MAX } from './limits.ts'
import { bytes, oneOf, type Schema, shape, sortedList, where } from './schema.ts'
import { ED25519, type Signer, signedBytes } from './signed.ts'

const CERTIFICATE: Schema<Certificate> = where(
  shape<Certificate>({
    kind: oneOf(...VOTE_KINDS),
    body: VOTE_BODY,
    votes: sortedList(
      shape<CertificateVote>({ voter: KEY_ID, signature: bytes(64, 64) }),
      (vote) => vote.voter,
      VOTERS_MAX,
      1,
    ),
  }),
  ({ kind, body }) =>
    (kind === 'skip') === (body.block === undefined)
      ? undefined
      : 'a block in every certificate but skip',
)

/** The bytes of a certificate; it needs no signature of its own. */
export function encodeCertificate(certificate: Certificate): Uint8Array {
  return encodeCanonical(CERTIFICATE.encode(certificate))
}

/**
 * Reads a certificate and checks that at least `quorum` distinct `voters` signed its payload.
 *
 * Every vote in it must be a voter's and verify, so that whoever counts the votes later counts
 * right. The caller compares group and epoch with those whose voters it gave.
 * Throws BAD_CERTIFICATE, BAD_SHAPE, NOT_CANONICAL, TOO_LARGE.
 */
export function openCertificate(
  source: Uint8Array,
  rules: { fleet: FleetId; voters: readonly KeyId[]; quorum: number; signer?: Signer },
): Certificate {
  return checkCertificate(readCertificate(source), rules)
}

/** A certificate as read: nobody's vote in it is checked yet. Throws BAD_SHAPE, NOT_CANONICAL, TOO_LARGE. */
export function readCertificate(source: Uint8Array): Certificate {
  const value = decodeCanonical(source, GATE_BYTES_MAX, 'certificate')
  return CERTIFICATE.decode(value, 'certificate')
}

/** The certificate, if it holds under these voters. Throws BAD_CERTIFICATE. */
export function checkCertificate(
  certificate: Certificate,
  rules: { fleet: FleetId; voters: readonly KeyId[]; quorum: number; signer?: Signer },
): Certificate {
  const { kind, body, votes } = certificate
  const good = votes.filter(
    (vote) => rules.voters.includes(vote.voter) && verifies(certificate, vote, rules),
  )
  if (good.length === votes.length && good.length >= rules.quorum) return certificate
  throw new ProtocolError(
    'BAD_CERTIFICATE',
    'reject',
    `expected ${rules.quorum} valid votes of voters and no others on ${kind} in view ${body.view}, found ${good.length} of ${votes.length}`,
  )
}

function verifies(
  certificate: Certificate,
  vote: CertificateVote,
  rules: { fleet: FleetId; signer?: Signer },
): boolean {
  const { signer = ED25519 } = rules
  const type = `gate.${certificate.kind}`
  const publicKey = fromHex(vote.voter)
  const b = VOTE_BODY.encode(certificate.body)
  const payload = encodeCanonical({ v: 1, t: type, a: publicKey, b })
  const message = signedBytes(type, rules.fleet, payload)
  return signer.verify({ publicKey, message, signature: vote.signature })
}
