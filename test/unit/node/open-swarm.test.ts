/** A node's swarm as it is opened: what a killed run left goes, and who is near is asked anew. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemClock, systemRandom } from '../../../node/clock.ts'
import type { Network, System } from '../../../node/ports.ts'
import { type OpenedSwarm, openSwarm } from '../../../node/swarm/open-swarm.ts'
import {
  decodePieceQuestion,
  encodePieceHaves,
  encodePieceHead,
  type Hash,
  PIECE_BYTES,
  PieceLister,
  pieceRoot,
  sha256,
  toHex,
} from '../../../protocol/index.ts'
import { bytesOf } from '../../portable-build.ts'
import { recorder } from './fakes.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nixfleet-open-swarm-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const BYTES = new Uint8Array(3 * PIECE_BYTES).map((_, i) => (i * 7 + (i >> 14)) % 251)
const LISTER = new PieceLister()
LISTER.update(BYTES)
const LIST = LISTER.list()
const NAR = { narHash: toHex(sha256(BYTES)), narSize: BYTES.length, pieces: pieceRoot(LIST) }

/** Peers that hold everything and say who was asked for a piece. The other site is the last to say so. */
class Peers {
  readonly asked: string[] = []
  #said = (): void => undefined
  readonly #joined = new Promise<void>((resolve) => {
    this.#said = resolve
  })

  readonly network = {
    peers: () => ['elsewhere', 'joined'],
    pull: async function* () {
      yield LIST
    },
    pieces: (peer: string, question: Uint8Array) => this.#answer(peer, question),
  } as unknown as Network

  async *#answer(peer: string, bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    const question = decodePieceQuestion(bytes)
    if (question.kind === 'have') {
      if (peer === 'elsewhere') await this.#joined
      else setTimeout(this.#said, 20)
      yield encodePieceHaves(question.nars.map(() => ({ kind: 'all' })))
      return
    }
    this.asked.push(peer)
    yield encodePieceHead({ kind: 'piece', choice: 0, have: { kind: 'all' } })
    const from = (question.offers[0]?.index ?? 0) * PIECE_BYTES
    yield BYTES.subarray(from, from + PIECE_BYTES)
  }
}

async function opened(
  network: Network,
  members: ReadonlySet<string>,
  held: readonly Hash[] = [],
): Promise<OpenedSwarm> {
  const system = {
    nar: async () => undefined,
    heldNars: async (hashes: readonly Hash[]) => new Set(hashes.filter((it) => held.includes(it))),
  } as unknown as System
  return await openSwarm(
    { network, system, clock: systemClock(), random: systemRandom(), log: recorder() },
    {
      ...{ folder, uploadRate: 0, downloadRate: 0 },
      isNear: (peer) => members.has(peer),
      pathOfPieces: () => undefined,
    },
  )
}

it('asks a host that joined after the start before it asks another site', async () => {
  const peers = new Peers()
  const members = new Set<string>()
  const { swarm } = await opened(peers.network, members)
  swarm.peer('elsewhere', true)
  members.add('joined')
  swarm.peer('joined', true)
  const lease = swarm.lease([NAR])
  expect(Buffer.compare(await bytesOf(lease.nar(NAR.narHash)), BYTES)).toBe(0)
  await lease.end()
  swarm.stop()
  expect(peers.asked.length).toBe(3)
  expect(new Set(peers.asked)).toEqual(new Set(['joined']))
})

it('clears pieces of what is in the store by now and drafts, and keeps those of what is not', async () => {
  const other = 'b'.repeat(64)
  for (const name of ['parts', 'lists']) mkdirSync(join(folder, name))
  for (const hash of [NAR.narHash, other]) writeFileSync(join(folder, 'parts', `${hash}.part`), 'x')
  writeFileSync(join(folder, 'lists', `.${NAR.pieces}.new`), 'half')
  writeFileSync(join(folder, 'lists', NAR.pieces), LIST)
  const { swarm } = await opened(new Peers().network, new Set(), [NAR.narHash])
  swarm.stop()
  expect(existsSync(join(folder, 'parts', `${NAR.narHash}.part`))).toBe(false)
  expect(existsSync(join(folder, 'parts', `${other}.part`))).toBe(true)
  expect(existsSync(join(folder, 'lists', `.${NAR.pieces}.new`))).toBe(false)
  expect(existsSync(join(folder, 'lists', NAR.pieces))).toBe(true)
})
