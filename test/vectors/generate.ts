/**
 * Writes golden vectors into `v1/`, one file for each message (SPEC §8). Run by hand:
 *
 *     npx tsx test/vectors/generate.ts
 *
 * A file that exists is left alone: vectors are added, never edited. Tests only read them.
 */
import {
  accusationOf,
  type BlockBody,
  checkpointText,
  cosign,
  cosignerOf,
  encodePieceHaves,
  encodePieceHead,
  encodePieceQuestion,
  encodeWitnessAnswer,
  encodeWitnessQuestion,
  type EnrollAnswer,
  type EnrollQuestion,
  encodeEnrollAnswer,
  encodeEnrollQuestion,
  type FactType,
  formatNote,
  formatTicket,
  formatTlogProof,
  gateOrigin,
  fromHex,
  keyPair,
  type Manifest,
  manifestBlob,
  openLiePair,
  PIECE_BYTES,
  PieceLister,
  pieceRoot,
  nodeHash,
  planBlob,
  sealAnswer,
  sealBlock,
  sealVote,
  sha256,
  signEnroll,
  signGroupConfig,
  signRoot,
  type Ticket,
  toHex,
  verifierKey,
} from '../../protocol/index.ts'
import { seedOf, idOf, shortId, TS, GENERATION, BOOT, ROLLOUT, admins, web1, ROOT_1, ROOT_2, FLEET, CONFIG, MANIFEST_INPUT, PLAN_INPUT, twoBlocks, enrolling, TICKET_KEY, FACTS, CONFIG_3, SIGNED_2, BLOCK, keysOf } from './inputs.ts'
import { write, parts, writeFact, writeDocument, writeCertificate, writeBundle, writeHostKeys, writeForeignFact, writeEnroll, keysOf9 } from './writers.ts'

writeHostKeys()
writeDocument('root', ROOT_1, signRoot(ROOT_1, admins.slice(0, 2)).bytes)
writeDocument('root', ROOT_2, signRoot(ROOT_2, admins, FLEET).bytes, 'root-next', admins)
writeDocument('group-config', CONFIG, signGroupConfig(CONFIG, admins.slice(0, 2)).bytes)
writeDocument(
  'group-config',
  CONFIG_3,
  signGroupConfig(CONFIG_3, admins.slice(0, 2)).bytes,
  'group-config-recover',
)
for (const type of Object.keys(FACTS) as FactType[]) writeFact(type, type === 'rollout.plan' ? 0 : 9)
writeForeignFact()
const manifest = manifestBlob(MANIFEST_INPUT)
write('blob-manifest', { input: MANIFEST_INPUT, bytes: toHex(manifest.bytes), hash: manifest.hash })
const withPieces: Manifest = {
  ...MANIFEST_INPUT,
  paths: MANIFEST_INPUT.paths.map((path) => ({ ...path, pieces: idOf('pieces') })),
}
const piecesManifest = manifestBlob(withPieces)
write('blob-manifest-pieces', {
  input: withPieces,
  bytes: toHex(piecesManifest.bytes),
  hash: piecesManifest.hash,
})

// A NAR of two pieces and a half: byte i is i * 31 + (i >> 16), modulo 256.
const narSize = 2 * PIECE_BYTES + PIECE_BYTES / 2
const lister = new PieceLister()
lister.update(Uint8Array.from({ length: narSize }, (_, i) => i * 31 + (i >> 16)))
const pieceList = lister.list()
write('piece-list', {
  input: { narSize, byte: '(i * 31 + (i >> 16)) mod 256' },
  bytes: toHex(pieceList),
  hash: pieceRoot(pieceList),
})
const nars = ['nar', 'nar-2', 'nar-3'].map(idOf)
const haves = [
  { kind: 'none' },
  { kind: 'all' },
  { kind: 'some', bits: Uint8Array.of(0b1010_0000, 0b0000_1000) },
] as const
write('piece-have', {
  question: toHex(encodePieceQuestion({ kind: 'have', nars })),
  answer: toHex(encodePieceHaves(haves)),
  input: { nars, haves: ['none', 'all', 'pieces 0, 2 and 12'] },
})
const offers = [
  { nar: nars[0] ?? '', index: 7 },
  { nar: nars[2] ?? '', index: 300 },
]
write('piece-piece', {
  question: toHex(encodePieceQuestion({ kind: 'piece', offers })),
  heads: [
    toHex(encodePieceHead({ kind: 'none' })),
    toHex(encodePieceHead({ kind: 'busy' })),
    toHex(encodePieceHead({ kind: 'piece', choice: 1, have: haves[2] })),
  ],
  input: { offers, heads: ['none', 'busy', 'offer 1, held are pieces 0, 2 and 12'] },
})

