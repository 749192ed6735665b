/**
 * What the rules of the gate log look at, and what they answer (SPEC §7.4).
 *
 * A scene is a state, a view and this voter's own clock. The gate judges every block in two of them:
 * over the block's basis alone, and over everything that the voter holds.
 */
import type { HostName, Manifest, PlanBody, RolloutId } from '../protocol/index.ts'
import type { Bodies, FleetView } from './fleet-view.ts'
import type { GateRollout, GateState } from './gate-state.ts'
import type { LocalTimes } from './local-times.ts'
import { type RolloutStanding, standRollout } from './standing.ts'
import type { Trust } from './trust.ts'

/** Everything that a rule may look at. */
export interface Scene {
  readonly trust: Trust
  readonly state: GateState
  readonly view: FleetView
  readonly bodies: Bodies
  readonly local: LocalScene
}

/** What only this voter knows: its clocks and the leases that it granted. */
export interface LocalScene {
  /** By the clock that counts suspend. */
  readonly now: number
  readonly wallMs: number
  readonly times: LocalTimes
  /** There is no clock here, somebody only asks why: nothing that ended counts any more. */
  readonly timeless?: boolean
  /**
   * Whether this voter granted a lease for the round, or holds n − q + 1 grants of others for it: it
   * then never votes to skip it, and a skip is no request any more.
   */
  granted(rollout: RolloutId, host: HostName, round: number): boolean
}

/** Why a command does not hold. `wait` may pass with more facts or time; `no` is final on this state. */
export type Ruling =
  | { readonly kind: 'yes' }
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'no'; readonly why: string }

/** The command holds. */
export const YES: Ruling = { kind: 'yes' }

/** It may hold later: facts, bodies or time are missing. */
export function wait(why: string): Ruling {
  return { kind: 'wait', why }
}

/** It cannot hold on this state. */
export function no(why: string): Ruling {
  return { kind: 'no', why }
}

/** A rollout with its plan and its standing in a scene. */
export interface Stage {
  readonly rollout: GateRollout
  readonly plan: PlanBody
  readonly standing: RolloutStanding
}

/** The rollout as it stands in the scene; undefined while it is not admitted or its plan not held. */
export function stageOf(scene: Scene, id: RolloutId): Stage | undefined {
  const rollout = scene.state.rollouts.get(id)
  const plan = planOf(scene, id)
  if (rollout === undefined || plan === undefined) return undefined
  const { trust, view } = scene
  const manifest = manifestOf(scene, plan)
  return { rollout, plan, standing: standRollout({ trust, view, rollout, plan, manifest }) }
}

/** What a rule says of a rollout that has no stage. */
export function noStage(id: RolloutId): Ruling {
  return wait(`rollout ${id} is not admitted or its plan not held`)
}

/** The body of the plan that made rollout `id`, if fact and body are held. */
export function planOf(scene: Pick<Scene, 'view' | 'bodies'>, id: RolloutId): PlanBody | undefined {
  const fact = scene.view.plans.get(id)
  return fact === undefined ? undefined : scene.bodies.plan(fact.body.plan)
}

/** The manifest of the plan's release, if announcement and manifest are held. */
export function manifestOf(
  scene: Pick<Scene, 'view' | 'bodies'>,
  plan: PlanBody,
): Manifest | undefined {
  const release = scene.view.releases.get(plan.release)
  return release === undefined ? undefined : scene.bodies.manifest(release.body.manifest)
}
