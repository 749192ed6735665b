/**
 * What this voter gave for a host's round, lease or skip, on the disk before it leaves (SPEC §9.3).
 *
 * In one round a voter gives the one or the other, never both: two quorums share an honest voter, so
 * a host is skipped or leased, never both.
 */
import type { Block, HostName, RolloutId } from '../protocol/index.ts'
import { NodeError } from './errors.ts'
import type { Store } from './ports.ts'

type Gave = 'grant' | 'skip'

export class GrantJournal {
  readonly #store: Store
  readonly #gave = new Map<string, Gave>()

  constructor(store: Store) {
    this.#store = store
  }

  async load(): Promise<void> {
    for await (const [key, value] of this.#store.range('grant/', 'grant0')) {
      this.#gave.set(key, value[0] === SKIP ? 'skip' : 'grant')
    }
  }

  /** How many rounds this voter gave something for: moves with every note. */
  get count(): number {
    return this.#gave.size
  }

  /** Whether a lease was granted for this round: it is never skipped then. */
  granted(rollout: RolloutId, host: HostName, round: number): boolean {
    return this.#gave.get(keyOf(rollout, host, round)) === 'grant'
  }

  /** Whether a skip of this round was voted for: no lease is granted then. */
  skipped(rollout: RolloutId, host: HostName, round: number): boolean {
    return this.#gave.get(keyOf(rollout, host, round)) === 'skip'
  }

  /** Notes a grant with fsync; the answer may leave when this resolves. */
  async noteGrant(rollout: RolloutId, host: HostName, round: number): Promise<void> {
    await this.#note([keyOf(rollout, host, round)], 'grant')
  }

  /** Notes every skip of a block with fsync; the vote for it may leave when this resolves. */
  async noteSkips(block: Block): Promise<void> {
    const keys = block.body.commands.flatMap((command) =>
      command.kind === 'skip'
        ? command.hosts.map((host) => keyOf(command.rollout, host, command.round))
        : [],
    )
    if (keys.length > 0) await this.#note(keys, 'skip')
  }

  async #note(keys: readonly string[], gave: Gave): Promise<void> {
    const other = keys.find((key) => this.#gave.has(key) && this.#gave.get(key) !== gave)
    if (other !== undefined) {
      throw new NodeError(
        'STORE_CORRUPT',
        `expected to ${gave} ${other}, found that this voter gave the opposite before`,
        'This is a bug: the rules must not get here. Keep the data folder and report it.',
      )
    }
    const fresh = keys.filter((key) => !this.#gave.has(key))
    if (fresh.length === 0) return
    const value = Uint8Array.of(gave === 'skip' ? SKIP : GRANT)
    await this.#store.write(
      fresh.map((key) => ({ key, value })),
      { sync: true },
    )
    for (const key of fresh) this.#gave.set(key, gave)
  }
}

const GRANT = 1
const SKIP = 2

function keyOf(rollout: RolloutId, host: HostName, round: number): string {
  return `grant/${rollout}/${host}/${round}`
}
