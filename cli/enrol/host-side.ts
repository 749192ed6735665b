/**
 * A host that comes in by ticket: its seed, its request, its documents, its configuration.
 *
 * Each file is whole or not there, and each step finds what the one before it left, so that an end at
 * any moment costs nothing: the next run goes on with the same key and the same request.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  deriveHostKeys,
  type EnrollRequest,
  fleetIdOf,
  type GroupHost,
  type HostKeys,
  hostIdentity,
  openRoots,
  openUnderAny,
  signEnroll,
  type Ticket,
  ticketKey,
  toHex,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { hostRecordText } from '../host-record.ts'
import { syncFolder, writeNew, writeWhole } from '../whole-file.ts'
import type { Documents } from './ask-peers.ts'
import { openRequest, readRequestFile, requestText } from './request-file.ts'

/** The places of a host that is being enrolled. */
export interface HostPlaces {
  readonly data: string
  readonly seed: string
  /** The request as it was made, for the next run. */
  readonly request: string
  readonly trust: string
}

export function hostPlaces(data: string): HostPlaces {
  return {
    data,
    seed: join(data, 'seed'),
    request: join(data, 'enroll.json'),
    trust: join(data, 'trust'),
  }
}

/**
 * The host's keys, made here if there are none. Before the seed the mark of a folder that no node has
 * written to is there (SPEC §7.6): it must not come back once there is a seed.
 */
export function hostKeys(context: Context, places: HostPlaces): HostKeys {
  mkdirSync(places.data, { recursive: true, mode: 0o700 })
  if (!existsSync(places.seed)) {
    const mark = join(places.data, 'new')
    if (!existsSync(mark)) writeWhole(mark, 'no node has written to this folder yet\n', 0o600)
    writeNew(places.seed, `${toHex(context.random(32))}\n`, 0o600)
    context.out.note(`the seed is in ${places.seed} and never leaves this host`)
  }
  const text = readFileSync(places.seed, 'utf8').trim()
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new CliError(
      'NF-1004',
      `expected 64 hex digits in ${places.seed}, found something else`,
      {
        why: [],
        fix: ['restore it, or enrol into a fresh --data folder'],
      },
    )
  return deriveHostKeys(Uint8Array.from(Buffer.from(text, 'hex')))
}

/** Throws NF-1305 where the folder belongs to another fleet than the ticket. */
export function assertFleet(places: HostPlaces, ticket: Ticket): void {
  const foreign = (rootHash: string): CliError =>
    new CliError(
      'NF-1305',
      `${places.data} belongs to the fleet with root hash ${rootHash.slice(0, 16)}…, the ticket is for ${ticket.fleet} (${ticket.rootHash.slice(0, 16)}…)`,
    )
  const pinned = join(places.trust, 'root.hash')
  if (existsSync(pinned)) {
    const rootHash = readFileSync(pinned, 'utf8').trim()
    if (rootHash !== ticket.rootHash) throw foreign(rootHash)
  } else if (existsSync(places.request)) {
    const { rootHash } = readRequestFile(places.request)
    if (rootHash !== ticket.rootHash) throw foreign(rootHash)
  }
}

/** What the host says of itself, as far as it was said this time. */
export interface HostTerms {
  readonly name: string | undefined
  readonly addresses: readonly string[]
}

/**
 * The request by this ticket: that of an earlier run, else a new one, which is on the disk before anybody
 * is asked. One by another ticket takes its place. Throws usage errors for other terms than before.
 */
export function hostRequest(
  places: HostPlaces,
  { ticket, keys, terms }: { ticket: Ticket; keys: HostKeys; terms: HostTerms },
): EnrollRequest {
  const fleet = fleetIdOf(ticket.rootHash)
  const before = existsSync(places.request)
    ? openRequest(readRequestFile(places.request).request, fleet, places.request)
    : undefined
  if (before?.invite === ticket.invite && before.key === keys.fact.publicKey) {
    assertSameTerms(before, terms)
    return before
  }
  if (terms.name === undefined)
    throw usage('expected --name with a lower-case DNS label, found none')
  const { name, transport, cosign } = hostIdentity(terms.name, keys)
  const request = signEnroll(
    { invite: ticket.invite, name, host: { transport, cosign, addresses: terms.addresses } },
    { fleet, key: keys.fact, ticket: ticketKey(ticket) },
  )
  const { rootHash } = ticket
  writeWhole(places.request, requestText({ rootHash, name, request: request.bytes }), 0o600)
  return request
}

