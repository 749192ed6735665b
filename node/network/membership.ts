/**
 * Who may connect: the hosts of the group's configuration, the operators of the root, and, to ask to be
 * let in and for nothing else, holders of a ticket.
 *
 * A host proves itself by its transport key. An operator proves itself by the operator key itself:
 * hosts know no other key of a person, and libp2p's handshake signs under a domain of its own.
 */
import type { Hex, HostName, KeyId } from '../../protocol/index.ts'
import type { Trust } from '../../rollout/index.ts'
import type { PeerName } from '../ports.ts'

/** A host as the network sees it. */
export interface MemberHost {
  readonly name: HostName
  /** Ed25519 public key of the host's transport. */
  readonly transport: Hex
  /** Multiaddrs without a peer id. */
  readonly addresses: readonly string[]
}

/** Everybody whom a node lets in. */
export interface Membership {
  readonly hosts: readonly MemberHost[]
  readonly voters: readonly HostName[]
  readonly operators: readonly KeyId[]
  /** One-time keys of people who may ask to be let in, and nothing else. Absent: none. */
  readonly tickets?: readonly KeyId[] | undefined
}

/** The membership that a node's trust describes. */
export function membershipOf(trust: Trust): Membership {
  return {
    hosts: trust.config.hosts,
    voters: trust.config.voters,
    operators: trust.root.operators.map((operator) => operator.key),
  }
}

const OPERATOR_PREFIX = 'operator:'

/** The name under which an operator's client comes. */
export function operatorName(key: KeyId): PeerName {
  return `${OPERATOR_PREFIX}${key}`
}

/** Whether `peer` is an operator's client: it may ask the API and nothing else. */
export function isOperator(peer: PeerName): boolean {
  return peer.startsWith(OPERATOR_PREFIX)
}

const TICKET_PREFIX = 'ticket:'

/** The key of the ticket by which `peer` comes; undefined for everybody else. */
export function ticketOf(peer: PeerName): KeyId | undefined {
  return peer.startsWith(TICKET_PREFIX) ? peer.slice(TICKET_PREFIX.length) : undefined
}

/** The name of the peer who proved `key`, or undefined for a stranger. Hosts come first. */
export function nameOfKey(membership: Membership, key: Hex): PeerName | undefined {
  const host = membership.hosts.find((candidate) => candidate.transport === key)
  if (host !== undefined) return host.name
  if (membership.operators.includes(key)) return operatorName(key)
  return membership.tickets?.includes(key) ? `${TICKET_PREFIX}${key}` : undefined
}
