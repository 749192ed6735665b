/**
 * Whether a plan may own its hosts: `admit` and the reasons against it (SPEC §7.4).
 *
 * Exactly one of two rival plans finds its `base` unmoved; the other is told which and why.
 */
import type {
  BlockId,
  HostName,
  Manifest,
  PlanBody,
  PlanGroup,
  RolloutId,
} from '../protocol/index.ts'
import { rolloutRecord } from './fleet-view.ts'
import { isRevoked } from './revocations.ts'
import type { Scene } from './scene.ts'
import { haltCovers } from './steering.ts'
import { checkFloors } from './strategy.ts'
import { hostNamed, mayDeploy, operatorOfKey } from './trust.ts'

/** Why a plan can never be admitted any more. Part of the audit log: add, never rename. */
export type RejectionCode =
  | 'scope'
  | 'expired'
  | 'unknown-host'
  | 'not-in-release'
  | 'duplicate-host'
  | 'floor'
  | 'conflict'
  | 'stale-base'
  | 'halted-before'
  | 'halted'
  | 'downgrade'
  | 'malformed'
  | 'revoked'

export type Admission =
  | { readonly kind: 'admissible'; readonly plan: PlanBody; readonly part: PlanGroup }
  | { readonly kind: 'waiting'; readonly why: string }
  | {
      readonly kind: 'rejected'
      readonly code: RejectionCode
      readonly why: string
      /** The rollout that holds the hosts, when there is one. */
      readonly winner?: RolloutId | undefined
    }

/** Judges the plan `id` in this scene. */
export function judgeAdmit(scene: Scene, id: RolloutId): Admission {
  const fact = scene.view.plans.get(id)
  if (fact === undefined) return waiting('the plan is not held')
  if (scene.state.rollouts.has(id)) return rejected('stale-base', 'the plan was admitted before')
  // Before the body is looked for: nobody fetches the plan of someone who may not deploy.
  const outOfScope = refusedByAuthor(scene, fact.author)
  if (outOfScope !== undefined) return outOfScope
  const plan = scene.bodies.plan(fact.body.plan)
  if (plan === undefined) return waiting("the plan's body is not held")
  const release = scene.view.releases.get(plan.release)
  if (release === undefined) return waiting('no announcement by a release key is held')
  const manifest = scene.bodies.manifest(release.body.manifest)
  if (manifest === undefined) return waiting("the release's manifest is not held")
  const part = plan.groups.find((one) => one.group === scene.trust.config.group)
  if (part === undefined || plan.release !== fact.body.release) {
    return rejected(
      'malformed',
      'expected a plan with a part for this group and the release that its fact names',
    )
  }
  return (
    refusedByChannel(scene, fact.author, release.body.channel) ??
    refusedByHosts(scene, part, manifest) ??
    refusedByFloors(scene, part, plan) ??
    refusedByClaims(scene, { id, plan, part }) ??
    refusedByVersion(scene, plan, release.body) ?? { kind: 'admissible', plan, part }
  )
}

/** The newest block that admitted or closed a rollout over any of `hosts`: what a new plan's base must be. */
export function baseFor(
  scene: Pick<Scene, 'state' | 'trust'>,
  hosts: readonly HostName[],
): BlockId {
  let best: { block: BlockId; slot: number } = { block: scene.trust.genesis, slot: 0 }
  for (const host of hosts) {
    const touched = scene.state.hosts.get(host)?.touched
    if (touched !== undefined && touched.slot > best.slot) best = touched
  }
  return best.block
}

function refusedByAuthor(scene: Scene, author: string): Admission | undefined {
  const operator = operatorOfKey(scene.trust, author)
  if (operator === undefined) return rejected('scope', 'the author is no operator of this fleet')
  if (isRevoked(scene.view, author))
    return rejected('revoked', `the key of ${operator.name} is revoked`)
  if (mayDeploy(scene.trust, author)) return undefined
  const { name, role } = operator
  return rejected('scope', `${name} (${role}) may not deploy to ${scene.trust.config.group}`)
}

