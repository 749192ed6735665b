/** Whole swarms in one process: real pieces on a real disk, over a network that is a function call. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock, systemRandom } from '../../../node/clock.ts'
import { PieceFiles } from '../../../node/swarm/piece-files.ts'
import { PieceLists, type RootedNar } from '../../../node/swarm/piece-lists.ts'
import { Swarm } from '../../../node/swarm/swarm.ts'
import {
  createSha256,
  decodePieceQuestion,
  type Hash,
  PIECE_BYTES,
  PieceLister,
  pieceRoot,
  sha256,
  toHex,
} from '../../../protocol/index.ts'
import { bytesOf, pieces } from '../../portable-build.ts'
import { recorder } from './fakes.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'nixfleet-swarm-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** A NAR of `size` bytes that no compressor and no luck could guess. */
function narOf(size: number, seed: number): { nar: RootedNar; bytes: Uint8Array } {
  const bytes = new Uint8Array(size)
  let block = sha256(Uint8Array.of(seed))
  for (let at = 0; at < size; at += 32) {
    block = sha256(block)
    bytes.set(block.subarray(0, Math.min(32, size - at)), at)
  }
  const lister = new PieceLister()
  lister.update(bytes)
  const narHash = toHex(sha256(bytes))
  return { nar: { narHash, narSize: size, pieces: pieceRoot(lister.list()) }, bytes }
}

type Lie = (answer: Uint8Array, question: Uint8Array) => Uint8Array

/** Hosts that hear each other at once. */
class Group {
  readonly hosts = new Map<string, Host>()
  readonly nars = new Map<Hash, RootedNar>()
  readonly lies = new Map<string, Lie>()
  /** How often each piece was asked for, over the whole group. */
  asked = 0
  /** Bytes a second that each host may give. */
  uploadRate = 0

  async add(name: string, held: readonly { nar: RootedNar; bytes: Uint8Array }[]): Promise<Host> {
    for (const { nar } of held) this.nars.set(nar.pieces, nar)
    const host = await Host.start(
      this,
      name,
      new Map(held.map((one) => [one.nar.narHash, one.bytes])),
    )
    for (const other of this.hosts.values()) {
      other.swarm.peer(name, true)
      host.swarm.peer(other.name, true)
    }
    this.hosts.set(name, host)
    return host
  }

  /** As after kill −9: nothing more of it is heard, and its disk stays as it is. */
  kill(name: string): void {
    this.hosts.get(name)?.swarm.stop()
    this.hosts.delete(name)
    for (const other of this.hosts.values()) other.swarm.peer(name, false)
  }

  stop(): void {
    for (const name of [...this.hosts.keys()]) this.kill(name)
  }
}

class Host {
  readonly name: string
  readonly swarm: Swarm
  readonly held: Map<Hash, Uint8Array>
  readonly folder: string
  readonly log = recorder()

  private constructor(
    parts: { name: string; folder: string; held: Map<Hash, Uint8Array> },
    make: (host: Host) => Swarm,
  ) {
    this.name = parts.name
    this.folder = parts.folder
    this.held = parts.held
    this.swarm = make(this)
  }

  static async start(group: Group, name: string, held: Map<Hash, Uint8Array>): Promise<Host> {
    const folder = join(root, name)
    const files = await PieceFiles.open(join(folder, 'parts'))
    const whole = async (hash: Hash, from: number) => {
      const bytes = held.get(hash)
      return bytes && pieces(bytes.subarray(from), 100_000)
    }
    const network = {
      peers: () => [...group.hosts.keys()].filter((peer) => peer !== name),
      async *pull(peer: string, hash: Hash, offset: number) {
        const list = await group.hosts.get(peer)?.lists?.read(hash)
        if (list === undefined) throw new Error(`${peer} has no such list`)
        yield list.subarray(offset)
      },
      async *pieces(peer: string, question: Uint8Array, signal: AbortSignal) {
        const other = group.hosts.get(peer)
        if (other === undefined) throw new Error(`${peer} is away`)
        if (decodePieceQuestion(question).kind === 'piece') group.asked++
        for await (const chunk of await other.swarm.answer(question, name)) {
          signal.throwIfAborted()
          if (!group.hosts.has(peer)) throw new Error(`${peer} went away`)
          yield group.lies.get(peer)?.(chunk, question) ?? chunk
        }
      },
    }
    const log = recorder()
    const lists = await PieceLists.open({
      folder: join(folder, 'lists'),
      ...{ network, log },
      narOf: (hash) => group.nars.get(hash),
      whole: (hash) => whole(hash, 0),
    })
    const host = new Host({ name, folder, held }, (it) => {
      return new Swarm({
        ...{ network, files, lists, whole, log: it.log },
        ...{
          clock: systemClock(),
          random: systemRandom(),
          uploadRate: group.uploadRate,
          downloadRate: 0,
        },
        isNear: () => true,
        heldNars: async (hashes) => new Set(hashes.filter((hash) => held.has(hash))),
        passed: () => undefined,
      })
    })
    host.lists = lists
    return host
  }

  lists: PieceLists | undefined

