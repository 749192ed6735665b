/**
 * Who else holds what the hosts of a wave are about to run, and what they run now (SPEC §7.4).
 *
 * A wave starts only where its bytes, and those of the way back, do not hang on one disk or on a cache
 * far away. That is decided from signed words in the basis and never from what a voter can see of the
 * network: a host holds a closure for a wave when it said so for that wave.
 */
import {
  type BlockId,
  concatBytes,
  crashesSurvived,
  fromHex,
  type GroupConfig,
  type HostName,
  type Manifest,
  type ManifestHost,
  type RolloutId,
  type StorePath,
  sha256,
  toHex,
  utf8,
} from '../protocol/index.ts'
import { type Knowledge, sceneOf } from './derive-orders.ts'
import { lossOf, type RolloutRecord, rolloutRecord } from './fleet-view.ts'
import { hostsOf } from './gate-state.ts'
import { manifestOf, type Ruling, type Scene, type Stage, stageOf, wait, YES } from './scene.ts'
import type { Standing } from './standing.ts'
import { haltCovers, revertCovers } from './steering.ts'
import type { Trust } from './trust.ts'

/** A host's generation with the manifest that says what its closure is made of. */
export interface Closure {
  readonly entry: ManifestHost
  readonly manifest: Manifest
}

/** What a host goes to in a rollout, and what it comes from. */
export interface HostClosures {
  /** Undefined while the manifest is not held. */
  readonly next: Closure | undefined
  /**
   * What the newest rollout before this one in which the host committed and rests gave it. Undefined
   * where there is none: nobody but the host itself can say what its enrolment is made of.
   */
  readonly previous: Closure | undefined
}

/** One closure that hosts of an open rollout want held until it closes. */
export interface Holding {
  readonly rollout: RolloutId
  readonly admitBlock: BlockId
  readonly generation: StorePath
  readonly closure: Closure
  /** Hosts that run it, or are about to. */
  readonly of: readonly HostName[]
  /** How many hold it: one more than the plan asks for, because nobody counts for itself. */
  readonly keepers: number
  /** The wave that cannot start without it; undefined while none is next. */
  readonly wave: number | undefined
  /** Who said that it holds it for that wave. */
  readonly said: readonly HostName[]
  /** A host of that wave has fewer holders than it needs. */
  readonly short: boolean
  /** How long the next one waits before it takes the place of a keeper that does not come. */
  readonly turnMs: number
}

/** Whether enough hosts hold both closures of every host of the wave that is not started yet. */
export function judgeHolders(scene: Scene, stage: Stage, wave: number): Ruling {
  const { holders = 0 } = stage.plan.policy
  if (holders === 0) return YES
  const rulings = ruled.get(scene) ?? new Map<string, Ruling>()
  const key = `${stage.rollout.rollout}/${wave}`
  const before = rulings.get(key)
  if (before !== undefined) return before
  const ruling = judgeWave(scene, stage, wave)
  ruled.set(scene, rulings.set(key, ruling))
  return ruling
}

/** Each host of a wave is asked about by itself, and the answer is one for the whole wave. */
const ruled = new WeakMap<Scene, Map<string, Ruling>>()

function judgeWave(scene: Scene, stage: Stage, wave: number): Ruling {
  const record = rolloutRecord(scene.view, stage.rollout.rollout)
  const closures = closuresOf(scene, stage)
  for (const { host } of waitingIn(stage, wave)) {
    const { next, previous } = closures.get(host) ?? NO_CLOSURES
    if (next === undefined) return wait('the manifest of the release is not held')
    const needed = holdersNeeded(scene.trust, stage, record, host)
    for (const [which, closure] of [
      ['new', next],
      ['previous', previous],
    ] as const) {
      if (closure === undefined) continue
      const found = holdersOf({ trust: scene.trust, record, closure, wave, host }).length
      if (found >= needed) continue
      return wait(`the ${which} closure of ${host} is held by ${found} of ${needed} other hosts`)
    }
  }
  return YES
}

