/** Why a member could not be reached, in the few classes that a person can do something about. */

/**
 * `refused`: the machine answers, nobody listens there. `route`: no way to the address. `silent`: no
 * answer, as behind a firewall or with the machine off. `stranger`: another key answered. `denied`: it
 * hung up on us at once, as one does that does not know our key. `other`: see the detail.
 */
export type DialFaultKind = 'refused' | 'route' | 'silent' | 'stranger' | 'denied' | 'other'

export interface DialFault {
  readonly kind: DialFaultKind
  /** The error's own words. */
  readonly detail: string
}

/** What decides first: who answered with another key tells more than an address that is silent. */
const PATTERNS: readonly (readonly [DialFaultKind, RegExp])[] = [
  ['stranger', /identity key|does not match expected|peer ?id .*mismatch|unexpected peer/i],
  ['denied', /ECONNRESET|EPIPE|UnexpectedEOF|unexpected end|connection .*closed|muxer closed/i],
  ['refused', /ECONNREFUSED/],
  ['route', /ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL/],
  ['silent', /ETIMEDOUT|timed? ?out|timeout|aborted/i],
]
/** Errors inside each other that are looked into: a dial of eight addresses nests two deep. */
const DEPTH_MAX = 4
const DETAIL_CHARS_MAX = 160

/** The fault behind an error of a dial, whose parts may be hidden in `errors` and `cause`. */
export function dialFault(error: unknown): DialFault {
  const texts = textsOf(error, 0)
  for (const [kind, pattern] of PATTERNS) {
    const detail = texts.find((text) => pattern.test(text))
    if (detail !== undefined) return { kind, detail }
  }
  return { kind: 'other', detail: texts.at(-1) ?? 'no reason was given' }
}

function textsOf(error: unknown, depth: number): readonly string[] {
  if (typeof error !== 'object' || error === null || depth > DEPTH_MAX) return []
  const { name, message, code, errors, cause } = error as Partial<AggregateError> & {
    code?: unknown
  }
  const own = [name, code, message].filter((part) => typeof part === 'string').join(' ')
  const inner = [...(Array.isArray(errors) ? errors : []), cause]
  return [
    own.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, DETAIL_CHARS_MAX),
    ...inner.flatMap((one) => textsOf(one, depth + 1)),
  ]
}
