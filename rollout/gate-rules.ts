/**
 * The validity of commands (SPEC §7.4); those that change who decides have files of their own.
 *
 * The gate calls `judgeCommand` twice for every command of a block: over the block's basis alone, and
 * over everything that the voter holds.
 */
import {
  type Command,
  type HostName,
  type Outcome,
  type Phase,
  phaseRank,
} from '../protocol/index.ts'
import { judgeAdmit } from './admit-rules.ts'
import { rolloutRecord } from './fleet-view.ts'
import { hostsOf } from './gate-state.ts'
import { sinceMs } from './local-times.ts'
import { judgeReconfig } from './reconfig-rules.ts'
import { judgeRoot } from './root-rules.ts'
import { no, noStage, type Ruling, type Scene, type Stage, stageOf, wait, YES } from './scene.ts'
import { judgeStart } from './start-rules.ts'
import { haltCovers } from './steering.ts'

/** Whether `command` is valid in this scene. */
export function judgeCommand(scene: Scene, command: Command): Ruling {
  switch (command.kind) {
    case 'admit': {
      const admission = judgeAdmit(scene, command.rollout)
      if (admission.kind === 'admissible') return YES
      return admission.kind === 'waiting' ? wait(admission.why) : no(admission.why)
    }
    case 'start':
      return judgeStart(scene, command)
    case 'skip':
      return judgeSkip(scene, command)
    case 'close':
      return judgeClose(scene, command)
    case 'reconfig':
      return judgeReconfig(scene, command.config)
    case 'root':
      return judgeRoot(scene, command.root)
  }
}

/**
 * A start that nobody used in `startTimeoutMs` may be ended, in any rollout, open or closed: an offline
 * host must not keep its permit. A voter that granted a lease for the round never agrees, so that in
 * one round a host is skipped or leased, never both.
 */
function judgeSkip(scene: Scene, command: Command & { kind: 'skip' }): Ruling {
  const stage = stageOf(scene, command.rollout)
  if (stage === undefined) return noStage(command.rollout)
  for (const host of command.hosts) {
    const ruling = maySkip(scene, stage, { host, round: command.round })
    if (ruling.kind !== 'yes') return ruling
  }
  return YES
}

function maySkip(scene: Scene, stage: Stage, place: { host: HostName; round: number }): Ruling {
  const { host, round } = place
  const { rollout } = stage.rollout
  const standing = stage.standing.hosts.get(host)
  if (standing?.start?.round !== round) return no(`${host} is not started in round ${round}`)
  if (!standing.open) return no(`the start of ${host} has ended`)
  if (standing.start.epoch !== scene.state.epoch)
    return no(
      `${host} was started in epoch ${standing.start.epoch}: its voters may have granted it a lease`,
    )
  if (hasBegun(standing.phase)) return no(`${host} has begun (${standing.phase})`)
  if (scene.local.granted(rollout, host, round)) return no(`a lease was granted to ${host}`)
  const sight = { kind: 'start', rollout, host, round } as const
  const waited = sinceMs(scene.local.times, sight, scene.local.now)
  if (waited >= stage.plan.policy.startTimeoutMs) return YES
  return wait(`${host} was started ${waited} ms ago`)
}

function hasBegun(phase: Phase | undefined): boolean {
  return phase !== undefined && phaseRank(phase) >= phaseRank('ACTIVATING')
}

function judgeClose(scene: Scene, command: Command & { kind: 'close' }): Ruling {
  const stage = stageOf(scene, command.rollout)
  if (stage === undefined) return noStage(command.rollout)
  const { status } = stage.rollout
  if (status !== 'open') return no(`the rollout is closed (${status})`)
  const [unfinished] = unfinishedHosts(scene, stage)
  if (unfinished !== undefined) return wait(`${unfinished} is not done`)
  const outcome = outcomeOf(scene, stage)
  return outcome === command.outcome
    ? YES
    : no(`expected outcome ${outcome}, found ${command.outcome}`)
}

/** Hosts that a close still has to wait for; under a halt or breach those never started count as skipped. */
export function unfinishedHosts(scene: Pick<Scene, 'view'>, stage: Stage): readonly HostName[] {
  const record = rolloutRecord(scene.view, stage.rollout.rollout)
  return hostsOf(stage.rollout).filter((host) => {
    const standing = stage.standing.hosts.get(host)
    if (standing === undefined || standing.end !== undefined) return false
    const stopped = stage.standing.breached || haltCovers(record, host)
    return !(stopped && standing.start === undefined)
  })
}

/** The one outcome that a rollout whose hosts are all done has. */
export function outcomeOf(
  scene: Pick<Scene, 'view'>,
  stage: Stage,
): Exclude<Outcome, 'superseded'> {
  const record = rolloutRecord(scene.view, stage.rollout.rollout)
  const sentBack = [...record.halts.values()].some(
    ({ body }) => body.revert && body.hosts === undefined,
  )
  const { breached, halted, hosts } = stage.standing
  if (sentBack || (breached && stage.plan.policy.onFailure === 'revertAll')) return 'reverted'
  if (breached || halted) return 'halted'
  const committed = [...hosts.values()].some((one) => one.end === 'committed')
  return committed ? 'complete' : 'halted'
}