/** The closures of every host of the rollout. */
export function closuresOf(scene: Scene, stage: Stage): ReadonlyMap<HostName, HostClosures> {
  const manifest = manifestOf(scene, stage.plan)
  const entries = new Map(manifest?.hosts.map((entry) => [entry.host, entry]))
  const previous = previousOf(scene, stage)
  return new Map(
    hostsOf(stage.rollout).map((host) => {
      const entry = entries.get(host)
      const next = entry === undefined || manifest === undefined ? undefined : { entry, manifest }
      return [host, { next, previous: previous.get(host) }]
    }),
  )
}

/** Hosts that said, for this wave, that they hold the closure; never the host that it is for. */
export function holdersOf(input: {
  readonly trust: Trust
  readonly record: RolloutRecord
  readonly closure: Closure
  readonly wave: number
  readonly host: HostName
}): readonly HostName[] {
  const { trust, record, closure, wave, host } = input
  const said = record.holders.get(closure.entry.generation)
  return trust.config.hosts
    .map(({ name }) => name)
    .filter(
      (name) =>
        name !== host && lossOf(record, name) === undefined && (said?.get(name) ?? -1) >= wave,
    )
}

/**
 * How many others have to hold the closures of `host`: what the plan asks for, in a small site as many
 * as are left when the group loses what it survives, and at least one wherever there is another.
 * Whoever is lost to the rollout, or could not take part in it, is not there to hold anything.
 */
export function holdersNeeded(
  { config }: Trust,
  stage: Stage,
  record: RolloutRecord,
  host: HostName,
): number {
  const { holders = 0 } = stage.plan.policy
  const others = config.hosts.filter(
    ({ name }) => name !== host && lossOf(record, name) === undefined && !isOut(stage, name),
  ).length
  const sure = others - crashesSurvived({ n: config.voters.length, q: config.quorum })
  return Math.min(holders, Math.max(sure, Math.min(1, others)))
}

/** Every closure that open rollouts want held, the oldest rollout first. */
export function holdingsFor(knowledge: Knowledge): readonly Holding[] {
  const scene = sceneOf(knowledge)
  return [...knowledge.state.rollouts.values()]
    .filter(({ status }) => status === 'open')
    .sort((a, b) => a.admitted.slot - b.admitted.slot)
    .flatMap(({ rollout }) => {
      const stage = stageOf(scene, rollout)
      return stage === undefined ? [] : holdingsOf(scene, stage)
    })
}

function holdingsOf(scene: Scene, stage: Stage): readonly Holding[] {
  const { plan, rollout } = stage
  const { holders = 0, startTimeoutMs: turnMs } = plan.policy
  if (holders === 0) return []
  const record = rolloutRecord(scene.view, rollout.rollout)
  const wave = waveDue(stage, record)
  const found = new Map<StorePath, Holding>()
  for (const [host, { next, previous }] of closuresOf(scene, stage)) {
    for (const closure of [next, previous]) {
      if (closure === undefined) continue
      const { generation } = closure.entry
      const before = found.get(generation)
      const due = isWaiting(stage.standing.hosts.get(host), wave) ? wave : undefined
      found.set(generation, {
        ...{ rollout: rollout.rollout, admitBlock: rollout.admitted.block, generation, closure },
        of: [...(before?.of ?? []), host],
        keepers: holders + 1,
        wave: before?.wave ?? due,
        said: before?.said ?? saidFor(record, generation, wave),
        short: before?.short === true || isShort({ scene, stage, closure, wave: due, host }),
        turnMs,
      })
    }
  }
  return [...found.values()]
}

function isShort(input: {
  readonly scene: Scene
  readonly stage: Stage
  readonly closure: Closure
  readonly wave: number | undefined
  readonly host: HostName
}): boolean {
  const { scene, stage, closure, wave, host } = input
  if (wave === undefined) return false
  const { trust } = scene
  const record = rolloutRecord(scene.view, stage.rollout.rollout)
  const found = holdersOf({ trust, record, closure, wave, host }).length
  return found < holdersNeeded(trust, stage, record, host)
}

