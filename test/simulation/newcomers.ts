/**
 * Who wants in while a fleet runs: an admin invites, and newcomers with the ticket ask at the desk of a
 * node (SPEC §16.3). What the desk says is for the trace; whether it was right is judged on the disks.
 */
import { EnrolDesk } from '../../node/enrol-desk.ts'
import type { Runtime } from '../../node/runtime.ts'
import {
  decodeEnrollAnswer,
  deriveHostKeys,
  type EnrollRequest,
  encodeEnrollQuestion,
  type Hash,
  type KeyPair,
  keyPair,
  type Signer,
  sha256,
  signEnroll,
  utf8,
} from '../../protocol/index.ts'
import type { ActOf } from './scenario.ts'
import type { World } from './world.ts'

/** The key of every ticket: an invite names it, and whoever asks by it signs with it. */
export const TICKET: KeyPair = keyPair(sha256(utf8('ticket')))

/** What a newcomer asks by an invite; its keys are made of its name. */
export function requestOf(
  name: string,
  invite: string,
  { fleet, signer, ticket = TICKET }: { fleet: Hash; signer?: Signer; ticket?: KeyPair },
): EnrollRequest {
  const { fact, transport, cosign } = deriveHostKeys(sha256(utf8(name)))
  const host = { transport: transport.publicKey, cosign: cosign.publicKey, addresses: [] }
  const keys = { fleet, key: fact, ticket, ...(signer && { signer }) }
  return signEnroll({ invite, name, host }, keys)
}

export class Newcomers {
  readonly #world: World
  /** The newest invite. */
  #invite = ''

  constructor(world: World) {
    this.#world = world
  }

  perform(act: ActOf<'invite' | 'uninvite' | 'knock'>): void {
    const node = this.#world.node(act.via)
    if (node === undefined) return
    if (act.kind === 'invite') this.#world.spawn(this.#open(node, act))
    else if (act.kind === 'knock') this.#world.spawn(this.#knock(node, act.name))
    else this.#world.spawn(this.#revoke(node))
  }

  async #open(node: Runtime, { uses, forMs }: ActOf<'invite'>): Promise<void> {
    const { fleet, scale } = this.#world
    this.#invite = await fleet.sign(node, fleet.admin, 'invite.open', {
      ...{ group: fleet.trust.config.group, key: TICKET.publicKey, role: 'host', tags: [] },
      ...{ groups: [], channels: [], expires: 0, uses, why: 'a test' },
      notAfter: Math.floor(fleet.clock.wallMs() + forMs * scale),
    })
  }

  async #revoke(node: Runtime): Promise<void> {
    const { fleet } = this.#world
    await fleet.sign(node, fleet.admin, 'invite.revoke', { invite: this.#invite, why: 'mailed' })
  }

  async #knock(node: Runtime, name: string): Promise<void> {
    const { fleet, trace } = this.#world
    const by = { fleet: fleet.trust.fleet, signer: fleet.signer }
    const { bytes } = requestOf(name, this.#invite, by)
    const question = encodeEnrollQuestion({ request: bytes })
    const answer = decodeEnrollAnswer(await new EnrolDesk(node).answer(question, TICKET.publicKey))
    trace.note('scenario', 'answer at the door', () => JSON.stringify(answer))
  }
}
