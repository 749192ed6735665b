/** Facts and decisions as sentences: the event log and the audit log. */
import {
  type Block,
  type Command,
  type EnrollRequest,
  type Fact,
  type FactId,
  type FactOf,
  fromHex,
  sha256Hex,
} from '../../protocol/index.ts'
import {
  configStatus,
  isRevoked,
  type Knowledge,
  requestStanding,
  rolloutStatus,
  rootStatus,
} from '../../rollout/index.ts'
import type { AuditRow, EventRow } from '../api/schema.ts'
import { authorOf, releaseOfRollout } from './people.ts'

/** One fact as an event. `id` is its place in the answering node's log. */
export function factEvent(knowledge: Knowledge, fact: Fact, id: string): EventRow {
  return {
    id,
    ts: fact.ts,
    author: authorOf(knowledge.trust, fact.author),
    type: fact.type === 'foreign' ? fact.foreignType : fact.type,
    subject: subjectOf(knowledge, fact),
    text: sentence(knowledge, fact),
    fact: fact.id,
  }
}

/** A committed block as an event: what the voters decided. */
export function blockEvent(knowledge: Knowledge, block: Block, id: string, ts: number): EventRow {
  return {
    id,
    ts,
    author: authorOf(knowledge.trust, block.leader),
    type: 'gate.commit',
    subject: subjectOfBlock(block),
    text: block.body.commands.map(decision).join('; '),
    fact: block.id,
  }
}

/** One fact as a row of the audit log. */
export function auditRow(knowledge: Knowledge, fact: Fact, id: string): AuditRow {
  return {
    id,
    ts: fact.ts,
    author: authorOf(knowledge.trust, fact.author),
    action: fact.type === 'foreign' ? fact.foreignType : fact.type,
    target: subjectOf(knowledge, fact),
    outcome: outcomeOf(knowledge, fact),
    factId: fact.id,
    session: fact.session,
    seq: fact.seq,
    prev: fact.prev,
  }
}

/** Whether an event or row is about this host. */
export function isAbout(fact: Fact, author: string, host: string): boolean {
  if (author === host) return true
  switch (fact.type) {
    case 'host.lost':
      return fact.body.host === host
    case 'rollout.halt':
      return fact.body.hosts?.includes(host) ?? true
    case 'obs.attest':
      return fact.body.subjects.some((subject) => subject.host === host)
    default:
      return false
  }
}

function subjectOfBlock({ body }: Block): string {
  const [first] = body.commands
  if (first === undefined) return '-'
  return idOf(first).slice(0, 12)
}

/** What a command is about: a document or a rollout. */
function idOf(command: Command): string {
  if (command.kind === 'root') return command.root
  return command.kind === 'reconfig' ? command.config : command.rollout
}

function decision(command: Command): string {
  if (command.kind === 'reconfig')
    return `the voters began the epoch of configuration ${command.config.slice(0, 12)}`
  if (command.kind === 'root') return `the voters put root ${command.root.slice(0, 12)} into force`
  const id = command.rollout.slice(0, 12)
  switch (command.kind) {
    case 'admit':
      return `the voters admitted ${id}`
    case 'start':
      return `the voters started ${command.hosts.join(', ')} in ${id}${command.round > 0 ? ` (round ${command.round + 1})` : ''}`
    case 'skip':
      return `the voters skipped ${command.hosts.join(', ')} in ${id}`
    case 'close':
      return `the voters closed ${id}: ${command.outcome}`
  }
}

function subjectOf(knowledge: Knowledge, fact: Fact): string {
  switch (fact.type) {
    case 'release.announce':
      return `${fact.body.name} ${fact.body.version}`
    case 'rollout.plan':
      return fact.id.slice(0, 12)
    case 'host.transition':
    case 'health.change':
      return authorOf(knowledge.trust, fact.author).name
    case 'host.lost':
      return fact.body.host
    case 'obs.attest':
      return fact.body.subjects.map((subject) => subject.host).join(', ')
    case 'rollout.halt':
    case 'rollout.hold':
    case 'closure.held':
      return fact.body.rollout.slice(0, 12)
    case 'equivocation':
      return authorOf(knowledge.trust, fact.body.accused).name
    case 'group.config':
      return `${fact.body.group} epoch ${fact.body.epoch}`
    case 'fleet.root':
      return `root version ${fact.body.version}`
    case 'key.revoke':
      return authorOf(knowledge.trust, fact.body.key).name
    case 'invite.open':
      return fact.body.name ?? `${fact.body.uses} × ${fact.body.role}`
    case 'invite.revoke':
      return fact.body.invite.slice(0, 12)
    case 'enroll.deny':
      return requestName(knowledge, fact.body.request)
    case 'enroll.request':
      return requestOf(knowledge, fact)?.name ?? '-'
    case 'halt.relay':
    case 'foreign':
      return '-'
  }
}

