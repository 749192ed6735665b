/**
 * Holds closures for other hosts: brings them in, keeps them from garbage collection until the rollout
 * closes, and says so before each wave (SPEC §6.10, §7.4).
 *
 * Who is asked is drawn by hash, so that the load spreads; nobody is told. A keeper that others cannot
 * reach is passed over, and one that is there but does not come is stood in for after a while. Both are
 * this node's own guess, and cost at worst one copy more: what counts is the signed word alone.
 */
import {
  FACT_BYTES_MAX,
  HELD_CLOSURES_MAX,
  type HostName,
  type RolloutId,
  type StorePath,
} from '../protocol/index.ts'
import { type Closure, type Holding, keeperOrder, rolloutRecord } from '../rollout/index.ts'
import { HOLDER_PROBES, HOLDER_STAGINGS_MAX } from './limits.ts'
import { backoffMs } from './pause.ts'
import type { Runtime } from './runtime.ts'
import { serveNar } from './serving.ts'
import { Staging } from './staging.ts'

/** A fact around its list of generations: header and signature take about 300 bytes. */
const FRAME_BYTES = 512
/** The CBOR head of a store path. */
const PATH_FRAME_BYTES = 2

/** What is known of one holding from round to round. */
interface Watch {
  /** The wave it is about: with the next wave everything is asked anew. */
  wave: number | undefined
  /** Since when it was seen to be short of holders, in bootMs. */
  shortSince: number | undefined
  order: readonly HostName[]
  /** This host took it on, and keeps it until the rollout closes. */
  taken: boolean
}

export class HolderService {
  readonly #node: Runtime
  readonly #staging: Staging
  readonly #watches = new Map<string, Watch>()
  /** What this host has to hold, by generation. */
  #wanted = new Map<StorePath, Closure>()
  readonly #held = new Set<StorePath>()
  readonly #coming = new Set<StorePath>()
  readonly #failures = new Map<StorePath, { readonly tries: number; readonly until: number }>()
  #claiming = false
  #claimedAt: number | undefined

