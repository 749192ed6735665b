/** How a golden vector is written: each kind of message with the parts that a reader would compare. */
import { existsSync, writeFileSync } from 'node:fs'
import {
  BUNDLE_FEED,
  BUNDLE_HEADER,
  BUNDLE_NAR,
  type BlockBody,
  type BundleHeader,
  type BundleRecordKind,
  BundleWriter,
  type Certificate,
  concatBytes,
  deriveHostKeys,
  ED25519,
  EMPTY_BUCKET,
  type EnrollRequest,
  encodeBundleBody,
  encodeCertificate,
  type FactType,
  fromHex,
  type GroupConfig,
  GROUP_CONFIG,
  encodeCanonical,
  type KeyPair,
  manifestBlob,
  NO_FACT,
  type Root,
  ROOT,
  sealBlock,
  sealFact,
  sealVote,
  sha256,
  signedBytes,
  signGroupConfig,
  signRoot,
  toHex,
  treeRoot,
  utf8,
  vectorTree,
  type VoteKind,
  writeVectorFile,
} from '../../protocol/index.ts'
import { seedOf, idOf, SESSION, TS, admins, operator, release, web1, ROOT_1, FLEET, CONFIG, MANIFEST_INPUT, FACTS, keysOf } from './inputs.ts'

export function write(name: string, vector: object): void {
  const file = new URL(`v1/${name}.json`, import.meta.url)
  if (existsSync(file)) return
  writeFileSync(file, `${JSON.stringify(vector, null, 2)}\n`)
}

/** The parts of a signed message: `bytes` is CBOR [payload, signature]. */
export function parts(type: string, bytes: Uint8Array, input: object, key: KeyPair): object {
  const payload = payloadOf(bytes)
  const message = signedBytes(type, FLEET, payload)
  return {
    type,
    seed: toHex(key.seed),
    fleet: FLEET,
    input,
    payload: toHex(payload),
    signedBytes: toHex(message),
    signature: toHex(bytes.subarray(bytes.length - 64)),
    id: toHex(sha256(message)),
    bytes: toHex(bytes),
  }
}

/** After the list head (1 byte) a byte string with a head of 2 or 3 bytes; 66 bytes of signature. */
export function payloadOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(bytes[1] === 0x58 ? 3 : 4, bytes.length - 66)
}

export function writeFact<T extends FactType>(type: T, seq: number): void {
  const { body, key } = FACTS[type]
  const prev = seq === 0 ? NO_FACT : idOf('prev')
  const draft = { type, body, session: SESSION, seq, prev, epoch: 1, ts: TS }
  const fact = sealFact(draft, { fleet: FLEET, key })
  write(`fact-${type.replace('.', '-')}`, parts(type, fact.bytes, draft, key))
}

export function writeDocument(
  type: 'root' | 'group-config',
  input: object,
  packed: Uint8Array,
  name: string = type,
  keys: readonly KeyPair[] = admins.slice(0, 2),
): void {
  const payload = encodeCanonical(
    type === 'root' ? ROOT.encode(input as Root) : GROUP_CONFIG.encode(input as GroupConfig),
  )
  write(name, {
    type,
    seeds: keys.map((key) => toHex(key.seed)),
    fleet: FLEET,
    input,
    payload: toHex(payload),
    signedBytes: toHex(signedBytes(type, FLEET, payload)),
    hash: toHex(sha256(payload)),
    bytes: toHex(packed),
  })
}

export function writeCertificate(kind: VoteKind, body: Certificate['body']): void {
  const voters = ['db-1', 'web-1', 'web-2'].map((name) => keysOf(name).fact)
  const votes = voters
    .map((key) => sealVote(kind, body, { fleet: FLEET, key }))
    .map(({ voter, signature }) => ({ voter, signature }))
    .sort((a, b) => (a.voter < b.voter ? -1 : 1))
  write(`certificate-${kind}`, {
    seeds: voters.map((key) => toHex(key.seed)),
    fleet: FLEET,
    input: { kind, body },
    votes: votes.map(({ voter, signature }) => ({ voter, signature: toHex(signature) })),
    bytes: toHex(encodeCertificate({ kind, body, votes })),
  })
}

