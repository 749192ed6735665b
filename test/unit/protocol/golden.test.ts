import { createHash, createPublicKey, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  addSignatures,
  type Certificate,
  deriveHostKeys,
  type EphemeralType,
  encodeCertificate,
  followRoot,
  fromHex,
  type GroupConfig,
  type HostName,
  manifestBlob,
  openAnswer,
  openCertificate,
  openFact,
  openFirstRoot,
  openGateMessage,
  openGroupConfig,
  openManifest,
  openPlan,
  planBlob,
  type Root,
  readRoot,
  rootHashOf,
  sealAnswer,
  sealBlock,
  sealFact,
  sealVote,
  signGroupConfig,
  signRoot,
  toHex,
  type VoteKind,
} from '../../../protocol/index.ts'
import { readTwin, type Twin, type TwinMap } from './cbor-twin.ts'
import { FLEET, type GoldenMessage, golden, goldenKey, goldenNames } from './golden.ts'

const whose = 'the vector'

describe('facts', () => {
  const names = goldenNames('fact-').filter((name) => name !== 'fact-foreign')

  it('has a vector for each type of version 1', () => {
    expect(names.map((name) => golden(name).type).sort()).toEqual([
      'closure.held',
      'enroll.deny',
      'enroll.request',
      'equivocation',
      'fleet.root',
      'group.config',
      'halt.relay',
      'health.change',
      'host.lost',
      'host.transition',
      'invite.open',
      'invite.revoke',
      'key.revoke',
      'obs.attest',
      'release.announce',
      'rollout.halt',
      'rollout.hold',
      'rollout.plan',
    ])
  })

  it.each(names)('%s reads to its input', (name) => {
    const vector = golden(name)
    const fact = openFact(fromHex(vector.bytes), { fleet: vector.fleet, whose })
    expect(fact).toEqual({
      ...vector.input,
      id: vector.id,
      author: goldenKey(vector.seed).publicKey,
      bytes: fromHex(vector.bytes),
    })
  })

  it.each(names)('%s is written again byte for byte', (name) => {
    const vector = golden(name)
    const author = { fleet: vector.fleet, key: goldenKey(vector.seed) }
    const fact = sealFact(vector.input, author)
    expect(toHex(fact.bytes)).toBe(vector.bytes)
    expect(fact.id).toBe(vector.id)
  })

  it('a foreign type is carried with its id and not read', () => {
    const vector = golden('fact-foreign')
    const fact = openFact(fromHex(vector.bytes), { fleet: vector.fleet, whose })
    expect(fact).toMatchObject({ type: 'foreign', foreignType: 'later.thing', id: vector.id })
    expect(fact).not.toHaveProperty('body')
  })
})

describe('gate messages', () => {
  it.each(goldenNames('gate-'))('%s reads to its input and is written again', (name) => {
    const vector = golden(name)
    const author = { fleet: vector.fleet, key: goldenKey(vector.seed) }
    const message = openGateMessage(fromHex(vector.bytes), { fleet: vector.fleet, whose })
    if (message.kind === 'block') {
      expect(message.block.body).toEqual(vector.input)
      expect(message.block.id).toBe(vector.id)
      expect(toHex(sealBlock(vector.input, author).bytes)).toBe(vector.bytes)
    } else if (message.kind === 'vote') {
      expect(message.vote.body).toEqual(vector.input)
      expect(toHex(message.vote.signature)).toBe(vector.signature)
      const kind = vector.type.replace('gate.', '') as VoteKind
      expect(toHex(sealVote(kind, vector.input, author).bytes)).toBe(vector.bytes)
    } else throw new Error('expected a block or a vote')
  })

  it.each(goldenNames('certificate-'))('%s holds and is written again', (name) => {
    const vector = golden<GoldenCertificate>(name)
    const voters = vector.seeds.map((seed) => goldenKey(seed).publicKey)
    const rules = { fleet: vector.fleet, voters, quorum: voters.length }
    const certificate = openCertificate(fromHex(vector.bytes), rules)
    expect(certificate.kind).toBe(vector.input.kind)
    expect(certificate.body).toEqual(vector.input.body)
    expect(toHex(encodeCertificate(certificate))).toBe(vector.bytes)
    const votes = certificate.votes.map((vote) => toHex(vote.signature))
    expect(votes).toEqual(vector.votes.map((vote) => vote.signature))
  })
})

