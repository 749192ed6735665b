/** Tickets and requests: their golden vectors, and that nothing but the honest form is taken. */
import { createHash, createPublicKey, verify } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeEnrollAnswer,
  decodeEnrollQuestion,
  deriveHostKeys,
  type EnrollAnswer,
  type EnrollBody,
  encodeEnrollAnswer,
  encodeEnrollQuestion,
  enrollingHost,
  formatTicket,
  fromHex,
  isByTicket,
  keyPair,
  openEnroll,
  parseTicket,
  signEnroll,
  type Ticket,
  ticketKey,
  toHex,
  type WantedDocument,
} from '../../../protocol/index.ts'
import { readTwin, type TwinMap } from './cbor-twin.ts'
import { golden, goldenKey, OTHER_FLEET } from './golden.ts'
import { codeOf } from './refusal.ts'

const whose = 'the vector'

interface GoldenRequest {
  readonly seeds: readonly [string, string]
  readonly fleet: string
  readonly input: EnrollBody
  readonly envelope: string
  readonly ticketSignature: string
  readonly id: string
  readonly bytes: string
}

describe('a request', () => {
  const names = ['enroll-request', 'enroll-request-operator']

  it.each(names)('%s reads to its input and is written again', (name) => {
    const vector = golden<GoldenRequest>(name)
    const [key, ticket] = vector.seeds.map(goldenKey)
    if (key === undefined || ticket === undefined) throw new Error('two seeds')
    const opened = openEnroll(fromHex(vector.bytes), { fleet: vector.fleet, whose })
    expect(opened).toMatchObject({
      ...{ ...vector.input, id: vector.id, envelope: vector.envelope, key: key.publicKey },
    })
    expect(isByTicket(opened, { fleet: vector.fleet, key: ticket.publicKey })).toBe(true)
    expect(isByTicket(opened, { fleet: vector.fleet, key: key.publicKey })).toBe(false)
    const again = signEnroll(vector.input, { fleet: vector.fleet, key, ticket })
    expect(toHex(again.bytes)).toBe(vector.bytes)
    expect(again).toEqual(opened)
  })

  /** Nothing of the product: a CBOR reader of its own, and the platform's SHA-256 and Ed25519. */
  it.each(names)('%s verifies under both keys for an independent reader', (name) => {
    const vector = golden<GoldenRequest>(name)
    const bytes = new Uint8Array(Buffer.from(vector.bytes, 'hex'))
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(vector.id)
    const [envelope, ticketSignature] = readTwin(bytes) as [Uint8Array, Uint8Array]
    const [payload, signature] = readTwin(envelope) as [Uint8Array, Uint8Array]
    const fields = readTwin(payload) as TwinMap
    const fleet = Buffer.from(vector.fleet, 'hex')
    const signed = Buffer.concat([Buffer.from('nixfleet/v1/enroll\0'), fleet, payload])
    const author = publicKey(fields.get('a') as Uint8Array)
    expect(verify(null, signed, author, signature)).toBe(true)
    const id = createHash('sha256').update(signed).digest()
    expect(id.toString('hex')).toBe(vector.envelope)
    const message = Buffer.concat([Buffer.from('nixfleet/v1/enroll.ticket\0'), fleet, id])
    const ticket = publicKey(Buffer.from(goldenKey(vector.seeds[1]).publicKey, 'hex'))
    expect(verify(null, message, ticket, ticketSignature)).toBe(true)
  })

  it('is of one fleet, and no other reads it', () => {
    const { bytes } = golden<GoldenRequest>('enroll-request')
    expect(codeOf(() => openEnroll(fromHex(bytes), { fleet: OTHER_FLEET, whose }))).toBe(
      'BAD_SIGNATURE',
    )
  })

  it('takes no changed byte: it is refused, or its ticket has not signed it', () => {
    const vector = golden<GoldenRequest>('enroll-request')
    const good = fromHex(vector.bytes)
    const { publicKey: key } = goldenKey(vector.seeds[1])
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bad = Uint8Array.from(good)
        bad[at] = (bad[at] ?? 0) ^ change
        const opened = attempt(() => openEnroll(bad, { fleet: vector.fleet, whose }))
        if (opened !== undefined)
          expect(isByTicket(opened, { fleet: vector.fleet, key })).toBe(false)
      }),
    )
  })

  it('gives a host the tags of its invite, and an operator none', () => {
    const { bytes, fleet } = golden<GoldenRequest>('enroll-request')
    const host = enrollingHost(openEnroll(fromHex(bytes), { fleet, whose }), ['role=web'])
    const keys = deriveHostKeys(new Uint8Array(32))
    expect(host).toMatchObject({ name: 'web-9', tags: ['role=web'] })
    const ticket = keyPair(new Uint8Array(32).fill(9))
    const body = { invite: '11'.repeat(32), name: 'carol' }
    const byOperator = signEnroll(body, { fleet, key: keys.fact, ticket })
    expect(enrollingHost(byOperator, [])).toBeUndefined()
  })

  it('needs three keys of a host, all different and of full order', () => {
    const fleet = OTHER_FLEET
    const { fact, transport, cosign } = deriveHostKeys(new Uint8Array(32))
    const ticket = keyPair(new Uint8Array(32).fill(9))
    const of = (host: NonNullable<EnrollBody['host']>): string =>
      codeOf(() => {
        const body = { invite: '11'.repeat(32), name: 'web-1', host }
        const { bytes } = signEnroll(body, { fleet, key: fact, ticket })
        openEnroll(bytes, { fleet, whose })
      })
    const addresses: string[] = []
    expect(of({ transport: fact.publicKey, cosign: cosign.publicKey, addresses })).toBe('BAD_KEY')
    expect(of({ transport: transport.publicKey, cosign: '00'.repeat(32), addresses })).toBe(
      'BAD_KEY',
    )
  })
})

