/**
 * Who may connect: the hosts of the group's configuration and the operators of the root.
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

/** The name of the peer who proved `key`, or undefined for a stranger. Hosts come first. */
export function nameOfKey(membership: Membership, key: Hex): PeerName | undefined {
  const host = membership.hosts.find((candidate) => candidate.transport === key)
  if (host !== undefined) return host.name
  return membership.operators.includes(key) ? operatorName(key) : undefined
}