/**
 * All members in the order in which they are asked to hold a closure: whoever needs it for itself
 * first, then by SHA-256(block of the admit ‖ generation ‖ 0 ‖ member), which nobody could choose.
 */
export function keeperOrder(
  { hosts }: Pick<GroupConfig, 'hosts'>,
  { admitBlock, generation, of }: Pick<Holding, 'admitBlock' | 'generation' | 'of'>,
): readonly HostName[] {
  const start = concatBytes(fromHex(admitBlock), utf8(generation), Uint8Array.of(0))
  const own = new Set(of)
  return hosts
    .map(({ name }) => ({ name, hash: toHex(sha256(concatBytes(start, utf8(name)))) }))
    .sort((a, b) => Number(own.has(b.name)) - Number(own.has(a.name)) || (a.hash < b.hash ? -1 : 1))
    .map(({ name }) => name)
}

const NO_CLOSURES: HostClosures = { next: undefined, previous: undefined }

/** What each host of the rollout rests on, as the log before it says. */
function previousOf(scene: Scene, stage: Stage): ReadonlyMap<HostName, Closure> {
  const { slot } = stage.rollout.admitted
  const earlier = [...scene.state.rollouts.values()]
    .filter((one) => one.admitted.slot < slot)
    .sort((a, b) => b.admitted.slot - a.admitted.slot)
  const open = new Set(hostsOf(stage.rollout))
  const found = new Map<HostName, Closure>()
  for (const { rollout } of earlier) {
    if (open.size === 0) break
    const then = stageOf(scene, rollout)
    const manifest = then === undefined ? undefined : manifestOf(scene, then.plan)
    if (then === undefined || manifest === undefined) continue
    const record = rolloutRecord(scene.view, rollout)
    for (const entry of manifest.hosts) {
      if (!open.has(entry.host) || !restsIn(then, record, entry.host)) continue
      open.delete(entry.host)
      found.set(entry.host, { entry, manifest })
    }
  }
  return found
}

/** It committed there, and nothing that is known sends it back from there. */
function restsIn(stage: Stage, record: RolloutRecord, host: HostName): boolean {
  const { rollout, plan, standing } = stage
  if (standing.hosts.get(host)?.end !== 'committed' || revertCovers(record, host)) return false
  const breached = rollout.status === 'open' ? standing.breached : rollout.closedBreached === true
  return !(breached && plan.policy.onFailure === 'revertAll' && rollout.status !== 'superseded')
}

/** The wave that would start next: every host before it is done, and nothing stops the rollout. */
function waveDue(stage: Stage, record: RolloutRecord): number | undefined {
  if (stage.standing.breached) return undefined
  const all = [...stage.standing.hosts.values()]
  const waiting = all.filter(
    (one) => one.start === undefined && one.end === undefined && !haltCovers(record, one.host),
  )
  if (waiting.length === 0) return undefined
  const wave = Math.min(...waiting.map((one) => one.wave))
  return all.some((one) => one.wave < wave && one.end === undefined) ? undefined : wave
}

function waitingIn(stage: Stage, wave: number): readonly Standing[] {
  return [...stage.standing.hosts.values()].filter((one) => isWaiting(one, wave))
}

function isWaiting(one: Standing | undefined, wave: number | undefined): boolean {
  return one !== undefined && one.wave === wave && one.start === undefined && one.end === undefined
}

function saidFor(
  record: RolloutRecord,
  generation: StorePath,
  wave: number | undefined,
): readonly HostName[] {
  const said = record.holders.get(generation) ?? new Map<HostName, number>()
  return [...said].filter(([, last]) => last >= (wave ?? 0)).map(([name]) => name)
}

/** It could not take part: it was away, or it is broken. */
function isOut({ standing, rollout }: Stage, host: HostName): boolean {
  const end = standing.hosts.get(host)?.end
  const away = end === 'skipped' || end === 'stuck' || end === 'failed' || end === 'lost'
  return away || rollout.gone?.has(host) === true
}