  constructor(node: Runtime) {
    this.#node = node
    const { trust, name } = node.parts
    this.#staging = new Staging({
      ...node.parts,
      swarm: node.parts.swarm?.swarm,
      others: trust.config.hosts.filter((host) => host.name !== name).length,
      // A staging is known by its generation here: hosts of many rollouts may share it.
      entry: (generation) => this.#wanted.get(generation),
      wanted: (generation) => this.#wanted.has(generation),
      own: (hash) => serveNar(node, hash),
      answer: (event) => {
        if (event.kind === 'staged') node.post(() => this.#staged(event.rollout, event.ok))
      },
    })
  }

  /** What keeps closures of other hosts from coming in, by generation, for people. */
  get troubles(): Staging['troubles'] {
    return this.#staging.troubles
  }

  /** What the fleet wants held now. Inside the mailbox, once each round. */
  assigned(holdings: readonly Holding[]): void {
    const { host } = this.#node
    const mine = holdings.filter((holding) => this.#isMine(holding))
    this.#forget(holdings)
    this.#wanted = new Map(mine.map(({ generation, closure }) => [generation, closure]))
    for (const one of this.#held) if (!this.#wanted.has(one)) this.#held.delete(one)
    host.pins.keepAlso([...this.#wanted.keys()].sort())
    this.#bringIn()
    this.#claim(mine)
  }

  /** Something came that a staging may wait for. */
  nudge(): void {
    this.#staging.nudge()
  }

  stop(): void {
    this.#staging.stop()
  }

  #isMine(holding: Holding): boolean {
    const { name, clock, trust } = this.#node.parts
    const watch = this.#watchOf(holding)
    if (watch.taken) return true
    const now = clock.bootMs()
    watch.shortSince = holding.short ? (watch.shortSince ?? now) : undefined
    const there = watch.order.filter((one) => one === name || !this.#isAway(one))
    const turn = there.indexOf(name) - holding.keepers + 1
    const waited = now - (watch.shortSince ?? now)
    const said = rolloutRecord(this.#node.knowledge().view, holding.rollout)
      .holders.get(holding.generation)
      ?.has(name)
    const member = trust.config.hosts.some((one) => one.name === name)
    watch.taken =
      member && (said === true || turn <= 0 || (holding.short && waited >= turn * holding.turnMs))
    return watch.taken
  }

  /** Only a guess about somebody else: a keeper that is taken for dead and is not holds it as well. */
  #isAway(host: HostName): boolean {
    const state = this.#node.detector.of(host)?.state
    return state === 'suspect' || state === 'unreachable'
  }

  #watchOf(holding: Holding): Watch {
    const key = keyOf(holding)
    const { config } = this.#node.parts.trust
    const before = this.#watches.get(key)
    if (before === undefined || before.order.length !== config.hosts.length) {
      const order = keeperOrder(config, holding)
      const { wave } = holding
      const watch = { wave, shortSince: undefined, order, taken: before?.taken ?? false }
      this.#watches.set(key, watch)
      return watch
    }
    if (before.wave !== holding.wave) before.shortSince = undefined
    before.wave = holding.wave
    return before
  }

  #forget(holdings: readonly Holding[]): void {
    const known = new Set(holdings.map(keyOf))
    for (const key of this.#watches.keys()) if (!known.has(key)) this.#watches.delete(key)
  }

  /** A few at a time: the host's own generation must not wait behind those of all others. */
  #bringIn(): void {
    const now = this.#node.parts.clock.bootMs()
    for (const generation of this.#wanted.keys()) {
      if (this.#coming.size >= HOLDER_STAGINGS_MAX) return
      if (this.#held.has(generation) || this.#coming.has(generation)) continue
      if ((this.#failures.get(generation)?.until ?? now) > now) continue
      this.#coming.add(generation)
      this.#staging.start(generation, generation)
    }
    for (const one of this.#coming) if (!this.#wanted.has(one)) this.#coming.delete(one)
  }

  #staged(generation: StorePath, ok: boolean): void {
    this.#coming.delete(generation)
    if (!this.#wanted.has(generation)) return
    if (ok) {
      this.#held.add(generation)
      this.#failures.delete(generation)
      this.#node.host.pins.refresh()
    } else {
      const tries = (this.#failures.get(generation)?.tries ?? 0) + 1
      const until = this.#node.parts.clock.bootMs() + backoffMs(tries)
      this.#failures.set(generation, { tries, until })
    }
    this.#node.touch()
  }

  /** Says what is held for the next wave: all at once where all is there, else what there is, now and then. */
  #claim(mine: readonly Holding[]): void {
    const { name, clock, trust } = this.#node.parts
    const due = mine.filter(({ wave, said }) => wave !== undefined && !said.includes(name))
    const ready = due.filter(({ generation }) => this.#held.has(generation))
    if (ready.length === 0 || this.#claiming) return
    const now = clock.bootMs()
    const pause = HOLDER_PROBES * trust.config.timing.probeMs
    const soon = this.#claimedAt !== undefined && now - this.#claimedAt < pause
    if (ready.length < due.length && soon) return
    this.#claiming = true
    this.#claimedAt = now
    this.#prove(ready)
      .catch((error: unknown) =>
        this.#node.parts.log.warn({ error: String(error) }, 'held closures could not be claimed'),
      )
      .finally(() => {
        this.#claiming = false
      })
  }

  /** Nothing is claimed that is not whole in the store, and kept there by a root, at this moment. */
  async #prove(ready: readonly Holding[]): Promise<void> {
    const { host, parts } = this.#node
    await host.pins.settled()
    const held: Holding[] = []
    for (const holding of ready) {
      if (await parts.system.holds(holding.generation)) held.push(holding)
      else this.#held.delete(holding.generation)
    }
    for (const { rollout, wave, generations } of claimsOf(held)) {
      await this.#node.run(() => this.#node.author('closure.held', { rollout, wave, generations }))
    }
    this.#node.touch()
  }
}

function keyOf({ rollout, generation }: Pick<Holding, 'rollout' | 'generation'>): string {
  return `${rollout}/${generation}`
}

interface Claim {
  readonly rollout: RolloutId
  readonly wave: number
  readonly generations: readonly StorePath[]
}

/** As few facts as carry them all. */
function claimsOf(held: readonly Holding[]): readonly Claim[] {
  const claims: (Claim & { readonly generations: StorePath[] })[] = []
  let room = 0
  const sorted = [...held].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  for (const { rollout, wave, generation } of sorted) {
    if (wave === undefined) continue
    const last = claims.at(-1)
    room -= generation.length + PATH_FRAME_BYTES
    const fits = last?.rollout === rollout && last.generations.length < HELD_CLOSURES_MAX
    if (last !== undefined && fits && room >= 0) {
      last.generations.push(generation)
      continue
    }
    room = FACT_BYTES_MAX - FRAME_BYTES - generation.length - PATH_FRAME_BYTES
    claims.push({ rollout, wave, generations: [generation] })
  }
  return claims
}