  /** Takes NARs in, each into its store as soon as it is whole. */
  async take(nars: readonly RootedNar[]): Promise<void> {
    const lease = this.swarm.lease(nars)
    try {
      for (const { narHash } of nars) {
        const bytes = await bytesOf(lease.nar(narHash))
        const sha = createSha256()
        sha.update(bytes)
        expect(toHex(sha.digest())).toBe(narHash)
        this.held.set(narHash, bytes)
      }
    } finally {
      await lease.end()
    }
  }

  parts(): readonly string[] {
    return readdirSync(join(this.folder, 'parts'))
  }
}

describe('a swarm', () => {
  it('brings a closure to every host, mostly from each other, and leaves no file behind', async () => {
    const group = new Group()
    group.uploadRate = 6 * PIECE_BYTES
    const closure = [narOf(9.5 * PIECE_BYTES, 1), narOf(700, 2), narOf(PIECE_BYTES, 3)]
    const nars = closure.map(({ nar }) => nar)
    const seeder = await group.add('seeder', closure)
    const hosts = await Promise.all(['a', 'b', 'c', 'd'].map((name) => group.add(name, [])))
    await Promise.all(hosts.map((host) => host.take(nars)))
    const size = nars.reduce((sum, { narSize }) => sum + narSize, 0)
    for (const host of hosts) {
      expect(host.swarm.counts.received).toBe(size)
      expect(host.parts()).toEqual([])
    }
    // Without others each would have taken all of it from the seeder: four times its size.
    expect(seeder.swarm.counts.sent).toBeLessThan(3 * size)
    expect(hosts.some((host) => host.swarm.counts.sent > 0)).toBe(true)
    group.stop()
  })

  it('gives away what it has while the rest is still on its way', async () => {
    const group = new Group()
    const whole = narOf(4 * PIECE_BYTES, 4)
    const hash = whole.nar.narHash
    // The seeder goes away after two pieces; what the first host has then is all there is.
    await group.add('seeder', [whole])
    const first = await group.add('first', [])
    group.lies.set('seeder', (chunk) => {
      if (first.swarm.counts.received >= 2 * PIECE_BYTES) throw new Error('the seeder has died')
      return chunk
    })
    const lease = first.swarm.lease([whole.nar])
    await until(() => first.swarm.counts.received >= 2 * PIECE_BYTES)
    group.kill('seeder')
    const second = await group.add('second', [])
    group.nars.set(whole.nar.pieces, whole.nar)
    const other = second.swarm.lease([whole.nar])
    await until(() => second.swarm.counts.received >= first.swarm.counts.received)
    expect(second.swarm.counts.received).toBeGreaterThanOrEqual(2 * PIECE_BYTES)
    expect(second.swarm.counts.received).toBeLessThan(4 * PIECE_BYTES)
    group.lies.clear()
    await group.add('again', [whole])
    for (const one of [lease, other]) expect(toHex(sha256(await bytesOf(one.nar(hash))))).toBe(hash)
    group.stop()
  })

  it('goes on after a kill with what it holds, asks for nothing twice, and trusts no byte of it', async () => {
    const group = new Group()
    const whole = narOf(8 * PIECE_BYTES, 5)
    await group.add('seeder', [whole])
    const first = await group.add('first', [])
    first.swarm.lease([whole.nar])
    await until(() => first.swarm.counts.received >= 3 * PIECE_BYTES)
    group.kill('first')
    // The disk as the kill found it, under another name: what was under way here may still be written.
    const file = join(first.folder, 'parts', `${whole.nar.narHash}.part`)
    const left = readFileSync(file)
    const held = Array.from({ length: 8 }, (_, i) => i).filter((i) => {
      const span = [i * PIECE_BYTES, (i + 1) * PIECE_BYTES] as const
      return left.subarray(...span).equals(Buffer.from(whole.bytes.subarray(...span)))
    })
    const damaged = held[0] ?? 0
    left[damaged * PIECE_BYTES + 5] = (left[damaged * PIECE_BYTES + 5] ?? 0) ^ 1
    // One of the pieces is damaged by the crash.
    mkdirSync(join(root, 'again', 'parts'), { recursive: true })
    writeFileSync(join(root, 'again', 'parts', `${whole.nar.narHash}.part`), left)
    group.asked = 0
    const again = await group.add('again', [])
    await again.take([whole.nar])
    expect(again.swarm.counts.received).toBe((8 - held.length + 1) * PIECE_BYTES)
    expect(group.asked).toBe(8 - held.length + 1)
    expect(again.parts()).toEqual([])
    group.stop()
  })

  it('loses one piece to a peer that lies, drops it, and says so', async () => {
    const group = new Group()
    const whole = narOf(6 * PIECE_BYTES, 6)
    await group.add('honest', [whole])
    await group.add('liar', [whole])
    group.lies.set('liar', (chunk, question) =>
      decodePieceQuestion(question).kind === 'piece' && chunk.length > 1000
        ? chunk.map((byte, i) => (i === 77 ? byte ^ 1 : byte))
        : chunk,
    )
    const host = await group.add('host', [])
    await host.take([whole.nar])
    expect([...host.swarm.liars]).toEqual(['liar'])
    const said = host.log.lines.filter((line) => line.includes('wrong piece'))
    expect(said).toHaveLength(1)
    expect(host.swarm.counts.received).toBe(6 * PIECE_BYTES)
    group.stop()
  })
})

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn++) {
    if (turn > 20_000) throw new Error('expected it to come true, found that it did not')
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
