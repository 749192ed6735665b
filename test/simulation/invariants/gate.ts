/** The invariants of the gate log: S1, S2, S6, S10, S13, S14, S15, S17. Each returns what breaks it. */
import {
  type Block,
  type Certificate,
  crashesSurvived,
  type Fact,
  type FactOf,
  type HostName,
  liarsTolerated,
  type RolloutId,
} from '../../../protocol/index.ts'
import type { HostState, Trust } from '../../../rollout/index.ts'
import type { Chronicle } from './chronicle.ts'
import { holderFaults } from './holders.ts'
import type { Ledger, LedgerRollout } from './ledger.ts'
import { type TwinInput, type TwinStanding, twinBudget, twinStandings } from './twin.ts'

/** A log as ids of its blocks. */
export type LogIds = readonly string[]

/** S1: of any two logs one begins with the other. */
export function s1Agreement(logs: ReadonlyMap<HostName, LogIds>): readonly string[] {
  let longest: readonly [HostName, LogIds] = ['nobody', []]
  for (const log of logs) if (log[1].length > longest[1].length) longest = log
  return [...logs].flatMap(([name, log]) => {
    const at = log.findIndex((id, i) => id !== longest[1][i])
    if (at < 0) return []
    const [one = '', other = ''] = [log[at], longest[1][at]]
    return [
      `${name} committed ${one.slice(0, 12)} as block ${at}, ${longest[0]} ${other.slice(0, 12)}`,
    ]
  })
}

/** S1: what is committed carries final votes of a whole quorum, by the formula and not by the config. */
export function s1Certified(
  { config }: Trust,
  host: HostName,
  certificate: Certificate,
): readonly string[] {
  const n = config.voters.length
  const quorum = Math.floor((n + liarsTolerated(n, config.faultModel)) / 2) + 1
  const keys = new Set(
    config.hosts.filter((one) => config.voters.includes(one.name)).map((one) => one.fact),
  )
  const voters = new Set(certificate.votes.map((vote) => vote.voter).filter((key) => keys.has(key)))
  if (certificate.kind === 'final' && voters.size >= quorum) return []
  return [
    `${host} committed on ${voters.size} ${certificate.kind} votes, a quorum of ${n} is ${quorum}`,
  ]
}

/** S2: no host belongs to two open rollouts after any block. Judged after every block. */
export function s2ExclusiveClaim(ledger: Ledger): readonly string[] {
  const claims = new Map<HostName, RolloutId>()
  const broken: string[] = []
  for (const { id, waves, closed } of ledger.rollouts.values()) {
    if (closed !== undefined) continue
    for (const host of waves.flat()) {
      const other = claims.get(host)
      if (other !== undefined) {
        broken.push(`${host} belongs to ${id.slice(0, 12)} and ${other.slice(0, 12)}, both open`)
      }
      claims.set(host, id)
    }
  }
  return broken
}

/**
 * S6: what the newest block starts, its own basis allows: earlier waves are done, the budget is not
 * spent, nothing is halted, until the canaries have committed no more than they are under way, and
 * enough others say that they hold what the hosts go to and come from.
 */
export function s6NoStartOverEvidence(ledger: Ledger, chronicle: Chronicle): readonly string[] {
  const commands = ledger.blocks.at(-1)?.body.commands ?? []
  const first = ledger.commands - commands.length
  return commands.flatMap((command, i) => {
    const at = first + i
    const rollout = command.kind === 'start' ? ledger.rollouts.get(command.rollout) : undefined
    if (command.kind !== 'start') return []
    if (rollout === undefined) return [`a start of a rollout that is not admitted, command ${at}`]
    const input = inputOf(ledger, chronicle, before(rollout, at))
    const where = `start of ${command.hosts.join(', ')} in ${rollout.id.slice(0, 12)}`
    const faults = [
      ...startFaults(input, rollout, command),
      ...(command.round === 0 ? holderFaults(ledger, chronicle, input, command.hosts) : []),
    ]
    return faults.map((why) => `${where}: ${why}`)
  })
}