/** The request that a fact carries; undefined where its own signature does not hold. */
function requestOf({ view }: Knowledge, fact: FactOf<'enroll.request'>): EnrollRequest | undefined {
  return view.enrolment.requests.get(sha256Hex(fromHex(fact.body.request)))?.request
}

function requestName({ view }: Knowledge, id: FactId): string {
  return view.enrolment.requests.get(id)?.request.name ?? id.slice(0, 12)
}

function sentence(knowledge: Knowledge, fact: Fact): string {
  const { name } = authorOf(knowledge.trust, fact.author)
  switch (fact.type) {
    case 'release.announce':
      return `${name} released ${fact.body.name} (version ${fact.body.version}) in channel ${fact.body.channel}`
    case 'rollout.plan':
      return `${name} planned ${fact.id.slice(0, 12)} of ${releaseOfRollout(knowledge, fact.id).name}`
    case 'rollout.halt':
      return `${name} halted ${fact.body.rollout.slice(0, 12)}${fact.body.revert ? ' and sent its hosts back' : ''}: ${fact.body.why}`
    case 'rollout.hold':
      return `${name} ${fact.body.kind === 'on' ? 'paused' : 'resumed'} ${fact.body.rollout.slice(0, 12)}: ${fact.body.why}`
    case 'host.lost':
      return `${name} declared ${fact.body.host} lost: ${fact.body.why}`
    case 'host.transition':
      return transitionSentence(name, fact)
    case 'health.change':
      return `${name} is ${fact.body.state}`
    case 'obs.attest':
      return `${name} saw ${fact.body.subjects.map((one) => `${one.host} ${one.verdict}${one.why === undefined ? '' : ` (${one.why})`}`).join(', ')}`
    case 'equivocation':
      return `${name} accused ${authorOf(knowledge.trust, fact.body.accused).name} of signing two messages that exclude each other (${fact.body.kind})`
    case 'closure.held':
      return `${name} holds ${fact.body.generations.length} closures for wave ${fact.body.wave + 1} of ${fact.body.rollout.slice(0, 12)}`
    case 'halt.relay':
      return `${name} passed on the halt of a feed that forked`
    case 'group.config':
      return `${name} announced configuration ${fact.body.config.slice(0, 12)} for epoch ${fact.body.epoch} of ${fact.body.group}: ${fact.body.why}`
    case 'fleet.root':
      return `${name} announced version ${fact.body.version} of the root (${fact.body.root.slice(0, 12)}): ${fact.body.why}`
    case 'key.revoke':
      return `${name} revoked the key of ${authorOf(knowledge.trust, fact.body.key).name}: ${fact.body.why}`
    case 'invite.open':
      return `${name} invited ${fact.body.name ?? fact.body.uses} as ${fact.body.role}: ${fact.body.why}`
    case 'invite.revoke':
      return `${name} revoked invite ${fact.body.invite.slice(0, 12)}: ${fact.body.why}`
    case 'enroll.request':
      return `${name} brought the request of ${requestOf(knowledge, fact)?.name ?? 'nobody: it does not verify'}`
    case 'enroll.deny':
      return `${name} denied the request of ${requestName(knowledge, fact.body.request)}: ${fact.body.why}`
    case 'foreign':
      return `${name} wrote a ${fact.foreignType}, which this version does not know`
  }
}

function transitionSentence(name: string, { body }: FactOf<'host.transition'>): string {
  const why = body.why === undefined ? '' : `: ${body.why}`
  const detail = body.detail === undefined ? '' : ` (${body.detail})`
  return `${name} ${body.from.toLowerCase()} → ${body.to.toLowerCase()}${why}${detail}`
}

function outcomeOf(knowledge: Knowledge, fact: Fact): string {
  if (fact.type === 'group.config') return configStatus(knowledge, fact.id)?.state ?? 'no authority'
  if (fact.type === 'key.revoke')
    return isRevoked(knowledge.view, fact.body.key) ? 'in effect' : 'no authority'
  if (fact.type === 'invite.open')
    return knowledge.view.enrolment.invites.has(fact.id) ? 'in effect' : 'no authority'
  if (fact.type === 'enroll.request') {
    const id = sha256Hex(fromHex(fact.body.request))
    return requestStanding(knowledge, id)?.state ?? 'no invite'
  }
  if (fact.type === 'fleet.root') return rootStatus(knowledge, fact.id)?.state ?? 'no authority'
  if (fact.type !== 'rollout.plan') return 'recorded'
  const status = rolloutStatus(knowledge, fact.id)
  if (status?.rejection !== undefined) return `rejected: ${status.rejection.code}`
  return status?.state ?? 'proposed'
}
