/** A membership in libp2p's terms: peer ids, names and addresses, both ways. */
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { fromHex, type Hex, type HostName, toHex } from '../../protocol/index.ts'
import { ADDRESSES_PER_PEER_MAX } from '../limits.ts'
import type { PeerName } from '../ports.ts'
import { type Membership, nameOfKey } from './membership.ts'

/** One host to talk to. */
export interface BookEntry {
  readonly name: HostName
  readonly id: PeerId
  readonly voter: boolean
}

/** The peer id of an Ed25519 public key. */
export function peerIdOfKey(key: Hex): PeerId {
  return peerIdFromPublicKey(publicKeyFromRaw(fromHex(key)))
}

/** The peer id of an Ed25519 public key, as it stands at the end of an address. */
export function peerIdText(key: Hex): string {
  return peerIdOfKey(key).toString()
}

/** Looks peers up by name and by id; keeps the addresses that the LAN taught. */
export class PeerBook {
  #membership: Membership
  #entries: Map<HostName, BookEntry>
  readonly #self: HostName
  readonly #learned = new Map<HostName, Multiaddr[]>()
  /** By peer id: a member that joins later may be named as well. */
  readonly #static = new Map<string, Multiaddr[]>()

  constructor(self: HostName, membership: Membership) {
    this.#self = self
    this.#membership = membership
    this.#entries = entriesOf(membership)
  }

  /** Replaces the membership; what was learned of those who left is forgotten. */
  replace(membership: Membership): void {
    this.#membership = membership
    this.#entries = entriesOf(membership)
    for (const name of this.#learned.keys()) {
      if (!this.#entries.has(name)) this.#learned.delete(name)
    }
  }

  /** Every host but this one, in the order of the configuration. */
  others(): readonly BookEntry[] {
    return [...this.#entries.values()].filter(({ name }) => name !== this.#self)
  }

  /** The other voters, if this host votes: voters hand each other every gate message. */
  directPeers(): readonly BookEntry[] {
    return this.#entries.get(this.#self)?.voter ? this.others().filter(({ voter }) => voter) : []
  }

  entry(name: HostName): BookEntry | undefined {
    return this.#entries.get(name)
  }

  /** The proven name behind a peer id: a host's, an operator's, or undefined for a stranger. */
  nameOf(peer: PeerId): PeerName | undefined {
    const key = peer.type === 'Ed25519' ? toHex(peer.publicKey.raw) : undefined
    return key === undefined ? undefined : nameOfKey(this.#membership, key)
  }

  /** The host behind a peer id, if it is a host. */
  hostOf(peer: PeerId): HostName | undefined {
    const name = this.nameOf(peer)
    return name !== undefined && this.#entries.has(name) ? name : undefined
  }

  /** Addresses of this host's own configuration, each with the peer id that it must prove. */
  addStatic(texts: readonly string[]): void {
    for (const text of texts) {
      const id = /\/p2p\/([^/]+)$/.exec(text)?.[1]
      if (id === undefined) continue
      this.#static.set(id, [...(this.#static.get(id) ?? []), ...parseAddress(text)])
    }
  }

  /**
   * Keeps addresses that were found on the LAN, the newest first; true if one is new. Loopback is left
   * out: every host announces its own.
   */
  learn(name: HostName, addresses: readonly Multiaddr[]): boolean {
    const known = this.#learned.get(name) ?? []
    const fresh = addresses
      .filter((address) => !isLoopback(address))
      .filter((address) => !known.some((old) => old.equals(address)))
    this.#learned.set(name, [...fresh, ...known].slice(0, ADDRESSES_PER_PEER_MAX))
    return fresh.length > 0
  }

  /** Where a host may be dialed, with its peer id, so that nobody else is taken for it. */
  addresses(name: HostName): Multiaddr[] {
    const entry = this.#entries.get(name)
    if (entry === undefined) return []
    const host = this.#membership.hosts.find((candidate) => candidate.name === name)
    const configured = (host?.addresses ?? []).flatMap(parseAddress)
    const all = [
      ...configured,
      ...(this.#static.get(entry.id.toString()) ?? []),
      ...(this.#learned.get(name) ?? []),
    ]
    return all.map((address) => withPeer(address, entry.id))
  }
}

function entriesOf(membership: Membership): Map<HostName, BookEntry> {
  return new Map(
    membership.hosts.map(({ name, transport }) => [
      name,
      { name, id: peerIdOfKey(transport), voter: membership.voters.includes(name) },
    ]),
  )
}

/** A malformed address in the configuration is left out: the host may still be found otherwise. */
function parseAddress(text: string): Multiaddr[] {
  try {
    return [multiaddr(text)]
  } catch {
    return []
  }
}

function isLoopback(address: Multiaddr): boolean {
  return /^\/(ip4\/127\.|ip6\/::1\/)/.test(address.toString())
}

function withPeer(address: Multiaddr, id: PeerId): Multiaddr {
  const named = address.getComponents().some((component) => component.name === 'p2p')
  return named ? address : address.encapsulate(`/p2p/${id.toString()}`)
}
