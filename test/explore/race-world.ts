/**
 * Where leases race with halts, skips and later plans: one host whose start is committed, or about to
 * be, on real facts and the shipped rules.
 */
import { answerLeaseRequest } from '../../node/lease-desk.ts'
import type { Block, Command, HostName, RolloutId } from '../../protocol/index.ts'
import type { FleetView } from '../../rollout/fleet-view.ts'
import { foldFacts } from '../../rollout/fold.ts'
import { gateRules } from '../../rollout/gate-judge.ts'
import {
  type GateConfig,
  type GateMachine,
  type GateRules,
  leaderOf,
} from '../../rollout/gate-machine.ts'
import type { GateState } from '../../rollout/gate-state.ts'
import { type GrantBook, hasGranted } from '../../rollout/lease.ts'
import { voterKeys } from '../../rollout/trust.ts'
import { fakeBlock } from '../unit/rollout/gate-fakes.ts'
import { World } from '../unit/rollout/world.ts'

/** What the log may decide while the host asks. */
export type Rival = 'skip' | 'admit' | 'start' | 'none'

const HOST: HostName = 'h01'
const ROUND = 0
const NONCE = '0'.repeat(32)

/** What one voter knows besides its machine. */
export interface Knowing {
  readonly halted: boolean
  readonly book: GrantBook
}

export class RaceWorld {
  readonly config: GateConfig
  readonly state: GateState
  readonly rollout: RolloutId
  /** The block that races; undefined when only a halt does. */
  readonly block: Block | undefined
  readonly #world: World
  readonly #calm: FleetView
  readonly #halted: FleetView
  readonly #blind: boolean

  /** `blind` is a control: voters answer without looking at what they voted for. */
  constructor(options: { n: number; quorum: number; rival: Rival; blind: boolean }) {
    const { n, quorum, rival, blind } = options
    const faultModel = n >= 4 ? 'byzantine' : 'crash'
    const world = new World({ hosts: n, voters: n, faultModel })
    this.#world = world
    this.#blind = blind
    const plan = { waves: [[HOST]] }
    this.rollout = world.plan(plan).id
    world.commit(world.block([{ kind: 'admit', rollout: this.rollout }]))
    if (rival !== 'start') world.settle()
    if (world.started(this.rollout).includes(HOST) === (rival === 'start')) {
      throw new Error(`expected the log to end before ${rival}`)
    }
    world.pass(world.trust.config.timing.activateMs * 10)
    const { fleet, genesis } = world.trust
    const { group, epoch, timing } = world.trust.config
    this.config = {
      ...{ fleet, group, epoch, genesis, quorum, voters: voterKeys(world.trust) },
      ...{ viewMs: timing.viewMs, viewMsMax: timing.viewMsMax },
    }
    this.state = world.state
    this.block = rival === 'none' ? undefined : this.#propose(this.#command(rival))
    this.#calm = world.view
    const halt = world.mutter('alice', 'rollout.halt', {
      ...{ rollout: this.rollout, revert: false, why: 'a race' },
    })
    this.#halted = foldFacts(world.view, [halt], world.trust)
  }

  /** The shipped rules over what this voter holds. */
  rules({ halted, book }: Knowing): GateRules {
    const held = this.#world.held(halted ? this.#halted : this.#calm)
    const granted = (rollout: RolloutId, host: HostName, round: number) =>
      hasGranted(book, { rollout, host, round })
    return gateRules({ ...held, local: { ...held.local, granted } })
  }

  /** The round that the host asks about. */
  get key(): { rollout: RolloutId; host: HostName; round: number } {
    return { rollout: this.rollout, host: HOST, round: ROUND }
  }

  /** Whether the shipped desk grants the host's request. */
  grants(machine: GateMachine, { halted, book }: Knowing): boolean {
    const { trust } = this.#world
    const { state } = machine.committed
    const seen = this.#blind ? { ...machine, own: new Map() } : machine
    const node = {
      parts: { trust, name: trust.config.voters[0] ?? '' },
      gate: {
        ...{ machine: seen, state, frozen: machine.frozen, silent: false },
        mayHaveForgotten: () => false,
      },
      knowledge: () => ({
        ...this.#world.knowledge(),
        ...{ state, view: halted ? this.#halted : this.#calm },
      }),
    }
    const skipped = () =>
      !this.#blind && book.notes.some((note) => note.gave === 'skip' && note.host === HOST)
    const grants = { skipped, granted: () => hasGranted(book, this.key) }
    const { rollout, round } = this.key
    const asked = { nonce: NONCE, epoch: state.epoch, rollout, round, have: state.head }
    type Desk = Parameters<typeof answerLeaseRequest>
    // Everything that the desk looks at; the rest of a node has no part in the answer.
    return answerLeaseRequest(node as unknown as Desk[0], grants as unknown as Desk[1], asked, HOST)
      .granted
  }

  #command(rival: Exclude<Rival, 'none'>): Command {
    const { rollout } = this
    const one = { rollout, round: ROUND, hosts: [HOST] }
    if (rival === 'skip') return { kind: 'skip', ...one }
    if (rival === 'start') return { kind: 'start', ...one }
    const later = this.#world.plan({ waves: [[HOST]], supersedes: [rollout] })
    return { kind: 'admit', rollout: later.id }
  }

  #propose(command: Command): Block {
    const { body } = this.#world.block([command])
    return fakeBlock(body, leaderOf(this.config, body.view) ?? '')
  }
}
