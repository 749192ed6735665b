/**
 * Questions to the deadman, one after the other, each answered exactly once.
 *
 * The answer is what the disk says: while the disk cannot be asked, it is asked again. A renewal that
 * is never answered would leave the host waiting for ever; one that is answered wrongly would leave it
 * without a way back.
 */
import type { HostEffect, HostEvent } from '../rollout/index.ts'
import { Pauses } from './pause.ts'
import type { Clock, Deadman, Logger } from './ports.ts'

/** What the host machine wants of the deadman. */
export type DeadmanEffect = Extract<
  HostEffect,
  { kind: 'armDeadman' | 'renewDeadman' | 'disarmDeadman' }
>

export class DeadmanLane {
  readonly #deadman: Deadman
  readonly #log: Logger
  readonly #answer: (event: HostEvent) => void
  readonly #pauses: Pauses
  #tail: Promise<void> = Promise.resolve()

  constructor(parts: {
    deadman: Deadman
    clock: Clock
    log: Logger
    answer(event: HostEvent): void
  }) {
    this.#deadman = parts.deadman
    this.#log = parts.log
    this.#answer = parts.answer
    this.#pauses = new Pauses(parts.clock)
  }

  /** Carries an effect out after those before it, and answers with its event. */
  carry(effect: DeadmanEffect): void {
    this.#tail = this.#tail.then(async () => this.#answer(await this.#run(effect)))
  }

  stop(): void {
    this.#pauses.stop()
  }

  async #run(effect: DeadmanEffect): Promise<HostEvent> {
    const { token } = effect
    switch (effect.kind) {
      case 'armDeadman':
        return await this.#arm(effect)
      case 'renewDeadman': {
        const ok = await this.#insist('renewed', () => this.#deadman.renew(effect))
        return { kind: 'deadmanRenewed', token, ok }
      }
      case 'disarmDeadman': {
        const won = await this.#insist('disarmed', () => this.#deadman.disarm(token))
        return { kind: 'deadmanDisarmed', token, won }
      }
    }
  }

  /** One that could not be armed is taken back, whatever of it is on the disk; nothing begins then. */
  async #arm(effect: DeadmanEffect & { kind: 'armDeadman' }): Promise<HostEvent> {
    const { token } = effect
    try {
      await this.#deadman.arm(effect)
      return { kind: 'deadmanArmed', token }
    } catch (error) {
      this.#log.error({ error: String(error) }, 'the deadman could not be armed')
      const won = await this.#insist('taken back', () => this.#takeBack(token))
      return { kind: 'deadmanDisarmed', token, won }
    }
  }

  /** True: nothing of this token is armed. False: it has fired already. */
  async #takeBack(token: string): Promise<boolean> {
    const state = await this.#deadman.state()
    if (state.kind === 'idle' || state.token !== token) return true
    return await this.#deadman.disarm(token)
  }

  #insist(what: string, ask: () => Promise<boolean>): Promise<boolean> {
    return this.#pauses.insist(ask, (error) =>
      this.#log.error({ error: String(error) }, `the deadman could not be ${what}: trying again`),
    )
  }
}
