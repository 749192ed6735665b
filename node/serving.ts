/** The bytes that this node hands out by hash: plans, manifests, lists of pieces, and NARs of its depot and its system. */
import { chunksOf } from './blob-store.ts'
import type { Runtime } from './runtime.ts'

/** Whatever this node holds under `hash`, from `offset`; undefined when it holds nothing of it. */
export async function serve(
  node: Runtime,
  hash: string,
  offset: number,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const blob = await node.blobs.read(hash)
  if (blob !== undefined) return chunksOf(blob, offset)
  const { swarm } = node.parts
  const list = node.blobs.pathOfPieces(hash) && (await swarm?.lists.read(hash))
  return list === undefined ? await serveNar(node, hash, offset) : chunksOf(list, offset)
}

/** A NAR in the depot, else in the system's store. */
export async function serveNar(
  node: Runtime,
  hash: string,
  offset: number = 0,
): Promise<AsyncIterable<Uint8Array> | undefined> {
  const { depot, system } = node.parts
  return (await depot?.read(hash, offset)) ?? (await system.nar(hash, offset))
}
