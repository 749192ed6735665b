/**
 * Requests out of facts: what the log should decide next (SPEC §7.1). No node is special, each
 * voter derives the same requests from the facts that it holds.
 */
import type { Command, HostName, RolloutId } from '../protocol/index.ts'
import { GROUP_HOSTS_MAX, ROUNDS_MAX } from '../protocol/index.ts'
import { rolloutRecord, roundRecord } from './fleet-view.ts'
import { applyCommand } from './gate-apply.ts'
import { judgeCommand, outcomeOf, unfinishedHosts } from './gate-rules.ts'
import { frozenBy } from './lies.ts'
import { sinceMs } from './local-times.ts'
import { type Scene, type Stage, stageOf } from './scene.ts'
import type { Standing } from './standing.ts'

/** At most `max` commands that are valid one after the other in this scene, in a fixed order. */
export function draftCommands(scene: Scene, max: number): readonly Command[] {
  let now = scene
  const commands: Command[] = []
  const take = (command: Command): boolean => {
    if (commands.length >= max || judgeCommand(now, command).kind !== 'yes') return false
    const state = applyCommand(now, command)
    if (state === undefined) return false
    now = { ...now, state }
    commands.push(command)
    return true
  }
  const change = draftReconfig(scene)
  if (change !== undefined) return [change]
  if (frozenBy(scene.trust, scene.view) !== undefined) return []
  const root = draftRoot(scene)
  if (root !== undefined) return [root]
  for (const rollout of startedRollouts(scene)) draftSkips(now, rollout, take)
  for (const rollout of openRollouts(scene)) draftClose(now, rollout, take)
  for (const rollout of [...scene.view.plans.keys()].sort()) {
    if (!scene.state.rollouts.has(rollout)) take({ kind: 'admit', rollout })
  }
  for (const rollout of returningRollouts(now)) draftReturns(now, rollout, take)
  for (const rollout of openRollouts(now)) draftStarts(() => now, rollout, take)
  return commands
}

type Take = (command: Command) => boolean

/** Of rival configurations the one whose fact has the lowest id goes first: every voter agrees on it. */
function draftReconfig(scene: Scene): Command | undefined {
  for (const id of [...scene.view.configs.keys()].sort()) {
    const config = scene.view.configs.get(id)?.body.config
    if (config === undefined) continue
    const command = { kind: 'reconfig', config } as const
    if (judgeCommand(scene, command).kind === 'yes') return command
  }
  return undefined
}

/** Of rival roots too the one whose fact has the lowest id. */
function draftRoot(scene: Scene): Command | undefined {
  for (const id of [...scene.view.roots.keys()].sort()) {
    const body = scene.view.roots.get(id)?.body
    if (body === undefined || body.version !== scene.state.rootVersion + 1) continue
    const command = { kind: 'root', root: body.root } as const
    if (judgeCommand(scene, command).kind === 'yes') return command
  }
  return undefined
}

function openRollouts({ state }: Scene): readonly RolloutId[] {
  return [...state.rollouts.values()]
    .filter((one) => one.status === 'open')
    .map((one) => one.rollout)
}

/** Also closed ones: a host of a superseded rollout, or one that caught up, may still hold a permit. */
function startedRollouts({ state }: Scene): readonly RolloutId[] {
  return [...state.rollouts.values()].filter((one) => one.starts.size > 0).map((one) => one.rollout)
}

function returningRollouts({ state }: Scene): readonly RolloutId[] {
  const last = new Set([...state.hosts.values()].map((host) => host.last))
  return [...state.rollouts.values()]
    .filter((one) => last.has(one.rollout) && (one.status === 'open' || one.status === 'complete'))
    .map((one) => one.rollout)
}

/** One command a host: whoever refuses one of them has not refused the others for good. */
function draftSkips(scene: Scene, rollout: RolloutId, take: Take): void {
  const stage = stageOf(scene, rollout)
  for (const host of stage?.standing.open ?? []) {
    const round = stage?.standing.hosts.get(host)?.round ?? 0
    take({ kind: 'skip', rollout, round, hosts: [host] })
  }
}

/**
 * A rollout that sends its hosts back closes when all of them are back, or, when some stay silent,
 * once they had `startTimeoutMs` for it: the rule would allow it at once, but nobody is served by a
 * rollout that is over while its hosts are still on their way.
 */
function draftClose(scene: Scene, rollout: RolloutId, take: Take): void {
  const stage = stageOf(scene, rollout)
  if (stage === undefined || unfinishedHosts(scene, stage).length > 0) return
  const outcome = outcomeOf(scene, stage)
  const waited = sinceMs(scene.local.times, { kind: 'settled', rollout }, scene.local.now)
  const patient = waited < stage.plan.policy.startTimeoutMs
  if (outcome === 'reverted' && patient && standings(stage).some(isOnItsWay)) return
  take({ kind: 'close', rollout, outcome })
}

function isOnItsWay({ start, phase }: Standing): boolean {
  return start !== undefined && phase !== 'REVERTED' && phase !== 'STUCK' && phase !== 'SKIPPED'
}

/** The largest part of the open wave that the permits allow; hosts that are READY first. */
function draftStarts(now: () => Scene, rollout: RolloutId, take: Take): void {
  const stage = stageOf(now(), rollout)
  if (stage === undefined) return
  const waiting = standings(stage).filter((one) => one.start === undefined && one.end === undefined)
  const wave = Math.min(...waiting.map((one) => one.wave))
  const candidates = waiting
    .filter((one) => one.wave === wave)
    .sort(readyFirst)
    .map((one) => one.host)
  const chosen: HostName[] = []
  for (const host of candidates.slice(0, GROUP_HOSTS_MAX)) {
    const hosts = [...chosen, host].sort()
    const ruling = judgeCommand(now(), { kind: 'start', rollout, round: 0, hosts })
    if (ruling.kind === 'yes') chosen.push(host)
  }
  if (chosen.length > 0) take({ kind: 'start', rollout, round: 0, hosts: chosen.sort() })
}

function readyFirst(a: Standing, b: Standing): number {
  return Number(b.phase === 'READY') - Number(a.phase === 'READY')
}

function draftReturns(scene: Scene, rollout: RolloutId, take: Take): void {
  const record = rolloutRecord(scene.view, rollout)
  for (const { host, round, end } of standings(stageOf(scene, rollout))) {
    const next = round + 1
    if (end === undefined || next >= ROUNDS_MAX) continue
    if (!roundRecord(record, host, next).transitions.has('READY')) continue
    take({ kind: 'start', rollout, round: next, hosts: [host] })
  }
}

function standings(stage: Stage | undefined): readonly Standing[] {
  return stage === undefined ? [] : [...stage.standing.hosts.values()]
}