/** S6: a rollout is not given up on evidence that its basis does not hold. */
export function s6NoCloseOverNothing(ledger: Ledger, chronicle: Chronicle): readonly string[] {
  const commands = ledger.blocks.at(-1)?.body.commands ?? []
  return commands.flatMap((command) => {
    if (command.kind !== 'close' || command.outcome === 'complete') return []
    const rollout = ledger.rollouts.get(command.rollout)
    if (rollout === undefined) return []
    const input = inputOf(ledger, chronicle, rollout)
    const { failures, budget } = twinBudget(input)
    const halted = rollout.waves.flat().some((host) => isHalted(input, host))
    const committed = twinStandings(input).some(({ end }) => end === 'committed')
    if (halted || failures > budget || !committed) return []
    const what = `${rollout.id.slice(0, 12)} closes ${command.outcome}`
    return [`${what}, though nothing halts it and ${failures} hosts failed of ${budget} allowed`]
  })
}

function startFaults(
  input: TwinInput,
  rollout: LedgerRollout,
  command: { readonly round: number; readonly hosts: readonly HostName[] },
): readonly string[] {
  const faults: string[] = []
  const all = twinStandings(input)
  const { failures, budget } = twinBudget(input)
  const wave = all.find((one) => command.hosts.includes(one.host))?.wave ?? 0
  const waiting = all.find((one) => one.wave < wave && one.end === undefined)
  if (rollout.closed === undefined && waiting !== undefined) {
    faults.push(`${waiting.host} of wave ${waiting.wave} is not done`)
  }
  if (rollout.closed === undefined && failures > budget) {
    faults.push(`${failures} hosts failed, the budget is ${budget}`)
  }
  const halted = command.hosts.find((host) => isHalted(input, host))
  if (halted !== undefined) faults.push(`a halt covers ${halted}`)
  if (isHeld(input)) faults.push('an operator holds it')
  const unconfirmed = all.filter((one) => one.unconfirmed).length
  if (command.round === 0 && failures + unconfirmed > budget) {
    faults.push(`${failures} failed and ${unconfirmed} unconfirmed, the budget is ${budget}`)
  }
  faults.push(
    ...canaryFaults(all, rollout, command.hosts.length),
    ...roundFaults(input, rollout, command),
  )
  return faults
}

function canaryFaults(
  all: readonly TwinStanding[],
  rollout: LedgerRollout,
  more: number,
): readonly string[] {
  const canaries = rollout.waves[0]?.length ?? 0
  const committed = all.filter((one) => one.end === 'committed').length
  const underWay = all.filter((one) => one.round !== undefined && one.end === undefined).length
  if (committed >= canaries || underWay + more <= canaries) return []
  return [`${committed} of ${canaries} canaries committed and ${underWay} under way already`]
}

/** Each round once, in order, and after the first only for a host that says it is READY again. */
function roundFaults(
  input: TwinInput,
  rollout: LedgerRollout,
  command: { readonly round: number; readonly hosts: readonly HostName[] },
): readonly string[] {
  return command.hosts.flatMap((host) => {
    const rounds = input.rollout.starts.filter((mark) => mark.host === host).length
    if (rounds !== command.round)
      return [`${host} had ${rounds} starts before round ${command.round}`]
    if (rollout.closed !== undefined && rollout.closed.outcome !== 'complete') {
      return [`the rollout is closed (${rollout.closed.outcome})`]
    }
    return []
  })
}

/** A hold that no operator's release names. What a key said after its revocation does neither. */
function isHeld({ facts, rollout, trust }: TwinInput): boolean {
  const revocations: FactOf<'key.revoke'>[] = []
  const holds: FactOf<'rollout.hold'>[] = []
  for (const fact of facts) {
    if (fact.type === 'key.revoke' && isRevocation(fact, trust)) revocations.push(fact)
    const isWord = fact.type === 'rollout.hold' && fact.body.rollout === rollout.id
    if (isWord && !isSilenced(fact, revocations)) holds.push(fact)
  }
  const lifted = holds.flatMap(({ body }) => (body.kind === 'off' ? body.releases : []))
  return holds.some(({ id, body }) => body.kind === 'on' && !lifted.includes(id))
}