const plan = planBlob(PLAN_INPUT)
write('blob-plan', { input: PLAN_INPUT, bytes: toHex(plan.bytes), hash: plan.hash })
const withHolders = { ...PLAN_INPUT, policy: { ...PLAN_INPUT.policy, holders: 2 } }
const heldPlan = planBlob(withHolders)
write('blob-plan-holders', {
  input: withHolders,
  bytes: toHex(heldPlan.bytes),
  hash: heldPlan.hash,
})

const proof = accusationOf(twoBlocks(), { fleet: FLEET })
if (proof?.blob === undefined) throw new Error('expected a proof that is a blob')
const pair = openLiePair(proof.blob.bytes, proof.blob.hash)
write('blob-proof', {
  fleet: FLEET,
  input: { first: toHex(pair.first), second: toHex(pair.second) },
  body: proof.body,
  lie: proof.lie,
  bytes: toHex(proof.blob.bytes),
  hash: proof.blob.hash,
})

const voter = { fleet: FLEET, key: web1.fact }
write('gate-propose', parts('gate.propose', sealBlock(BLOCK, voter).bytes, BLOCK, web1.fact))
const RECONFIG: BlockBody = {
  ...BLOCK,
  commands: [{ kind: 'reconfig', config: toHex(sha256(SIGNED_2.bytes)) }],
}
write(
  'gate-propose-reconfig',
  parts('gate.propose', sealBlock(RECONFIG, voter).bytes, RECONFIG, web1.fact),
)
const NEXT_ROOT: BlockBody = {
  ...BLOCK,
  commands: [{ kind: 'root', root: toHex(sha256(signRoot(ROOT_2, admins, FLEET).bytes)) }],
  rootVersion: 2,
}
write(
  'gate-propose-root',
  parts('gate.propose', sealBlock(NEXT_ROOT, voter).bytes, NEXT_ROOT, web1.fact),
)
const place = { group: 'berlin', epoch: 1, view: 7 }
const onBlock = { ...place, block: idOf('block') }
for (const [kind, body] of [
  ['notarize', onBlock],
  ['skip', place],
  ['final', onBlock],
] as const) {
  write(`gate-${kind}`, parts(`gate.${kind}`, sealVote(kind, body, voter).bytes, body, web1.fact))
  writeCertificate(kind, body)
}

const question = { nonce: shortId('nonce'), rollout: ROLLOUT, round: 0 }
const seen = { generation: GENERATION, boot: BOOT }
const ANSWERS = {
  'probe.rsp': { nonce: question.nonce, host: 'web-1', ...seen, healthy: true },
  'confirm.rsp': { ...question, ...seen, host: 'web-1', ok: false, why: 'front-page' },
  'lease.rsp': { ...question, host: 'web-1', head: idOf('head'), ttlMs: 60_000, granted: true },
} as const
const suspicion = { host: 'web-2', incarnation: 3 }
const refutation = { incarnation: 4 }
const rumours = [
  toHex(sealAnswer('reach.suspect', suspicion, voter)),
  toHex(sealAnswer('reach.refute', refutation, voter)),
]
const NEWS_ANSWERS = {
  'reach.suspect': suspicion,
  'reach.refute': refutation,
  'reach.rsp': {
    nonce: question.nonce,
    host: 'web-1',
    incarnation: 4,
    rumours,
    seen: [{ host: 'web-2', ageMs: 12_000 }],
  },
  'current.rsp': {
    nonce: question.nonce,
    host: 'web-2',
    head: idOf('head'),
    slot: 42,
    last: ROLLOUT,
    version: 12,
  },
} as const
for (const type of Object.keys(NEWS_ANSWERS) as (keyof typeof NEWS_ANSWERS)[]) {
  const bytes = sealAnswer(type, NEWS_ANSWERS[type], voter)
  write(`answer-${type.replace('.', '-')}`, parts(type, bytes, NEWS_ANSWERS[type], web1.fact))
}
for (const type of ['probe.rsp', 'confirm.rsp', 'lease.rsp'] as const) {
  const bytes = sealAnswer(type, ANSWERS[type], voter)
  write(`answer-${type.replace('.', '-')}`, parts(type, bytes, ANSWERS[type], web1.fact))
}
const refused = { ...ANSWERS['lease.rsp'], granted: false, refusal: 'halted' } as const
write(
  'answer-lease-refused',
  parts('lease.rsp', sealAnswer('lease.rsp', refused, voter), refused, web1.fact),
)