describe('answers', () => {
  it.each(goldenNames('answer-'))('%s reads to its input and is written again', (name) => {
    const vector = golden(name)
    const type = vector.type as EphemeralType
    const key = goldenKey(vector.seed)
    const answer = openAnswer(type, fromHex(vector.bytes), { fleet: vector.fleet, whose })
    expect(answer).toEqual({ author: key.publicKey, body: vector.input })
    expect(toHex(sealAnswer(type, vector.input, { fleet: vector.fleet, key }))).toBe(vector.bytes)
  })
})

describe('documents', () => {
  it('the root reads to its input and is written again', () => {
    const vector = golden<GoldenDocument<Root>>('root')
    const opened = openFirstRoot(fromHex(vector.bytes), vector.hash)
    expect(opened.value).toEqual(vector.input)
    expect(vector.fleet).toBe(vector.hash.slice(0, 32))
    expect(toHex(signRoot(vector.input, vector.seeds.map(goldenKey)).bytes)).toBe(vector.bytes)
  })

  it('the second root follows the first and is written again', () => {
    const { input: first } = golden<GoldenDocument<Root>>('root')
    const vector = golden<GoldenDocument<Root>>('root-next')
    const opened = followRoot(readRoot(fromHex(vector.bytes)), first, vector.fleet)
    expect(opened.value).toEqual(vector.input)
    expect(opened.hash).toBe(vector.hash)
    expect(vector.input.previous).toBe(rootHashOf(first))
    const keys = vector.seeds.map(goldenKey)
    expect(toHex(signRoot(vector.input, keys, vector.fleet).bytes)).toBe(vector.bytes)
    const alone = signRoot(vector.input, keys.slice(0, 1), vector.fleet).bytes
    const signed = addSignatures(alone, { type: 'root', fleet: vector.fleet }, keys)
    expect(toHex(signed), 'one after the other, or all at once').toBe(vector.bytes)
  })

  it('the group configuration reads to its input and is written again', () => {
    const { input: root } = golden<GoldenDocument<Root>>('root')
    const vector = golden<GoldenDocument<GroupConfig>>('group-config')
    const opened = openGroupConfig(fromHex(vector.bytes), { root, fleet: vector.fleet })
    expect(opened.value).toEqual(vector.input)
    expect(opened.hash).toBe(vector.hash)
    const again = signGroupConfig(vector.input, vector.seeds.map(goldenKey))
    expect(toHex(again.bytes)).toBe(vector.bytes)
  })

  it('a recovery reads to its input, and takes one admin more than the threshold', () => {
    const { input: root } = golden<GoldenDocument<Root>>('root')
    const vector = golden<GoldenDocument<GroupConfig>>('group-config-recover')
    const trust = { root: { ...root, threshold: 1 }, fleet: vector.fleet }
    expect(openGroupConfig(fromHex(vector.bytes), trust).value).toEqual(vector.input)
    expect(vector.input.recover).toBeDefined()
    const again = signGroupConfig(vector.input, vector.seeds.map(goldenKey))
    expect(toHex(again.bytes)).toBe(vector.bytes)
    expect(() => openGroupConfig(fromHex(vector.bytes), { ...trust, root })).toThrow(
      /expected 3 signatures/,
    )
  })
})

describe('blobs and keys', () => {
  it('the plan and the manifest read to their inputs and are written again', () => {
    // biome-ignore lint/suspicious/noExplicitAny: two inputs of different types, compared as they stand
    type Blob = { input: any; bytes: string; hash: string }
    for (const plan of ['blob-plan', 'blob-plan-holders'].map((name) => golden<Blob>(name))) {
      expect(openPlan(fromHex(plan.bytes), plan.hash)).toEqual(plan.input)
      expect(toHex(planBlob(plan.input).bytes)).toBe(plan.bytes)
    }
    const manifest = golden<Blob>('blob-manifest')
    expect(openManifest(fromHex(manifest.bytes), manifest.hash)).toEqual(manifest.input)
    expect(toHex(manifestBlob(manifest.input).bytes)).toBe(manifest.bytes)
  })

  it('a host derives the same three keys from its seed', () => {
    const vector = golden<Record<HostName, { seed: string; publicKey: string }>>('host-keys')
    const derived = deriveHostKeys(fromHex(String(vector['seed'])))
    for (const label of ['transport', 'fact', 'cosign'] as const) {
      const { seed, publicKey } = derived[label]
      expect({ seed: toHex(seed), publicKey }).toEqual(vector[label])
    }
  })
})