/** By an admin, or by the key itself in the first fact of a session. */
function isRevocation({ author, seq, body }: FactOf<'key.revoke'>, { root }: Trust): boolean {
  return author === body.key ? seq === 0 : root.admins.includes(author)
}

/** Whether a revocation that the log pinned before the fact does not vouch for it. */
function isSilenced(
  { author, session, seq }: Fact,
  revocations: readonly FactOf<'key.revoke'>[],
): boolean {
  return revocations.some(({ body }) => {
    const vouched = body.feeds.find((feed) => feed.session === session)?.seq ?? -1
    return body.key === author && seq > vouched
  })
}

/** S5: a plan over a host whose last rollout was halted names that rollout as replaced. */
export function s5NoBlindRedeploy(ledger: Ledger, chronicle: Chronicle): readonly string[] {
  const commands = ledger.blocks.at(-1)?.body.commands ?? []
  return commands.flatMap((command) => {
    const rollout = command.kind === 'admit' ? ledger.rollouts.get(command.rollout) : undefined
    if (rollout === undefined) return []
    const earlier = [...ledger.rollouts.values()].filter((one) => one.at < rollout.at)
    return rollout.waves.flat().flatMap((host) => {
      const last = earlier.findLast((one) => one.waves.flat().includes(host))
      if (last === undefined || rollout.plan.supersedes.includes(last.id)) return []
      if (!isHalted(inputOf(ledger, chronicle, last), host)) return []
      const names = `${rollout.id.slice(0, 12)} takes ${host} from ${last.id.slice(0, 12)}`
      return [`${names}, which was halted, and does not name it`]
    })
  })
}

function isHalted({ facts, rollout }: TwinInput, host: HostName): boolean {
  return facts.some(
    (fact) =>
      fact.type === 'rollout.halt' &&
      fact.body.rollout === rollout.id &&
      (fact.body.hosts?.includes(host) ?? true),
  )
}

/** S10: hosts with a start that has not ended stay within every limit, over all rollouts. */
export function s10Permits(ledger: Ledger, chronicle: Chronicle): readonly string[] {
  const commands = ledger.blocks.at(-1)?.body.commands ?? []
  const started = commands.flatMap((one) => (one.kind === 'start' ? one.hosts : []))
  if (started.length === 0) return []
  const open = new Set<HostName>()
  const twice: HostName[] = []
  for (const rollout of ledger.rollouts.values()) {
    for (const one of twinStandings(inputOf(ledger, chronicle, rollout))) {
      if (one.round === undefined || one.end !== undefined || one.confirmed) continue
      if (open.has(one.host) && started.includes(one.host)) twice.push(one.host)
      open.add(one.host)
    }
  }
  const { voters } = ledger.trust.config
  const votersOpen = [...open].filter((host) => voters.includes(host))
  const broken = twice.map((host) => `${host} is started in two rollouts, and neither has ended`)
  if (
    started.some((host) => voters.includes(host)) &&
    votersOpen.length > voterLimit(ledger.trust)
  ) {
    broken.push(
      `${votersOpen.join(', ')} are voters and started, ${voterLimit(ledger.trust)} may be`,
    )
  }
  for (const { id, plan, closed } of ledger.rollouts.values()) {
    if (closed !== undefined) continue
    for (const { hosts, limit } of plan.policy.maxInFlight) {
      const counted = [...open].filter((host) => hosts.length === 0 || hosts.includes(host))
      const concerns = started.some((host) => hosts.length === 0 || hosts.includes(host))
      if (!concerns || counted.length <= limit) continue
      broken.push(`${counted.join(', ')} are started, ${id.slice(0, 12)} allows ${limit}`)
    }
  }
  return broken
}

/** S10 on the machines: so many voters may be on their way forward at once, and no more. */
export function s10VotersAway(
  trust: Trust,
  states: ReadonlyMap<HostName, HostState>,
  excused: ReadonlySet<HostName>,
): readonly string[] {
  const away = trust.config.voters.filter((voter) => {
    const state = states.get(voter)
    const flight = state?.flight
    if (flight === undefined || excused.has(voter)) return false
    const phase = state?.rollouts.find((one) => one.rollout === flight.rollout)?.phase
    const isForward = phase === 'ACTIVATING' || phase === 'PROBATION'
    return isForward && state?.deadman?.step !== 'fired'
  })
  if (away.length <= voterLimit(trust)) return []
  return [`${away.join(', ')} are voters and away at once, ${voterLimit(trust)} may be`]
}

