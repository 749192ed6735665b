/** The invariants of a host that goes forward or back: S3, S4, S5, S9. Each returns what breaks it. */

import type { DeadmanState } from '../../../node/ports.ts'
import type { MemoryDisk } from '../../../node/store/memory.ts'
import {
  type FactOf,
  feedOf,
  type HostName,
  type RolloutId,
  type StorePath,
} from '../../../protocol/index.ts'
import type { HostState } from '../../../rollout/index.ts'
import type { Chronicle, LogEntry } from './chronicle.ts'

/** A host enters ACTIVATING: its journal says so for the first time. */
export interface Go {
  readonly host: HostName
  readonly rollout: RolloutId
  readonly round: number
  readonly generation: StorePath
  /** By the host's own clock. */
  readonly at: number
}

/** S3: admit and start are committed on this host's own disk, and every signature has its right. */
export function s3Authority(
  go: Go,
  log: readonly LogEntry[],
  chronicle: Chronicle,
): readonly string[] {
  const { trust } = chronicle
  const commands = log.flatMap(({ block }) => block.body.commands)
  const broken: string[] = []
  const isAdmitted = commands.some((one) => one.kind === 'admit' && one.rollout === go.rollout)
  if (!isAdmitted) broken.push('its admit is not committed')
  const isStarted = commands.some(
    (one) =>
      one.kind === 'start' &&
      one.rollout === go.rollout &&
      one.round === go.round &&
      one.hosts.includes(go.host),
  )
  if (!isStarted) broken.push(`no start of round ${go.round} is committed`)
  const plan = chronicle.byId.get(go.rollout)
  const operator = trust.root.operators.find((one) => one.key === plan?.author)
  if (operator === undefined || operator.role === 'readonly') {
    broken.push('its plan is not signed by an operator who may deploy')
  }
  const body = chronicle.planOf(go.rollout)
  const release = body === undefined ? undefined : chronicle.byId.get(body.release)
  if (!trust.root.releaseKeys.some((one) => one.key === release?.author)) {
    broken.push('its release is not signed by a release key')
  }
  const named = body === undefined ? undefined : chronicle.manifestOf(body)
  const given = named?.hosts.find((one) => one.host === go.host)?.generation
  if (given !== go.generation) broken.push(`it goes to ${go.generation}, the release says ${given}`)
  return broken.map((why) => `${told(go)}: ${why}`)
}

/** What a host asked for, and who granted it. */
export interface LeaseEvidence {
  readonly nonce: string
  readonly rollout: RolloutId
  readonly round: number
  /** When the nonce was made, by the host's own clock. */
  readonly askedAt: number
  readonly voters: ReadonlySet<HostName>
}

/** S4: a quorum granted one nonce of the host's own, not longer ago than a lease lasts. */
export function s4FreshGo(
  go: Go,
  leases: readonly LeaseEvidence[],
  rules: { readonly quorum: number; readonly leaseMs: number },
): readonly string[] {
  const fits = leases.some(
    (lease) =>
      lease.rollout === go.rollout &&
      lease.round === go.round &&
      lease.voters.size >= rules.quorum &&
      go.at - lease.askedAt <= rules.leaseMs,
  )
  if (fits) return []
  const seen = leases
    .filter((lease) => lease.rollout === go.rollout)
    .map((lease) => `${lease.voters.size} grants, ${Math.round(go.at - lease.askedAt)} ms old`)
  return [
    `${told(go)}: expected ${rules.quorum} grants over one nonce, found ${seen.at(-1) ?? 'none'}`,
  ]
}

/** What a disk says against a rollout going on. */
export interface StopEvidence {
  readonly halts: readonly FactOf<'rollout.halt'>[]
  readonly failures: number
  readonly budget: number
}

/** S5: who holds a halt of the rollout or the proof of its breach lets nobody go. `what` says who does. */
export function s5HaltSticks(
  what: string,
  about: { readonly rollout: RolloutId; readonly host: HostName },
  { halts, failures, budget }: StopEvidence,
): readonly string[] {
  const halt = halts.find(
    ({ body }) => body.rollout === about.rollout && (body.hosts?.includes(about.host) ?? true),
  )
  const broken: string[] = []
  if (halt !== undefined) broken.push(`${what}, though it holds the halt ${halt.id.slice(0, 12)}`)
  if (failures > budget) broken.push(`${what}, though ${failures} hosts failed and ${budget} may`)
  return broken
}

/** S6: what comes to light after a rollout closed complete sends nobody back; only an operator does. */
export function s6NoLateBreach(
  host: HostName,
  { body }: FactOf<'host.transition'>,
  log: readonly LogEntry[],
): readonly string[] {
  if (body.why !== 'breach') return []
  const closed = log
    .flatMap(({ block }) => block.body.commands)
    .some(
      (one) => one.kind === 'close' && one.rollout === body.rollout && one.outcome === 'complete',
    )
  if (!closed) return []
  return [
    `${host} goes back by a breach of ${body.rollout.slice(0, 12)}, which it knows closed complete`,
  ]
}

/** S5 across crashes: a halt that was on the disk is on it whenever the daemon dies. */
export function s5HaltKept(
  host: HostName,
  halts: readonly FactOf<'rollout.halt'>[],
  disk: Pick<MemoryDisk, 'read'>,
): readonly string[] {
  const gone = halts.filter((halt) => {
    const place = `fact/${feedOf(halt)}/${String(halt.seq).padStart(16, '0')}`
    return disk.read(place) === undefined
  })
  return gone.map(({ id }) => `${host} held the halt ${id.slice(0, 12)} and forgot it in a crash`)
}

/** What a machine does and what its host's journal says. */
export interface Stand {
  readonly host: HostName
  readonly running: StorePath
  readonly bootDefault: StorePath
  readonly deadman: DeadmanState
  readonly state: HostState
}

/** S9: whatever does not run or boot the top of the stack has a deadman, or goes back. */
export function s9WayBack(stand: Stand): readonly string[] {
  const { host, running, bootDefault, deadman, state } = stand
  const top = state.stack.at(-1)?.generation
  if (running === top && bootDefault === top) return []
  const watched = deadman.kind === 'armed' || (deadman.kind === 'fired' && !deadman.done)
  // It went back already, and the daemon will hear of it.
  const untold = deadman.kind === 'fired' && state.flight !== undefined
  if (watched || untold || isGoingBack(state)) return []
  return [
    `${host} runs ${running}, boots ${bootDefault}, its stack ends in ${top}, and nothing takes it back`,
  ]
}

/** S9 after a power cut at this moment: what would boot is the top, or the journal knows what to do. */
export function s9PowerCut({ host, bootDefault, deadman, state }: Stand): readonly string[] {
  const top = state.stack.at(-1)?.generation
  if (bootDefault === top || bootDefault === state.flight?.generation) return []
  const known = state.settingBoot !== undefined || deadman.kind !== 'idle'
  if (known || isGoingBack(state)) return []
  return [`a power cut now would leave ${host} at ${bootDefault}, its stack ends in ${top}`]
}

function isGoingBack(state: HostState): boolean {
  const phases = state.rollouts.map((one) => one.phase)
  return state.back !== undefined || phases.includes('REVERTING') || phases.includes('STUCK')
}

function told({ host, rollout, round }: Go): string {
  return `${host} enters ACTIVATING for ${rollout.slice(0, 12)}, round ${round}`
}