/** Nothing below calls the product: a CBOR reader of its own, and the platform's SHA-256 and Ed25519. */
describe('an independent reader', () => {
  const messages = ['fact-', 'gate-', 'answer-'].flatMap(goldenNames)

  it.each(messages)('verifies %s from its bytes alone', (name) => {
    const vector = golden(name)
    const [payload, signature] = pair(readTwin(unhex(vector.bytes)))
    const fields = asMap(readTwin(payload))
    const signed = domain(String(fields.get('t')), payload)
    expect(Buffer.from(signed).toString('hex')).toBe(vector.signedBytes)
    expect(createHash('sha256').update(signed).digest('hex')).toBe(vector.id)
    expect(verify(null, signed, publicKey(asBytes(fields.get('a'))), signature)).toBe(true)
    signed[signed.length - 1] = (signed.at(-1) ?? 0) ^ 1
    expect(verify(null, signed, publicKey(asBytes(fields.get('a'))), signature)).toBe(false)
  })

  it.each(messages.filter((name) => name !== 'fact-foreign'))('finds the input in %s', (name) => {
    const vector = golden(name)
    const fields = asMap(readTwin(unhex(vector.payload)))
    const input = name.startsWith('fact-') ? vector.input.body : vector.input
    expect(plain(fields.get('b'))).toEqual(input)
    expect(fields.get('v')).toBe(1)
    if (!name.startsWith('fact-')) return
    const { session, seq, prev, epoch, ts } = vector.input
    const header = ['n', 's', 'p', 'e', 'ts'].map((key) => plain(fields.get(key)))
    expect(header).toEqual([session, seq, prev, epoch, ts])
  })

  it.each(['root', 'root-next', 'group-config', 'group-config-recover'])(
    'counts the admins who signed the %s',
    (name) => {
      const type = name.startsWith('root') ? 'root' : 'group-config'
      const vector = golden<GoldenDocument<object>>(name)
      const [payload, signatures] = readTwin(unhex(vector.bytes)) as [Uint8Array, Twin[]]
      expect(createHash('sha256').update(payload).digest('hex')).toBe(vector.hash)
      expect(plain(readTwin(payload))).toEqual(vector.input)
      const signers = signatures.filter((entry) => {
        const [key, signature] = pair(entry)
        return verify(null, domain(type, payload), publicKey(key), signature)
      })
      expect(signers).toHaveLength(vector.seeds.length)
      expect(vector.seeds.length).toBeGreaterThan(1)
    },
  )

  it.each(goldenNames('certificate-'))('verifies every vote of %s', (name) => {
    const fields = asMap(readTwin(unhex(golden<GoldenCertificate>(name).bytes)))
    const votes = fields.get('votes') as Twin[]
    expect(votes).toHaveLength(3)
    const vote = golden<GoldenMessage>(`gate-${fields.get('kind')}`)
    const template = unhex(vote.payload)
    const author = asBytes(asMap(readTwin(template)).get('a'))
    for (const entry of votes) {
      const voter = asBytes(asMap(entry).get('voter'))
      const payload = Buffer.from(template)
      payload.set(voter, payload.indexOf(author))
      const signed = domain(`gate.${fields.get('kind')}`, payload)
      expect(verify(null, signed, publicKey(voter), asBytes(asMap(entry).get('signature')))).toBe(
        true,
      )
    }
  })
})

interface GoldenDocument<T> {
  readonly seeds: readonly string[]
  readonly fleet: string
  readonly input: T
  readonly hash: string
  readonly bytes: string
}

interface GoldenCertificate {
  readonly seeds: readonly string[]
  readonly fleet: string
  readonly input: Pick<Certificate, 'kind' | 'body'>
  readonly votes: readonly { voter: string; signature: string }[]
  readonly bytes: string
}

function domain(type: string, payload: Uint8Array): Buffer {
  const fleet = Buffer.from(FLEET, 'hex')
  return Buffer.concat([Buffer.from(`nixfleet/v1/${type}\0`), fleet, payload])
}

function publicKey(raw: Uint8Array): ReturnType<typeof createPublicKey> {
  const x = Buffer.from(raw).toString('base64url')
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
}

function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'))
}

function pair(value: Twin): [Uint8Array, Uint8Array] {
  if (!Array.isArray(value) || value.length !== 2) throw new Error('expected a pair')
  return [asBytes(value[0]), asBytes(value[1])]
}

function asBytes(value: Twin | undefined): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw new Error('expected bytes')
}

function asMap(value: Twin | undefined): TwinMap {
  if (value instanceof Map) return value
  throw new Error('expected a map')
}

/** Bytes as hex and maps as objects: the form in which inputs stand in the vectors. */
function plain(value: Twin | undefined): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]))
  }
  return Array.isArray(value) ? value.map(plain) : value
}