/** A whole bundle: two feeds, a manifest, a block with its certificate, and a NAR. */
export function writeBundle(): void {
  const root = signRoot(ROOT_1, admins.slice(0, 2))
  const config = signGroupConfig(CONFIG, admins.slice(0, 2))
  const fact = (type: 'release.announce' | 'rollout.halt', key: KeyPair, seq: number, prev: string) =>
    sealFact(
      { type, body: FACTS[type].body, session: SESSION, seq, prev, epoch: 1, ts: TS },
      { fleet: FLEET, key },
    )
  const announced = fact('release.announce', release, 0, NO_FACT)
  const halted = fact('rollout.halt', operator, 0, NO_FACT)
  const again = fact('rollout.halt', operator, 1, halted.id)
  const feeds = [[announced], [halted, again]].sort(([a], [b]) =>
    (a?.author ?? '') < (b?.author ?? '') ? -1 : 1,
  )
  const held = new Map(
    feeds.map((facts) => {
      const { author, session, seq, id } = facts.at(-1) ?? announced
      return [`${author}/${session}`, { seq, id }]
    }),
  )
  const body: BlockBody = {
    ...{ group: 'berlin', epoch: 1, view: 1, parent: config.hash, commands: [], rootVersion: 1 },
    basis: [...held].map(([key, { seq, id }]) => ({
      ...{ author: key.slice(0, 64), session: key.slice(65) },
      ...{ seq, head: id },
    })),
  }
  const block = sealBlock(body, { fleet: FLEET, key: web1.fact })
  const onIt = { group: 'berlin', epoch: 1, view: 1, block: block.id }
  const votes = ['db-1', 'web-1', 'web-2']
    .map((name) => sealVote('final', onIt, { fleet: FLEET, key: keysOf(name).fact }))
    .map(({ voter, signature }) => ({ voter, signature }))
    .sort((a, b) => (a.voter < b.voter ? -1 : 1))
  const certificate = encodeCertificate({ kind: 'final', body: onIt, votes })
  const manifest = manifestBlob(MANIFEST_INPUT)
  const nar = utf8('any bytes: a NAR is named by their hash')
  const place = { fleet: FLEET, root: root.hash, group: 'berlin', epoch: 1, maker: 'web-1' }
  const header: BundleHeader = {
    ...place,
    since: { vector: EMPTY_BUCKET, view: 0, block: config.hash },
    until: { vector: treeRoot(vectorTree(held)), view: 1, block: block.id },
    contents: {
      ...{ documents: 2, feeds: 2, facts: 3, blobs: 1, blocks: 1, nars: 1 },
      narBytes: nar.length,
    },
  }
  const writer = new BundleWriter('bundle')
  const files: Uint8Array[] = []
  const add = (kind: BundleRecordKind, bytes: Uint8Array): void => {
    files.push(writer.write(kind, bytes))
  }
  add('header', encodeBundleBody(BUNDLE_HEADER, header))
  add('document', concatBytes(Uint8Array.of(1), root.bytes))
  add('document', concatBytes(Uint8Array.of(2), config.bytes))
  for (const facts of feeds) {
    const [first = announced] = facts
    const { author, session, prev } = first
    add('feed', encodeBundleBody(BUNDLE_FEED, { author, session, from: 0, prev, count: facts.length }))
    for (const one of facts) add('fact', one.bytes)
  }
  add('blob', concatBytes(Uint8Array.of(2), manifest.bytes))
  add('gate', concatBytes(Uint8Array.of(0), block.bytes))
  add('gate', concatBytes(Uint8Array.of(1), certificate))
  add('nar', encodeBundleBody(BUNDLE_NAR, { hash: toHex(sha256(nar)), size: nar.length }))
  add('chunk', nar)
  files.push(writer.end())
  write('bundle-file', { rootHash: root.hash, header, bytes: toHex(concatBytes(...files)) })
  const have = {
    ...{ ...place, view: 1, block: block.id, feeds: held },
    ...{ blobs: new Set([manifest.hash]), nars: new Set([toHex(sha256(nar))]) },
  }
  write('bundle-vector', {
    rootHash: root.hash,
    input: { ...have, feeds: [...held], blobs: [...have.blobs], nars: [...have.nars] },
    bytes: toHex(concatBytes(...writeVectorFile(have))),
  })
}

export function writeHostKeys(): void {
  const seed = seedOf('web-1')
  const pair = (key: KeyPair): object => ({ seed: toHex(key.seed), publicKey: key.publicKey })
  const { transport, fact, cosign } = deriveHostKeys(seed)
  write('host-keys', {
    seed: toHex(seed),
    transport: pair(transport),
    fact: pair(fact),
    cosign: pair(cosign),
  })
}

/** A type that this version does not know: carried, never read. */
export function writeForeignFact(): void {
  const payload = encodeCanonical({
    v: 1,
    t: 'later.thing',
    a: fromHex(operator.publicKey),
    n: fromHex(SESSION),
    s: 0,
    p: fromHex(NO_FACT),
    e: 1,
    ts: TS,
    b: { anything: [1, 'goes', true] },
  })
  const message = signedBytes('later.thing', FLEET, payload)
  const signature = ed25519(operator, message)
  const bytes = encodeCanonical([payload, signature])
  write('fact-foreign', parts('later.thing', bytes, {}, operator))
}

export function ed25519(key: KeyPair, message: Uint8Array): Uint8Array {
  return ED25519.sign({ seed: key.seed, message })
}

/** The fact key of the host that asks. */
export function keysOf9(): KeyPair {
  return deriveHostKeys(seedOf('web-9')).fact
}

/** A request to be let in, with the seeds of the new key and of the ticket. */
export function writeEnroll(name: string, request: EnrollRequest, keys: readonly KeyPair[]): void {
  const { id, envelope, key, ticketSignature, bytes, ...input } = request
  write(name, {
    seeds: keys.map((one) => toHex(one.seed)),
    fleet: FLEET,
    input,
    envelope,
    ticketSignature: toHex(ticketSignature),
    id,
    bytes: toHex(bytes),
  })
}
