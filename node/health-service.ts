/**
 * The host's own health in the steady state: its checks, and whether it still runs what it should.
 *
 * Signed on change and once a day. Drift (a generation that no rollout put there) is a state of its
 * own and never counts as healthy (design D12). Bad news goes out at once, good news when they have
 * lasted: a service that comes and goes must not fill the fleet's disks.
 */
import {
  encodeCanonical,
  equalBytes,
  type FactOf,
  feedKey,
  HEALTH_CHANGE,
  type HealthChange,
  type HealthCheck,
} from '../protocol/index.ts'
import { hostCondition, releaseEntry } from '../rollout/index.ts'
import { HEALTH_CALM_LOOKS, HEALTH_REPORT_MS } from './limits.ts'
import type { CheckOutcome } from './ports.ts'
import type { Runtime } from './runtime.ts'

/** What the checks of a generation said, while it ran. */
interface Look {
  readonly generation: string
  readonly results: readonly CheckOutcome[]
}

export class HealthService {
  readonly #node: Runtime
  #newest: Look | undefined
  #looking: Promise<Look> | undefined
  #checkedAt = Number.NEGATIVE_INFINITY
  /** The report that would be signed, and for how many looks it has been the same. */
  #pending: { readonly bytes: Uint8Array; readonly looks: number } | undefined

  constructor(node: Runtime) {
    this.#node = node
  }

  /** Results that the host machine asked for: fresher than any of ours. */
  note(generation: string, results: readonly CheckOutcome[]): void {
    this.#newest = { generation, results }
  }

  /** Whether the checks of `generation` are good; looks first when nobody has, since it runs. */
  async isWell(generation: string): Promise<boolean> {
    const known = this.#newest?.generation === generation ? this.#newest : await this.#look()
    return known.generation === generation && known.results.every((check) => check.ok)
  }

  /** Once a probe interval the checks run; between, nothing. */
  tick(): void {
    const { clock, trust, log } = this.#node.parts
    const now = clock.bootMs()
    if (now - this.#checkedAt < trust.config.timing.probeMs) return
    if (this.#looking !== undefined) return
    this.#checkedAt = now
    this.#look()
      .then((look) => this.#node.post(() => this.#report(look)))
      .catch((error: unknown) =>
        log.warn({ error: String(error) }, 'the own checks could not be run'),
      )
  }

  /** One look at a time, however many ask. */
  #look(): Promise<Look> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #lookNow(): Promise<Look> {
    const { system } = this.#node.parts
    const before = await system.running()
    const checks = this.#checksOf(before)
    const results = await Promise.all(checks.map((check) => system.check(check)))
    const look = { generation: await system.running(), results }
    if (look.generation !== before) throw new Error(`expected ${before} to run all the time`)
    this.#newest = look
    return look
  }

  /** The host's own checks, and those of the release whose generation runs. */
  #checksOf(generation: string): readonly HealthCheck[] {
    const { checks, name } = this.#node.parts
    const { stack, flight } = this.#node.host.state
    const entry = stack.findLast((one) => one.generation === generation)
    const rollout = flight?.generation === generation ? flight.rollout : entry?.rollout
    const known =
      rollout === undefined ? undefined : releaseEntry(this.#node.knowledge(), rollout, name)
    return [...checks, ...(known?.entry.checks ?? [])].filter((check) => check.from !== 'outside')
  }

  /** While the host is on its way somewhere its transitions speak for it. */
  async #report({ generation, results }: Look): Promise<void> {
    const { kind } = hostCondition(this.#node.host.state)
    if (kind === 'in-flight' || kind === 'going-back') return
    const { system, clock } = this.#node.parts
    const report: HealthChange = {
      generation,
      boot: await system.bootId(),
      state: this.#stateOf(results),
      checks: results.map(({ name, ok }) => ({ name, ok })),
    }
    const last = this.#lastSaid()
    const looks = this.#countSame(report)
    const due = last === undefined || isDue(last.body, report, looks)
    const age = last === undefined ? 0 : clock.wallMs() - last.ts
    if (!due && age >= 0 && age < HEALTH_REPORT_MS) return
    await this.#node.author('health.change', report)
  }

  /** Of this feed alone: what another of this host's feeds is dated may lie ahead of this clock for good. */
  #lastSaid(): FactOf<'health.change'> | undefined {
    const { publicKey } = this.#node.parts.keys.fact
    return this.#node.knowledge().view.reports.get(feedKey(publicKey, this.#node.own.session))
  }

  #stateOf(results: readonly CheckOutcome[]): HealthChange['state'] {
    if (hostCondition(this.#node.host.state).kind === 'drifted') return 'drifted'
    if (!results.every((result) => result.ok)) return 'unhealthy'
    return this.#node.freshness.now.state === 'stale' ? 'stale' : 'healthy'
  }

  #countSame(report: HealthChange): number {
    const bytes = encodeCanonical(HEALTH_CHANGE.encode(report))
    const same = this.#pending !== undefined && equalBytes(this.#pending.bytes, bytes)
    this.#pending = { bytes, looks: same ? (this.#pending?.looks ?? 0) + 1 : 1 }
    return this.#pending.looks
  }
}

const BADNESS = { healthy: 0, stale: 1, unhealthy: 2, drifted: 3 } as const

/** Whether `report` says something that `last` did not, and has lasted long enough to say it. */
function isDue(last: HealthChange, report: HealthChange, looks: number): boolean {
  if (last.generation !== report.generation || last.boot !== report.boot) return true
  if (BADNESS[report.state] > BADNESS[last.state]) return true
  return !sameChecks(last, report) && looks >= HEALTH_CALM_LOOKS
}

function sameChecks(a: HealthChange, b: HealthChange): boolean {
  return a.state === b.state && JSON.stringify(a.checks) === JSON.stringify(b.checks)
}