const checkpoint = checkpointText({
  origin: gateOrigin(FLEET, 'berlin'),
  size: 3,
  root: nodeHash(nodeHash(fromHex(idOf('a')), fromHex(idOf('b'))), fromHex(idOf('c'))),
})
const cosigner = cosignerOf(FLEET, { name: 'web-1', cosign: keysOf('web-1').cosign.publicKey })
const timeS = Math.floor(TS / 1000)
const line = cosign({ text: checkpoint, key: keysOf('web-1').cosign, cosigner, timeS })
const note = formatNote({ text: checkpoint, signatures: [line] })
write('tlog-checkpoint', {
  seed: toHex(seedOf('web-1')),
  key: verifierKey(cosigner),
  input: { text: checkpoint, timeS },
  note,
})
const path = [idOf('a'), idOf('b')]
const extra = idOf('extra')
write('tlog-proof', {
  index: 2,
  path,
  extra,
  proof: formatTlogProof({
    extra: fromHex(extra),
    index: 2,
    path: path.map(fromHex),
    checkpoint: note,
  }),
})

const questions = [
  { kind: 'cosign', checkpoint, from: 2, proof: [fromHex(idOf('a')), fromHex(idOf('b'))] },
  { kind: 'checkpoints', above: 7 },
] as const
const answers = [
  { kind: 'cosigned', note },
  { kind: 'conflict', size: 2 },
  { kind: 'behind', size: 2 },
  { kind: 'refused', why: 'another root' },
  { kind: 'checkpoints', notes: [note] },
] as const
write('witness', {
  questions: questions.map((one) => toHex(encodeWitnessQuestion(one))),
  answers: answers.map((one) => ({ input: one, bytes: toHex(encodeWitnessAnswer(one)) })),
})
writeBundle()

const byHost = enrolling()
writeEnroll('enroll-request', byHost, [keysOf9(), TICKET_KEY])
const newcomer = keyPair(seedOf('carol'))
const byOperator = signEnroll(
  { invite: idOf('invite'), name: 'carol' },
  { fleet: FLEET, key: newcomer, ticket: TICKET_KEY },
)
writeEnroll('enroll-request-operator', byOperator, [newcomer, TICKET_KEY])
const enrollQuestions: EnrollQuestion[] = [
  { request: byOperator.bytes },
  { request: byOperator.bytes, want: { kind: 'root', number: 2 } },
]
const enrollAnswers: EnrollAnswer[] = [
  { kind: 'standing', state: 'pending', roots: 0, epoch: 0, why: '' },
  { kind: 'standing', state: 'admitted', roots: 2, epoch: 3, why: '' },
  { kind: 'document', document: fromHex(idOf('document')) },
  { kind: 'refused', code: 'used-up', why: '3 of 3 uses are taken' },
]
write('enroll-messages', {
  questions: enrollQuestions.map((one) => ({
    input: { ...one, request: toHex(one.request) },
    bytes: toHex(encodeEnrollQuestion(one)),
  })),
  answers: enrollAnswers.map((one) => ({
    input: one.kind === 'document' ? { ...one, document: toHex(one.document) } : one,
    bytes: toHex(encodeEnrollAnswer(one)),
  })),
})
const ticket: Ticket = {
  rootHash: idOf('root'),
  fleet: 'example',
  invite: idOf('invite'),
  seed: seedOf('ticket'),
  kind: 'host',
  name: 'web-9',
  notAfter: TS + 3_600_000,
  peers: [{ address: '/ip4/10.0.0.1/tcp/7460', key: web1.transport.publicKey }],
}
write('ticket', { input: { ...ticket, seed: toHex(ticket.seed) }, text: formatTicket(ticket) })
