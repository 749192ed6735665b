/**
 * Effects on the system one after the other: two activations at once would leave neither.
 *
 * The way back goes first: it ends an activation that runs and overtakes one that waits. What has an
 * answer is answered exactly once; what the machine has no answer for is tried again until it holds.
 */
import type { StorePath } from '../protocol/index.ts'
import type { HostEffect, HostEvent } from '../rollout/index.ts'
import { BOOT_DEFAULT_TRIES_MAX, BOOT_LOADER_MS_MAX, END_AGAIN_MS } from './limits.ts'
import { backoffMs, Pauses } from './pause.ts'
import type { Clock, Logger, System } from './ports.ts'

/** What the host machine wants of the system. */
export type SystemEffect = Extract<HostEffect, { kind: 'activate' | 'setBootDefault' | 'revert' }>

export class SystemLane {
  readonly #system: System
  readonly #log: Logger
  readonly #answer: (event: HostEvent) => void
  readonly #pauses: Pauses
  #tail: Promise<void> = Promise.resolve()
  #waiting = 0
  #changes = 0
  /** How often the host was sent back: an activation asked for before that is void. */
  #reverts = 0
  #activating = false
  #ending = false
  /** The boot default that was wished last; a wish that failed is tried again while it is this one. */
  #wish: SystemEffect | undefined
  #wishFailures = 0

  constructor(parts: {
    system: System
    clock: Clock
    log: Logger
    answer(event: HostEvent): void
  }) {
    this.#system = parts.system
    this.#log = parts.log
    this.#answer = parts.answer
    this.#pauses = new Pauses(parts.clock)
  }

  /** Whether something is being changed, so that what runs is in doubt. */
  get busy(): boolean {
    return this.#waiting > 0
  }

  /** Moves with every change: a look at the system that began at another count is out of date. */
  get changes(): number {
    return this.#changes
  }

  /** Carries an effect out after those before it, and answers with its event. */
  carry(effect: SystemEffect): void {
    if (effect.kind !== 'activate') this.#wishFor(effect)
    if (effect.kind === 'revert') this.#overtake()
    const reverts = this.#reverts
    this.#waiting++
    this.#tail = this.#tail.then(async () => {
      this.#changes++
      const event = await this.#run(effect, reverts).catch((error: unknown) =>
        this.#failed(effect, error),
      )
      this.#changes++
      this.#waiting--
      if (event !== undefined) this.#answer(event)
    })
  }

  stop(): void {
    this.#pauses.stop()
  }

  #wishFor(effect: SystemEffect): void {
    if (this.#wish === effect) return
    this.#wish = effect
    this.#wishFailures = 0
  }

  /** Nobody waits for a switch that is no longer wanted, least of all for one that hangs. */
  #overtake(): void {
    this.#reverts++
    if (!this.#activating || this.#ending) return
    this.#ending = true
    this.#endActivation()
      .catch((error: unknown) =>
        this.#log.error({ error: String(error) }, 'an activation could not be ended'),
      )
      .finally(() => {
        this.#ending = false
      })
  }

  async #endActivation(): Promise<void> {
    while (this.#activating) {
      await this.#system.endActivation()
      if (this.#activating) await this.#pauses.wait(END_AGAIN_MS)
    }
  }

  async #run(effect: SystemEffect, reverts: number): Promise<HostEvent | undefined> {
    switch (effect.kind) {
      case 'activate': {
        const { rollout, round } = effect
        if (reverts !== this.#reverts) return activated(effect, 'overtaken by the way back')
        const { ok, detail } = await this.#activate(effect.generation, effect.timeoutMs)
        return { kind: 'activated', rollout, round, ok, detail }
      }
      case 'setBootDefault': {
        if (this.#wish !== effect) return undefined
        await this.#system.setBootDefault(effect.generation)
        return { kind: 'bootDefaultSet', generation: effect.generation }
      }
      case 'revert':
        return await this.#revert(effect)
    }
  }

  async #activate(
    generation: StorePath,
    timeoutMs: number,
  ): Promise<{ ok: boolean; detail: string }> {
    this.#activating = true
    try {
      return await this.#system.activate(generation, timeoutMs)
    } finally {
      this.#activating = false
    }
  }

  async #revert(effect: SystemEffect & { kind: 'revert' }): Promise<HostEvent> {
    const { generation, timeoutMs } = effect
    if (effect.overtakes) await this.#endDeadman()
    if (!(await this.#system.holds(generation))) {
      const detail = `${generation} is not in the store`
      return { kind: 'reverted', generation, ok: false, missing: true, detail }
    }
    const patienceMs = Math.max(timeoutMs, BOOT_LOADER_MS_MAX)
    const { ok, detail } = await this.#system.activate(generation, patienceMs)
    if (ok) await this.#insistOnBoot(generation)
    return { kind: 'reverted', generation, ok, missing: false, detail }
  }

  /**
   * The machine goes back itself only when a deadman that fired had its time (S9). Two ways back at
   * once, or one that comes to an end after the other, would leave what runs to chance.
   */
  #endDeadman(): Promise<void> {
    return this.#pauses.insist(
      () => this.#system.deadman.end(),
      (error) =>
        this.#log.error({ error: String(error) }, 'the deadman could not be ended: trying again'),
    )
  }

  /** The old generation runs; a disk that is full for a moment must not leave the new one booting. */
  async #insistOnBoot(generation: StorePath): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#system.setBootDefault(generation)
      } catch (error) {
        if (tries >= BOOT_DEFAULT_TRIES_MAX) throw error
        this.#log.warn({ generation, error: String(error) }, 'the boot default could not be set')
        await this.#pauses.wait(backoffMs(tries))
      }
    }
  }

  #failed(effect: SystemEffect, error: unknown): HostEvent | undefined {
    const detail = error instanceof Error ? error.message : String(error)
    this.#log.error({ effect: effect.kind, error: detail }, 'the system failed')
    switch (effect.kind) {
      case 'activate':
        return activated(effect, detail)
      case 'revert': {
        const { generation } = effect
        return { kind: 'reverted', generation, ok: false, missing: false, detail }
      }
      case 'setBootDefault':
        void this.#wishAgain(effect)
        return undefined
    }
  }

  /** The machine knows no failed boot default: it waits for the one that it wished for. */
  async #wishAgain(effect: SystemEffect): Promise<void> {
    this.#wishFailures++
    await this.#pauses.wait(backoffMs(this.#wishFailures))
    if (this.#wish === effect) this.carry(effect)
  }
}

function activated(effect: SystemEffect & { kind: 'activate' }, detail: string): HostEvent {
  const { rollout, round } = effect
  return { kind: 'activated', rollout, round, ok: false, detail }
}
