/**
 * Signing: a key, the fleet that it pins, and one feed for this run.
 *
 * Each run writes a feed of its own (16 random bytes), so that a peer which dies with the last fact
 * never makes an honest operator sign two facts for one place.
 */
import type { Documents, Submitted } from '../node/index.ts'
import {
  type Blob,
  type FactBodies,
  type FactOf,
  type FactType,
  fleetIdOf,
  type GroupConfig,
  NO_FACT,
  openRoots,
  openUnderAny,
  type Root,
  sealFact,
  toHex,
} from '../protocol/index.ts'
import type { Client } from './client.ts'
import type { Context } from './context.ts'
import { CliError } from './errors.ts'
import { type KeyFile, readKeyFile } from './key-file.ts'
import { identityPaths, releaseKeyPaths } from './places.ts'
import type { BlobSource } from './transport.ts'

/** The fleet's documents, verified against the root hash that the key file pins. */
export interface VerifiedFleet {
  readonly fleet: string
  /** The root in force. */
  readonly root: Root
  readonly config: GroupConfig
  /** The hash of the group's first configuration: the base of a plan that no block preceded. */
  readonly genesis: string
  /** Roots, the first first, and the first configuration, as they were signed. */
  readonly documents: { readonly roots: readonly Uint8Array[]; readonly group: Uint8Array }
}

/** Someone who signs, for one run. */
export interface Author {
  readonly key: KeyFile
  readonly fleet: VerifiedFleet
  /** The next fact of this run's feed. */
  readonly seal: <T extends FactType>(type: T, body: FactBodies[T]) => FactOf<T>
}

/** A blob to send, with its name. */
export interface Upload extends BlobSource {
  readonly hash: string
}

/** The operator of this run. Throws NF-1201, NF-1202, NF-1203, NF-1204. */
export async function loadOperator(context: Context, client: Client): Promise<Author> {
  const key = readKeyFile(identityPaths(context.settings, context.env, context.cwd), 'operator')
  const fleet = await verifyFleet(client, key.rootHash)
  const grant = fleet.root.operators.find((operator) => operator.key === key.key.publicKey)
  const group = fleet.config.group
  if (grant === undefined || grant.role === 'readonly') {
    throw notPermitted(
      key,
      grant === undefined ? 'the root does not name the key' : 'its role is readonly',
    )
  }
  if (grant.groups.length > 0 && !grant.groups.includes(group)) {
    throw notPermitted(key, `its groups are ${grant.groups.join(', ')}, and this one is ${group}`)
  }
  return authorOf(context, key, fleet)
}

/** The release key of this run. Throws NF-1201, NF-1202, NF-1203, NF-1204. */
export async function loadReleaseAuthor(context: Context, client: Client): Promise<Author> {
  const key = readKeyFile(releaseKeyPaths(context.settings, context.env, context.cwd), 'release')
  const fleet = await verifyFleet(client, key.rootHash)
  if (!fleet.root.releaseKeys.some((release) => release.key === key.key.publicKey)) {
    throw notPermitted(key, 'the root does not name it as a release key')
  }
  return authorOf(context, key, fleet)
}

/**
 * Sends facts and then the blobs that they name and that the peer lacks; begins again when the client
 * moved to another peer in between, because that one may not have heard the facts yet.
 */
export async function publish(
  client: Client,
  facts: readonly { readonly bytes: Uint8Array }[],
  uploads: readonly Upload[],
  progress: (hash: string, done: number, total: number) => void = () => undefined,
): Promise<void> {
  for (;;) {
    const moves = client.moves()
    for (const fact of facts) await client.post<Submitted>('/api/v1/operations', fact.bytes)
    const done = await sendWanted(client, uploads, moves, progress)
    if (done && client.moves() === moves) return
  }
}

/** A blob in memory as an upload. */
export function uploadOf(blob: Blob): Upload {
  return {
    hash: blob.hash,
    size: blob.bytes.length,
    open: async function* () {
      yield blob.bytes
    },
  }
}

/**
 * Sends what is wanted, round by round: a manifest that arrived makes the peer want its store paths.
 * False when the client has moved.
 */
async function sendWanted(
  client: Client,
  uploads: readonly Upload[],
  moves: number,
  progress: (hash: string, done: number, total: number) => void,
): Promise<boolean> {
  const left = new Map(uploads.map((upload) => [upload.hash, upload]))
  for (;;) {
    const list = await client.all<{ hash: string }>('/api/v1/blobs')
    const wanted = list.items.flatMap((row) => left.get(row.hash) ?? [])
    if (client.moves() !== moves) return false
    if (wanted.length === 0) return true
    for (const upload of wanted) {
      await client.put(`/api/v1/blobs/${upload.hash}`, upload)
      if (client.moves() !== moves) return false
      left.delete(upload.hash)
      progress(upload.hash, uploads.length - left.size, uploads.length)
    }
  }
}

/** The fleet that a peer shows, checked against the root hash that a key file pins. Throws NF-1204. */
export async function verifyFleet(client: Client, rootHash: string): Promise<VerifiedFleet> {
  const documents = await client.get<Documents>('/api/v1/documents')
  try {
    const fleet = fleetIdOf(rootHash)
    const signed = [documents.root, ...documents.roots].map(base64)
    const roots = openRoots(signed, rootHash)
    const root = roots.at(-1)
    if (root === undefined) throw new Error('expected a root, found none')
    const configs = documents.groups
      .map(({ config }) => openUnderAny(base64(config), { roots, fleet }))
      .sort((a, b) => a.value.epoch - b.value.epoch)
    const [first, last] = [configs[0], configs.at(-1)]
    if (first?.value.epoch !== 1 || last === undefined)
      throw new Error('expected the group configuration of epoch 1, found none')
    return {
      ...{ fleet, root, config: last.value, genesis: first.hash },
      documents: { roots: signed, group: first.bytes },
    }
  } catch (error) {
    throw new CliError('NF-1204', `what ${client.address()} shows does not verify`, {
      why: [error instanceof Error ? error.message : String(error)],
      cause: error,
    })
  }
}

/** Whoever signs with `key` in this run, in a feed of its own. */
export function authorOf(context: Context, key: KeyFile, fleet: VerifiedFleet): Author {
  const session = toHex(context.random(16))
  let seq = 0
  let prev = NO_FACT
  return {
    key,
    fleet,
    seal: (type, body) => {
      const epoch = fleet.config.epoch
      const draft = { type, body, session, seq, prev, epoch, ts: context.now() }
      const fact = sealFact(draft, { fleet: fleet.fleet, key: key.key })
      seq += 1
      prev = fact.id
      return fact
    },
  }
}

function notPermitted(key: KeyFile, why: string): CliError {
  return new CliError(
    'NF-1203',
    `${key.name} (${key.key.publicKey.slice(0, 8)}…) may not do this`,
    {
      why: [why],
    },
  )
}

function base64(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'))
}
