/**
 * A pull of a fleet that has lived for long, made without living it: every byte is signed and laid out
 * as `audit pull` would, and the same numbers always give the same bytes.
 *
 * Hosts speak in turns, ten facts a day each. After each hour a block anchors the feeds that moved, a
 * quorum certifies it, and cosigns the checkpoint. Memory is that of one unfinished bundle a host.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { feedAt, gateAt } from '../../cli/audit/layout.ts'
import { LogWriter, writeWhole } from '../../cli/audit/log-files.ts'
import { writeVerifiers } from '../../cli/audit/verifiers.ts'
import {
  appendLeaf,
  type BasisFeed,
  checkpointText,
  cosign,
  cosignerOf,
  DEMO,
  deriveHostKeys,
  EMPTY_FRONTIER,
  encodeCertificate,
  entryOf,
  type FactBodies,
  type FactType,
  type FleetId,
  feedOrigin,
  fleetIdOf,
  formatNote,
  frontierRoot,
  type GroupConfig,
  gateOrigin,
  type HostIdentity,
  hostIdentity,
  type KeyPair,
  keyPair,
  leafHash,
  NO_FACT,
  quorumOf,
  type Session,
  sealBlock,
  sealFact,
  sealVote,
  sha256,
  sha256Hex,
  signGroupConfig,
  signRoot,
  utf8,
} from '../../protocol/index.ts'

const GROUP = 'site'
const VOTERS = 5
const FACTS_PER_DAY = 10
const HOURS_PER_DAY = 24
const HOUR_MS = 3_600_000
/** 2026-01-01T00:00:00Z */
const BEGIN_MS = 1_767_225_600_000

/** What was made. */
export interface LongLog {
  readonly rootHash: string
  readonly facts: number
  readonly blocks: number
  /** Ed25519 signatures in it: of facts, blocks, votes and cosignatures. */
  readonly signatures: number
}

/** A host that writes its feed. */
interface Author {
  readonly name: string
  readonly keys: ReturnType<typeof deriveHostKeys>
  readonly identity: HostIdentity
  readonly session: Session
  readonly log: LogWriter
  seq: number
  prev: string
}

/** Writes a pull of `facts` facts by `hosts` hosts into `folder`. Stops when `signal` aborts. */
export function writeLongLog(
  folder: string,
  wanted: { readonly hosts: number; readonly facts: number; readonly signal: AbortSignal },
): LongLog {
  const admin = keyPair(sha256(utf8('bench/admin')))
  const root = signRoot(
    {
      ...{ version: 1, name: 'bench', admins: [admin.publicKey], threshold: 1 },
      ...{ operators: [], releaseKeys: [], groups: [GROUP] },
    },
    [admin],
  )
  const fleet = fleetIdOf(root.hash)
  const authors = Array.from({ length: wanted.hosts }, (_, i) => authorOf(folder, fleet, i))
  const voters = authors.slice(0, VOTERS)
  const quorum = quorumOf(voters.length, 'crash')
  const value: GroupConfig = {
    ...{ fleet, group: GROUP, epoch: 1, faultModel: 'crash', quorum },
    voters: voters.map(({ name }) => name),
    hosts: authors.map(({ identity }) => ({ ...identity, addresses: [], tags: [] })),
    floors: { canaryMin: 0, soakMsMin: 0, wavePercentMax: 100, budgetMax: 250 },
    timing: DEMO,
  }
  const config = signGroupConfig(value, [admin])
  mkdirSync(join(folder, 'documents'), { recursive: true })
  writeWhole(join(folder, 'documents/root.1.cbor'), root.bytes)
  writeWhole(join(folder, `documents/group.${GROUP}.1.cbor`), config.bytes)
  const gate = new GateWriter(folder, { fleet, voters, quorum, parent: config.hash })
  const hourly = Math.max(1, Math.round((wanted.hosts * FACTS_PER_DAY) / HOURS_PER_DAY))
  let facts = 0
  for (let hour = 0; facts < wanted.facts; hour++) {
    wanted.signal.throwIfAborted()
    const basis: BasisFeed[] = []
    for (let i = 0; i < hourly && facts < wanted.facts; i++, facts++) {
      const author = authors[facts % authors.length]
      if (author !== undefined) basis.push(speak(author, { fleet, ts: BEGIN_MS + hour * HOUR_MS }))
    }
    gate.anchor(basis, BEGIN_MS / 1000 + (hour + 1) * 3600)
  }
  for (const { log } of authors) log.finish()
  writeVerifiers(folder)
  const { blocks } = gate.finish()
  return { rootHash: root.hash, facts, blocks, signatures: facts + blocks * (1 + 2 * quorum) }
}

function authorOf(folder: string, fleet: FleetId, index: number): Author {
  const name = `host-${String(index + 1).padStart(3, '0')}`
  const keys = deriveHostKeys(sha256(utf8(`bench/${name}`)))
  const session = sha256Hex(utf8(`bench/session/${name}`)).slice(0, 32)
  const { publicKey } = keys.fact
  const place = feedAt(folder, publicKey, session)
  const log = new LogWriter(place, feedOrigin(fleet, publicKey, session), { certified: false })
  const identity = hostIdentity(name, keys)
  return { name, keys, identity, session, log, seq: 0, prev: NO_FACT }
}

