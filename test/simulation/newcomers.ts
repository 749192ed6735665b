/**
 * Who wants in while a fleet runs: an admin invites, and newcomers with the ticket ask at the desk of a
 * node (SPEC §16.3). What the desk says is for the trace; whether it was right is judged on the disks.
 */
import { EnrolDesk } from '../../node/enrol-desk.ts'
import type { Runtime } from '../../node/runtime.ts'
import {
  decodeEnrollAnswer,
  deriveHostKeys,
  encodeEnrollQuestion,
  keyPair,
  sha256,
  signEnroll,
  utf8,
} from '../../protocol/index.ts'
import type { ActOf } from './scenario.ts'
import type { World } from './world.ts'

const TICKET = keyPair(sha256(utf8('ticket')))

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
    const { fact, transport, cosign } = deriveHostKeys(sha256(utf8(name)))
    const host = { transport: transport.publicKey, cosign: cosign.publicKey, addresses: [] }
    const keys = { fleet: fleet.trust.fleet, key: fact, ticket: TICKET, signer: fleet.signer }
    const { bytes } = signEnroll({ invite: this.#invite, name, host }, keys)
    const question = encodeEnrollQuestion({ request: bytes })
    const answer = decodeEnrollAnswer(await new EnrolDesk(node).answer(question, TICKET.publicKey))
    trace.note('scenario', 'answer at the door', () => JSON.stringify(answer))
  }
}