/** Two requests of one key would each wait for the other. */
function assertSameTerms({ name, host }: EnrollRequest, terms: HostTerms): void {
  const addresses = host?.addresses ?? []
  const asked = `this host asked already, as ${name} at ${addresses.join(' ') || 'no address'}`
  if (terms.name !== undefined && terms.name !== name) throw usage(asked)
  if (terms.addresses.length > 0 && terms.addresses.join() !== addresses.join()) throw usage(asked)
}

/** The documents of a folder that somebody carried here. Throws NF-1005. */
export function readDocuments(folder: string): Documents {
  if (!existsSync(join(folder, 'root.cbor')) || !existsSync(join(folder, 'group.cbor')))
    throw new CliError('NF-1005', `expected root.cbor and group.cbor in ${folder}`, {
      fix: ['copy the trust folder that bootstrap, or approve --out, wrote'],
    })
  const read = (name: string): Uint8Array => new Uint8Array(readFileSync(join(folder, name)))
  const numbers = (prefix: string): number[] =>
    readdirSync(folder)
      .flatMap((name) => {
        const number = new RegExp(`^${prefix}-(\\d{1,10})\\.cbor$`).exec(name)?.[1]
        return number === undefined ? [] : [Number(number)]
      })
      .sort((a, b) => a - b)
  return {
    roots: [read('root.cbor'), ...numbers('root').map((n) => read(`root-${n}.cbor`))],
    groups: [
      { epoch: 1, bytes: read('group.cbor') },
      ...numbers('group').map((epoch) => ({ epoch, bytes: read(`group-${epoch}.cbor`) })),
    ],
  }
}

/**
 * Checks the documents from the ticket's root hash on and writes the trust folder in one step. Gives the
 * host as the newest of them names it. Throws NF-1204 where they do not verify or do not name it.
 */
export function settleTrust(
  places: HostPlaces,
  { ticket, keys, documents }: { ticket: Ticket; keys: HostKeys; documents: Documents },
): GroupHost {
  const host = namedBy(documents, ticket.rootHash, keys)
  if (existsSync(places.trust)) return host
  const fresh = `${places.trust}.new`
  rmSync(fresh, { recursive: true, force: true })
  mkdirSync(fresh, { mode: 0o755 })
  for (const [i, bytes] of documents.roots.entries())
    writeNew(join(fresh, i === 0 ? 'root.cbor' : `root-${i + 1}.cbor`), bytes, 0o644)
  for (const { epoch, bytes } of documents.groups)
    writeNew(join(fresh, epoch === 1 ? 'group.cbor' : `group-${epoch}.cbor`), bytes, 0o644)
  writeNew(join(fresh, 'root.hash'), `${ticket.rootHash}\n`, 0o644)
  renameSync(fresh, places.trust)
  syncFolder(places.data)
  writeWhole(join(places.data, 'host.json'), hostRecordText(host), 0o644)
  return host
}

/** The host of these keys in the newest configuration that names it. Throws NF-1204. */
export function namedBy(documents: Documents, rootHash: string, keys: HostKeys): GroupHost {
  try {
    const roots = openRoots(documents.roots, rootHash)
    const trust = { roots, fleet: fleetIdOf(rootHash) }
    const configs = documents.groups.map(({ bytes }) => openUnderAny(bytes, trust).value)
    const { fact, transport, cosign } = hostIdentity('', keys)
    const named = configs
      .sort((a, b) => b.epoch - a.epoch)
      .flatMap(({ hosts }) => hosts)
      .find((one) => one.fact === fact && one.transport === transport && one.cosign === cosign)
    if (named !== undefined) return named
    throw new Error('no configuration names the keys of this host')
  } catch (error) {
    throw new CliError('NF-1204', 'the documents do not let this host in', {
      why: [error instanceof Error ? error.message : String(error)],
      cause: error,
    })
  }
}
