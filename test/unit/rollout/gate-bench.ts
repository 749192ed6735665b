/** One gate machine on a bench: it is driven by hand, and every effect that it had is kept. */
import type { Block, Certificate, RolloutId, Vote } from '../../../protocol/index.ts'
import {
  type Accused,
  type GateConfig,
  type GateEffect,
  type GateEvent,
  type GateMachine,
  newGateMachine,
} from '../../../rollout/gate-machine.ts'
import { stepGate } from '../../../rollout/gate-step.ts'
import { NOBODY } from '../../../rollout/lies.ts'
import {
  asMessage,
  blockAt,
  certificateOf,
  fakeConfig,
  fakeGenesis,
  fakeRules,
  keys,
  request,
} from './gate-fakes.ts'

/** Two requests; most blocks on this bench carry the first. */
export const R: RolloutId = request(1)
export const S: RolloutId = request(2)
/** Voter 3 of four, which need three: with this genesis it leads views 3, 7, …; 0 leads view 4. */
export const config: GateConfig = fakeConfig({ n: 4, self: keys(4)[3] ?? '' })

/** The machine, every effect that it had so far, and what its node holds and refuses. */
export interface Bench {
  machine: GateMachine
  readonly effects: GateEffect[]
  readonly held: Set<RolloutId>
  readonly refused: Set<RolloutId>
  accused: Accused
  step(event: GateEvent): readonly GateEffect[]
  take(...messages: readonly (Block | Vote | Certificate)[]): readonly GateEffect[]
}

/** A fresh bench; a follower's with a config that has no self. */
export function bench(options: { held?: readonly RolloutId[]; config?: GateConfig } = {}): Bench {
  const one: Bench = {
    machine: newGateMachine(options.config ?? config, fakeGenesis()),
    effects: [],
    held: new Set(options.held ?? []),
    refused: new Set(),
    accused: NOBODY,
    step(event) {
      const rules = fakeRules(one.held, one.refused, new Map(), one.accused)
      const turn = stepGate(one.machine, event, rules)
      one.machine = turn.machine
      one.effects.push(...turn.effects)
      return turn.effects
    },
    take(...messages) {
      return messages.flatMap((value) => one.step({ kind: 'message', message: asMessage(value) }))
    },
  }
  return one
}

/** A machine whose journal held these messages, before its restart. */
export function restored(
  messages: readonly (Block | Vote | Certificate)[],
  held: readonly RolloutId[] = [R, S],
): Bench {
  const one = bench({ held })
  for (const value of messages) one.step({ kind: 'restore', message: asMessage(value) })
  return one
}

type Kind = GateEffect['kind']

/** The effects of one kind. */
export function only<K extends Kind>(
  effects: readonly GateEffect[],
  kind: K,
): (GateEffect & { kind: K })[] {
  return effects.filter((effect): effect is GateEffect & { kind: K } => effect.kind === kind)
}

/** Votes as short text: `notarize 1`. */
export function votesIn(effects: readonly GateEffect[]): readonly string[] {
  return only(effects, 'vote').map(({ vote, body }) => `${vote} ${body.view}`)
}

/** Two blocks of the first view's leader, and certificates that block one may get. */
export const b1: Block = blockAt(config, { view: 1, requests: [R] })
export const rival1: Block = blockAt(config, { view: 1, requests: [S] })
export const notarized1: Certificate = certificateOf(config, 'notarize', b1)
export const final1: Certificate = certificateOf(config, 'final', b1)
export const skipped = (view: number): Certificate => certificateOf(config, 'skip', view)