function voterLimit({ config }: Trust): number {
  return Math.max(1, crashesSurvived({ n: config.voters.length, q: config.quorum }))
}

/** S13: logs that contradict each other prove that enough voters lied. */
export function s13Accountability(
  trust: Trust,
  found: { readonly forked: boolean; readonly proven: number },
): readonly string[] {
  const { voters, quorum } = trust.config
  const needed = 2 * quorum - voters.length
  if (!found.forked || found.proven >= needed) return []
  return [
    `the logs contradict each other, and ${found.proven} of ${needed} voters are proven to lie`,
  ]
}

/** S13: where no liar is borne, nobody who knows of one decides anything but the change that takes it out. */
export function s13FrozenByLiar(
  voter: HostName,
  { body }: Pick<Block, 'body'>,
  proven: readonly HostName[],
): readonly string[] {
  const decided = body.commands.filter(({ kind }) => kind !== 'reconfig')
  if (proven.length === 0 || decided.length === 0) return []
  const kinds = decided.map(({ kind }) => kind).join(', ')
  return [
    `${voter} votes for ${kinds} in view ${body.view}, and holds proof that ${proven.join(', ')} lies`,
  ]
}

/** S14: the admitted version of a channel never sinks, unless the plan says that it is a rollback. */
export function s14NoDowngrade(ledger: Ledger, chronicle: Chronicle): readonly string[] {
  const newest = new Map<string, number>()
  const broken: string[] = []
  for (const { id, plan } of ledger.rollouts.values()) {
    const fact = chronicle.byId.get(plan.release)
    if (fact?.type !== 'release.announce') continue
    const { channel, version } = fact.body
    const before = newest.get(channel) ?? 0
    if (version < before && plan.kind !== 'rollback') {
      broken.push(`${id.slice(0, 12)} took ${channel} from version ${before} to ${version}`)
    }
    newest.set(channel, Math.max(before, version))
  }
  return broken
}

/** S15: what stood in a log stands there for good, in its place. */
export function s15AppendOnly(host: HostName, before: LogIds, after: LogIds): readonly string[] {
  const at = before.findIndex((id, i) => id !== after[i])
  if (at < 0) return []
  return [
    `block ${at} of the log of ${host} was ${before[at]?.slice(0, 12)}, is ${after[at]?.slice(0, 12)}`,
  ]
}

/** S17: in one round of one rollout a host is skipped or it goes, never both. */
export function s17SkippedOrGone(ledger: Ledger, chronicle: Chronicle): readonly string[] {
  const gone = new Set<string>()
  for (const fact of chronicle.byId.values()) {
    if (fact.type !== 'host.transition' || fact.body.to !== 'ACTIVATING') continue
    gone.add(`${fact.body.rollout} ${chronicle.nameOf(fact.author)} ${fact.body.round}`)
  }
  return [...ledger.rollouts.values()].flatMap(({ id, skips }) =>
    skips
      .filter(({ host, round }) => gone.has(`${id} ${host} ${round}`))
      .map(
        ({ host, round }) => `${host} was skipped and went, round ${round} of ${id.slice(0, 12)}`,
      ),
  )
}

/** How many voters may lie without harm to the log. */
export function liarsBorne({ config }: Trust): number {
  return liarsTolerated(config.voters.length, config.faultModel)
}

export function inputOf(ledger: Ledger, chronicle: Chronicle, rollout: LedgerRollout): TwinInput {
  const manifest = chronicle.manifestOf(rollout.plan)
  return { trust: ledger.trust, rollout, facts: ledger.facts, manifest }
}

/** The rollout as it stood before the command number `at`. */
function before(rollout: LedgerRollout, at: number): LedgerRollout {
  return {
    ...rollout,
    starts: rollout.starts.filter((mark) => mark.at < at),
    skips: rollout.skips.filter((mark) => mark.at < at),
  }
}