describe('questions and answers', () => {
  it('read to their inputs and are written again', () => {
    const vector = golden<{
      questions: { input: { request: string; want?: WantedDocument }; bytes: string }[]
      answers: { input: EnrollAnswer; bytes: string }[]
    }>('enroll-messages')
    expect(vector.questions.length + vector.answers.length).toBe(6)
    for (const { input, bytes } of vector.questions) {
      const question = { ...input, request: fromHex(input.request) }
      expect(decodeEnrollQuestion(fromHex(bytes))).toEqual(question)
      expect(toHex(encodeEnrollQuestion(question))).toBe(bytes)
    }
    for (const { input, bytes } of vector.answers) {
      const answer =
        input.kind === 'document' ? { ...input, document: fromHex(String(input.document)) } : input
      expect(decodeEnrollAnswer(fromHex(bytes))).toEqual(answer)
      expect(toHex(encodeEnrollAnswer(answer))).toBe(bytes)
    }
  })
})

describe('a ticket', () => {
  const { input, text } = golden<{ input: Omit<Ticket, 'seed'> & { seed: string }; text: string }>(
    'ticket',
  )
  const ticket: Ticket = { ...input, seed: fromHex(input.seed) }

  it('reads to its input and is written again', () => {
    expect(parseTicket(text)).toEqual(ticket)
    expect(formatTicket(ticket)).toBe(text)
    expect(ticketKey(ticket).publicKey).toBe(goldenKey(input.seed).publicKey)
  })

  it('says of every single wrong, missing or further character that it is mistyped', () => {
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: text.length - 1 }),
        fc.constantFrom(...letters),
        (at, letter) => {
          if (text[at] === letter) return
          const wrong = text.slice(0, at) + letter + text.slice(at + 1)
          expect(codeOf(() => parseTicket(wrong))).toBe('BAD_TICKET')
          expect(codeOf(() => parseTicket(text.slice(0, at)))).toBe('BAD_TICKET')
          const more = text.slice(0, at) + letter + text.slice(at)
          expect(codeOf(() => parseTicket(more))).toBe('BAD_TICKET')
        },
      ),
      { numRuns: 300 },
    )
  })

  it.each([
    ['', /begins with nf1/],
    ['hello', /begins with nf1/],
    ['nf2abcd', /version 1, found version 2/],
    ['nf1', /cut or mistyped/],
    ['nf1!!!', /cut or mistyped/],
    ['nf1AAAAAAAA', /cut or mistyped/],
    [`nf1${'A'.repeat(3000)}`, /at most 2048/],
  ])('says what is wrong with %s', (word, message) => {
    expect(() => parseTicket(word)).toThrow(message)
  })

  it('of any content goes through its text unchanged', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}[a-z0-9]$/)
    const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(
        ...[bytes32, bytes32, bytes32, name, fc.nat(), fc.option(name), fc.nat(3)],
        (root, invite, seed, fleet, notAfter, wanted, peers) => {
          const any: Ticket = {
            ...{ rootHash: toHex(root), invite: toHex(invite), seed: Uint8Array.from(seed) },
            ...{ fleet, notAfter, kind: peers === 0 ? 'operator' : 'host' },
            ...(wanted === null ? {} : { name: wanted }),
            peers: Array.from({ length: peers }, (_, i) => ({
              address: `/ip6/fd00::${i}/tcp/7460`,
              key: keyPair(Uint8Array.from(seed)).publicKey,
            })),
          }
          expect(parseTicket(formatTicket(any))).toEqual(any)
        },
      ),
    )
  })
})

function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}

function publicKey(raw: Uint8Array): ReturnType<typeof createPublicKey> {
  const x = Buffer.from(raw).toString('base64url')
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
}
