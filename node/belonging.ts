/**
 * Who this node lets in and talks to, as the epochs go by (SPEC §7.7).
 *
 * New members are let in at once. Those who left are answered a while longer, so that they hear of it;
 * a host that itself left talks to nobody any more. A configuration of the trust folder that is newer
 * than the log adds the hosts that it names: that is how a newcomer finds its first peers.
 */
import type { GroupConfig, HostName, KeyId } from '../protocol/index.ts'
import { hostNamed, type Trust } from '../rollout/index.ts'
import { FAREWELL_MS } from './limits.ts'
import { type MemberHost, type Membership, membershipOf } from './network/membership.ts'
import type { Cancel, Clock, Logger, Network } from './ports.ts'

export class Belonging {
  readonly #parts: BelongingParts
  #trust: Trust
  #farewell: Cancel | undefined
  /** Who left a moment ago, and is still answered. */
  #leaving: readonly MemberHost[] = []
  #revoked: ReadonlySet<KeyId> = new Set()
  #tickets: readonly KeyId[] = []

  constructor(parts: BelongingParts) {
    this.#parts = parts
    this.#trust = parts.trust
  }

  /** Whether this node is a host of the group now. */
  get isMember(): boolean {
    return hostNamed(this.#trust, this.#parts.name)?.fact === this.#parts.factKey
  }

  /** Whether it was one and is not any more. */
  get hasLeft(): boolean {
    const { name, factKey } = this.#parts
    if (this.isMember) return false
    const past = this.#trust.past ?? []
    return past.some(({ hosts }) => hosts.some((one) => one.name === name && one.fact === factKey))
  }

  /** The membership of the epoch that the disk knows, before anybody is let in. */
  async load(trust: Trust): Promise<void> {
    this.#trust = trust
    this.#say()
    await this.#parts.network.setMembership(this.#membership())
  }

  /** An epoch begins. */
  entered(trust: Trust): void {
    const before = this.#trust
    this.#trust = trust
    this.#say()
    const now = new Set(trust.config.hosts.map((host) => host.name))
    const leaving = before.config.hosts.filter((host) => !now.has(host.name))
    const { clock } = this.#parts
    this.#farewell?.()
    this.#leaving = leaving
    this.#apply()
    this.#farewell = clock.after(FAREWELL_MS, () => {
      this.#leaving = []
      this.#apply()
    })
  }

  /** A root came into force: operators whom it does not name are hung up on. */
  rooted(trust: Trust): void {
    this.#trust = trust
    this.#parts.log.info({ version: trust.root.version }, 'a new root is in force')
    this.#apply()
  }

  /** Keys are revoked: their operators are hung up on. */
  revoked(keys: ReadonlySet<KeyId>): void {
    const news = [...keys].filter((key) => !this.#revoked.has(key))
    if (news.length === 0) return
    this.#revoked = keys
    this.#parts.log.warn({ keys: news }, 'keys were revoked')
    this.#apply()
  }

  /** Tickets that may speak. Called with every round: nothing happens while they stay the same. */
  invited(tickets: readonly KeyId[]): void {
    if (tickets.join() === this.#tickets.join()) return
    this.#tickets = tickets
    this.#apply()
  }

  stop(): void {
    this.#farewell?.()
  }

  #say(): void {
    const { log, name } = this.#parts
    const { epoch, group } = this.#trust.config
    const fields = { epoch, group }
    if (this.hasLeft) log.error(fields, `${name} left the group: it only answers questions`)
    else if (!this.isMember) log.warn(fields, `${name} is no host of the group yet: it follows`)
  }

  #apply(): void {
    const membership = this.#membership()
    const hosts = this.hasLeft ? membership.hosts : union(membership.hosts, this.#leaving)
    this.#parts.network.setMembership({ ...membership, hosts }).catch((error: unknown) => {
      this.#parts.log.warn({ error: String(error) }, 'the membership could not be replaced')
    })
  }

  #membership(): Membership {
    const all = membershipOf(this.#trust)
    const operators = all.operators.filter((key) => !this.#revoked.has(key))
    const now = { ...all, operators, tickets: this.hasLeft ? [] : this.#tickets }
    if (this.hasLeft) return { ...now, hosts: [], voters: [] }
    const { epoch } = this.#trust.config
    const newer = this.#parts.newer.filter((config) => config.epoch > epoch)
    return { ...now, hosts: union(now.hosts, newer.at(-1)?.hosts ?? []) }
  }
}

export interface BelongingParts {
  readonly name: HostName
  readonly factKey: string
  /** That of the first epoch. */
  readonly trust: Trust
  /** Configurations of the trust folder after the first, the oldest first. */
  readonly newer: readonly GroupConfig[]
  readonly network: Network
  readonly clock: Clock
  readonly log: Logger
}

/** By name; of two the second: it may have moved to other addresses. */
function union(some: readonly MemberHost[], more: readonly MemberHost[]): readonly MemberHost[] {
  return [...new Map([...some, ...more].map((host) => [host.name, host])).values()]
}
