/** The swarm of a node: its folders, and the NARs that the node holds whole. */
import { join } from 'node:path'
import type { Hash, HostName, ManifestPath } from '../../protocol/index.ts'
import type { RuntimeParts } from '../runtime-parts.ts'
import { PieceFiles } from './piece-files.ts'
import { PieceLists } from './piece-lists.ts'
import { Swarm } from './swarm.ts'

/** Where pieces are kept, how fast they may pass, and which manifests are known. */
export interface SwarmOptions {
  readonly folder: string
  /** Bytes a second that may leave; 0 is without a bound. */
  readonly uploadRate: number
  readonly downloadRate: number
  /** Whether a peer is of this host's own group now: whoever joins later is asked first as well. */
  isNear(peer: HostName): boolean
  /** The path whose pieces have this root, as some manifest says. */
  pathOfPieces(root: Hash): ManifestPath | undefined
  /** Bytes of pieces came or left. */
  passed?(): void
}

type SwarmWorld = Pick<RuntimeParts, 'network' | 'clock' | 'random' | 'log' | 'depot' | 'system'>

/** A swarm, and the piece lists that peers ask for as blobs. */
export interface OpenedSwarm {
  readonly swarm: Swarm
  readonly lists: PieceLists
}

/** Opens the swarm under `options.folder`. */
export async function openSwarm(parts: SwarmWorld, options: SwarmOptions): Promise<OpenedSwarm> {
  const { network, clock, random, log, depot, system } = parts
  const whole = async (hash: Hash, from: number): Promise<AsyncIterable<Uint8Array> | undefined> =>
    (await depot?.read(hash, from)) ?? (await system.nar(hash, from))
  const files = await PieceFiles.open(join(options.folder, 'parts'))
  const heldNars = async (hashes: readonly Hash[]): Promise<ReadonlySet<Hash>> => {
    const here = hashes.filter((hash) => depot?.has(hash))
    const others = hashes.filter((hash) => !here.includes(hash))
    const held = others.length === 0 ? [] : await system.heldNars(others)
    return new Set([...here, ...held])
  }
  // A run that was killed between a path's way into the store and the end of its pieces leaves both.
  for (const hash of await system.heldNars(await files.begun())) await files.remove(hash)
  const lists = await PieceLists.open({
    folder: join(options.folder, 'lists'),
    ...{ network, log },
    narOf: (root) => options.pathOfPieces(root),
    whole: (hash) => whole(hash, 0),
  })
  const swarm = new Swarm({
    ...{ network, clock, random, log, files, lists, whole },
    uploadRate: options.uploadRate,
    downloadRate: options.downloadRate,
    isNear: (peer) => options.isNear(peer),
    heldNars,
    passed: () => options.passed?.(),
  })
  return { swarm, lists }
}