/** The author's next fact, of the kinds and sizes that a fleet writes: two in three of health. */
function speak(author: Author, { fleet, ts }: { fleet: FleetId; ts: number }): BasisFeed {
  const { keys, session, log, seq, prev } = author
  const place = { session, seq, prev, epoch: 1, ts }
  const by = { fleet, key: keys.fact }
  const fact = sealFact({ ...draftOf(author), ...place }, by)
  log.append(entryOf(fact.bytes, fact.type, fleet))
  author.seq = seq + 1
  author.prev = fact.id
  return { author: keys.fact.publicKey, session, seq, head: fact.id }
}

type Draft = { [T in FactType]: { readonly type: T; readonly body: FactBodies[T] } }[FactType]

function draftOf({ name, seq }: Author): Draft {
  const generation = `/nix/store/${sha256Hex(utf8(`release ${Math.floor(seq / 30)}`)).slice(0, 32)}-nixos-system-${name}-26.05`
  const boot = '8f14e45f-ceea-467f-a0e6-0123456789ab'
  const rollout = sha256Hex(utf8(`rollout ${Math.floor(seq / 30)}`))
  if (seq % 6 === 1)
    return {
      type: 'host.transition',
      body: { rollout, round: 0, from: 'PROBATION', to: 'CONFIRMED', generation, boot },
    }
  if (seq % 6 === 3) {
    const seen = { round: 0, verdict: 'ok', ok: 20, ko: 0, elapsedMs: 60_000 } as const
    const host = name === 'host-001' ? 'host-002' : 'host-001'
    const subject = { host, window: seq, generation, boot, ...seen }
    return { type: 'obs.attest', body: { rollout, subjects: [subject] } }
  }
  const checks = ['web', 'disk', 'time'].map((check) => ({ name: check, ok: true }))
  return { type: 'health.change', body: { generation, boot, state: 'healthy', checks } }
}

/** The group's gate log: anchors, their certificates, and the checkpoints over them. */
class GateWriter {
  readonly #folder: string
  readonly #fleet: FleetId
  readonly #voters: readonly Author[]
  readonly #quorum: number
  readonly #log: LogWriter
  #tree = EMPTY_FRONTIER
  #parent: string

  constructor(
    folder: string,
    rules: { fleet: FleetId; voters: readonly Author[]; quorum: number; parent: string },
  ) {
    this.#folder = folder
    this.#fleet = rules.fleet
    this.#voters = rules.voters
    this.#quorum = rules.quorum
    this.#parent = rules.parent
    const origin = gateOrigin(rules.fleet, GROUP)
    this.#log = new LogWriter(gateAt(folder, GROUP), origin, { certified: true })
  }

  anchor(basis: readonly BasisFeed[], timeS: number): void {
    const view = this.#tree.size + 1
    const place = { group: GROUP, epoch: 1, view }
    const fleet = this.#fleet
    const moved = new Map(basis.map((feed) => [feed.author, feed]))
    const block = sealBlock(
      { ...place, parent: this.#parent, commands: [], rootVersion: 1, basis: [...moved.values()] },
      { fleet, key: this.#voter(view).keys.fact },
    )
    const votes = this.#quorumAt(view).map(({ keys }) =>
      sealVote('final', { ...place, block: block.id }, { fleet, key: keys.fact }),
    )
    const certificate = encodeCertificate({
      kind: 'final',
      body: { ...place, block: block.id },
      votes: votes.map(({ voter, signature }) => ({ voter, signature })),
    })
    const entry = entryOf(block.bytes, 'gate.propose', fleet)
    this.#log.append({ ...entry, certificate })
    this.#tree = appendLeaf(this.#tree, leafHash(entry.entry))
    this.#parent = block.id
    this.#checkpoint(timeS)
  }

  finish(): { readonly blocks: number } {
    this.#log.finish()
    return { blocks: this.#tree.size }
  }

  #checkpoint(timeS: number): void {
    const { size } = this.#tree
    const origin = gateOrigin(this.#fleet, GROUP)
    const text = checkpointText({ origin, size, root: frontierRoot(this.#tree) })
    const signatures = this.#quorumAt(size).map(({ keys, identity }) => {
      const key: KeyPair = keys.cosign
      return cosign({ text, key, cosigner: cosignerOf(this.#fleet, identity), timeS })
    })
    const { folder } = gateAt(this.#folder, GROUP)
    writeWhole(join(folder, 'checkpoints', String(size)), formatNote({ text, signatures }))
  }

  #voter(turn: number): Author {
    const voter = this.#voters[turn % this.#voters.length]
    if (voter === undefined) throw new RangeError('expected a voter, found none')
    return voter
  }

  /** Another quorum each time. */
  #quorumAt(turn: number): readonly Author[] {
    return Array.from({ length: this.#quorum }, (_, i) => this.#voter(turn + i))
  }
}