function refusedByChannel(scene: Scene, author: string, channel: string): Admission | undefined {
  const operator = operatorOfKey(scene.trust, author)
  if (operator === undefined) return undefined
  if (operator.channels.length > 0 && !operator.channels.includes(channel)) {
    return rejected('scope', `${operator.name} may not deploy channel ${channel}`)
  }
  if (operator.expires > 0 && scene.local.wallMs >= operator.expires) {
    return rejected('expired', `the key of ${operator.name} expired at ${operator.expires}`)
  }
  return undefined
}

function refusedByHosts(scene: Scene, part: PlanGroup, manifest: Manifest): Admission | undefined {
  const seen = new Set<HostName>()
  const released = new Set(manifest.hosts.map((one) => one.host))
  for (const host of part.waves.flat()) {
    if (hostNamed(scene.trust, host) === undefined) {
      return rejected('unknown-host', `${host} is no host of group ${part.group}`)
    }
    if (!released.has(host))
      return rejected('not-in-release', `the release has no generation for ${host}`)
    if (seen.has(host)) return rejected('duplicate-host', `${host} stands in two waves`)
    seen.add(host)
  }
  return undefined
}

function refusedByFloors(scene: Scene, part: PlanGroup, plan: PlanBody): Admission | undefined {
  const { floors, hosts } = scene.trust.config
  const [violation] = checkFloors({
    waves: part.waves,
    policy: plan.policy,
    floors,
    groupSize: hosts.length,
  })
  if (violation === undefined) return undefined
  return rejected(
    'floor',
    `expected ${violation.floor} ${violation.expected}, found ${violation.found}`,
  )
}

function refusedByClaims(
  scene: Scene,
  input: { id: RolloutId; plan: PlanBody; part: PlanGroup },
): Admission | undefined {
  const { id, plan, part } = input
  const hosts = part.waves.flat()
  if (rolloutRecord(scene.view, id).halts.size > 0)
    return rejected('halted', 'the plan was halted before it was admitted')
  for (const host of hosts) {
    const known = scene.state.hosts.get(host)
    if (known === undefined || plan.supersedes.includes(known.last)) continue
    if (known.claimedBy !== undefined) {
      return rejected(
        'conflict',
        `${host} belongs to ${known.claimedBy.slice(0, 12)} since slot ${known.touched.slot}`,
        known.claimedBy,
      )
    }
    if (wasStopped(scene, known.last, host)) {
      return rejected(
        'halted-before',
        `${host} was last under ${known.last.slice(0, 12)}, which was halted: supersede it by name`,
        known.last,
      )
    }
  }
  const base = baseFor(scene, hosts)
  if (base === part.base) return undefined
  const winner = hosts
    .map((host) => scene.state.hosts.get(host))
    .find((one) => one?.touched.block === base)?.last
  return rejected(
    'stale-base',
    `expected base ${base.slice(0, 12)}, found ${part.base.slice(0, 12)}: the hosts changed hands since the plan was made`,
    winner,
  )
}

/** Halted, or over its budget when it closed: nobody redeploys over a rollback unawares. */
function wasStopped(scene: Scene, last: RolloutId, host: HostName): boolean {
  const breached = scene.state.rollouts.get(last)?.closedBreached === true
  return breached || haltCovers(rolloutRecord(scene.view, last), host)
}

function refusedByVersion(
  scene: Scene,
  plan: PlanBody,
  release: { channel: string; version: number },
): Admission | undefined {
  const mark = scene.state.channels.get(release.channel)
  if (mark === undefined) return undefined
  const least = plan.kind === 'rollback' ? mark.minVersion : Math.max(mark.version, mark.minVersion)
  if (release.version >= least) return undefined
  return rejected(
    'downgrade',
    `expected version ${least} or newer in channel ${release.channel}, found ${release.version}`,
  )
}

function waiting(why: string): Admission {
  return { kind: 'waiting', why }
}

function rejected(code: RejectionCode, why: string, winner?: RolloutId): Admission {
  return { kind: 'rejected', code, why, winner }
}
