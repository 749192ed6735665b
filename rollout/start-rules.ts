/**
 * The validity of `start`: the permit of one host and the promotion of a wave in one (SPEC §7.4).
 *
 * "Go" is decided here and nowhere else. A start of round 0 follows the waves; a higher round lets a
 * host catch up that was away, also after its rollout closed complete.
 */
import { type Command, type HostName, ROUNDS_MAX } from '../protocol/index.ts'
import { rolloutRecord, roundRecord } from './fleet-view.ts'
import { judgeHolders } from './holders.ts'
import { permitsOf, roomFor } from './permits.ts'
import { no, noStage, type Ruling, type Scene, type Stage, stageOf, wait, YES } from './scene.ts'
import type { Standing } from './standing.ts'
import { haltCovers, isHeld } from './steering.ts'
import { hostNamed } from './trust.ts'
import { wentBack } from './way-back.ts'

/** Whether the hosts of `command` may start now. */
export function judgeStart(scene: Scene, command: Command & { kind: 'start' }): Ruling {
  const stage = stageOf(scene, command.rollout)
  if (stage === undefined) return noStage(command.rollout)
  const stopped = stoppedBy(scene, stage, command.hosts)
  if (stopped !== undefined) return no(stopped)
  if (isHeld(rolloutRecord(scene.view, command.rollout))) return wait('the rollout is paused')
  for (const host of command.hosts) {
    const ruling = mayStart(scene, stage, { host, round: command.round })
    if (ruling.kind !== 'yes') return ruling
  }
  const waves = waveRule(stage, command)
  if (waves.kind !== 'yes') return waves
  const held = command.round === 0 ? judgeHolders(scene, stage, waveOf(stage, command)) : YES
  return held.kind === 'yes' ? roomFor(scene, stage, command.hosts) : held
}

function stoppedBy(scene: Scene, stage: Stage, hosts: readonly HostName[]): string | undefined {
  const record = rolloutRecord(scene.view, stage.rollout.rollout)
  const halted = hosts.find((host) => haltCovers(record, host))
  if (halted !== undefined) return `a halt covers ${halted}`
  const { status, closedBreached } = stage.rollout
  const { breached, failures, budget } = stage.standing
  const counts = status === 'open' ? breached : closedBreached === true
  return counts ? `${failures} hosts failed, the budget is ${budget}` : undefined
}

function mayStart(scene: Scene, stage: Stage, place: { host: HostName; round: number }): Ruling {
  const { host, round } = place
  const standing = stage.standing.hosts.get(host)
  if (standing === undefined) return no(`${host} is not in the plan`)
  if (hostNamed(scene.trust, host) === undefined)
    return no(`${host} is no host of the group any more`)
  const ruling = round === 0 ? mayBegin(stage, standing) : mayCatchUp(scene, stage, standing, round)
  if (ruling.kind !== 'yes') return ruling
  const elsewhere = permitsOf(scene).open.get(host)
  return elsewhere === undefined ? YES : no(`${host} is started in ${elsewhere}`)
}

function mayBegin({ rollout }: Stage, { host, start, end }: Standing): Ruling {
  if (rollout.status !== 'open') return no(`the rollout is closed (${rollout.status})`)
  if (start !== undefined) return no(`${host} was started in round ${start.round}`)
  return end === undefined ? YES : no(`${host} is ${end}`)
}

/** A host that was away may be started again, if nothing newer was admitted for it. */
function mayCatchUp(scene: Scene, stage: Stage, standing: Standing, round: number): Ruling {
  const { rollout } = stage
  const { host } = standing
  if (round >= ROUNDS_MAX) return no(`${host} had its ${ROUNDS_MAX} rounds`)
  if (rollout.status !== 'open' && rollout.status !== 'complete') {
    return no(`the rollout is ${rollout.status}`)
  }
  if (scene.state.hosts.get(host)?.last !== rollout.rollout) {
    return no(`a later rollout was admitted for ${host}`)
  }
  if (round !== standing.round + 1) return no(`${host} is in round ${standing.round}`)
  if (!mayReturn(scene, stage, standing)) {
    const { end, phase } = standing
    return no(`${host} is ${end ?? phase ?? 'not started'}: nothing to catch up`)
  }
  const record = rolloutRecord(scene.view, rollout.rollout)
  if (roundRecord(record, host, round).transitions.has('READY')) return YES
  return wait(`${host} has not said READY for round ${round}`)
}

/**
 * Skipped, or back without anybody's proof of failure: unconfirmed, or sent back by a breach that the
 * close of its rollout did not see.
 */
function mayReturn(scene: Scene, { rollout }: Stage, standing: Standing): boolean {
  if (standing.failure) return false
  if (standing.end === 'skipped') return true
  if (standing.end !== 'reverted') return false
  const record = rolloutRecord(scene.view, rollout.rollout)
  const place = { host: standing.host, round: standing.round }
  if (wentBack(record, place, 'unconfirmed')) return true
  return rollout.status === 'complete' && wentBack(record, place, 'breach')
}

/** The one wave of the hosts, as `waveRule` found it. */
function waveOf({ standing }: Stage, { hosts }: Command & { kind: 'start' }): number {
  return standing.hosts.get(hosts[0] ?? '')?.wave ?? 0
}

/**
 * Waves go in order, no wave goes once the budget is spent, and a canary that was skipped or lost
 * promotes nobody: until a whole wave 0 has committed, no more than that many are under way.
 */
function waveRule(stage: Stage, command: Command & { kind: 'start' }): Ruling {
  const { standing, rollout } = stage
  const waves = new Set(command.hosts.map((host) => standing.hosts.get(host)?.wave))
  const [wave] = waves
  if (waves.size !== 1 || wave === undefined) return no('the hosts are not of one wave')
  const all = [...standing.hosts.values()]
  const before = all.find((one) => one.wave < wave && one.end === undefined)
  if (rollout.status === 'open' && before !== undefined) {
    return wait(`${before.host} of wave ${before.wave} is not done`)
  }
  const spent = standing.failures + standing.inconclusive
  if (command.round === 0 && spent > standing.budget) {
    const found = `${standing.failures} failed and ${standing.inconclusive} unconfirmed`
    return wait(`${found}, the budget is ${standing.budget}`)
  }
  const canaries = rollout.waves[0]?.length ?? 0
  const committed = all.filter((one) => one.end === 'committed').length
  const underWay = all.filter((one) => one.start !== undefined && one.end === undefined).length
  if (committed < canaries && underWay + command.hosts.length > canaries) {
    return wait(`${committed} of ${canaries} canaries are committed`)
  }
  return YES
}
