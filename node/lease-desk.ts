/** Gathers what this voter knows about a lease request, and answers by the rule (SPEC §9.3). */
import type { Block, HostName, LeaseAnswer, LeaseRequest } from '../protocol/index.ts'
import {
  frozenBy,
  haltCovers,
  judgeLease,
  type LeaseQuestion,
  planOf,
  rolloutRecord,
  standing,
  votedBlocks,
} from '../rollout/index.ts'
import type { GrantJournal } from './grant-journal.ts'
import type { Runtime } from './runtime.ts'

/** The body of the answer to `from`'s request. The caller journals a grant before it leaves. */
export function answerLeaseRequest(
  node: Runtime,
  grants: GrantJournal,
  asked: LeaseRequest,
  from: HostName,
): LeaseAnswer {
  const { nonce, rollout, round } = asked
  return {
    nonce,
    rollout,
    round,
    host: from,
    head: node.gate.state.head,
    ttlMs: node.parts.trust.config.timing.leaseMs,
    ...judgeLease(questionOf(node, grants, asked, from)),
  }
}

function questionOf(
  node: Runtime,
  grants: GrantJournal,
  asked: LeaseRequest,
  host: HostName,
): LeaseQuestion {
  const { rollout, round, epoch } = asked
  const { trust, name } = node.parts
  const knowledge = node.knowledge()
  const { state } = knowledge
  const stage = standing(knowledge, rollout)
  const one = stage?.standing.hosts.get(host)
  const started = one?.start?.round === round
  const status = stage?.rollout.status
  const breached = status === 'open' ? stage?.standing.breached : stage?.rollout.closedBreached
  return {
    voter:
      trust.config.voters.includes(name) &&
      epoch === state.epoch &&
      !node.gate.frozen &&
      !node.gate.silent,
    ownPeer: trust.config.hosts.some((known) => known.name === host),
    started,
    ended: !(started && one.open) || (status !== 'open' && status !== 'complete'),
    halted: haltCovers(rolloutRecord(knowledge.view, rollout), host),
    breached: breached ?? false,
    last: state.hosts.get(host)?.last === rollout,
    forbidden:
      frozenBy(trust, knowledge.view) !== undefined ||
      grants.skipped(rollout, host, round) ||
      node.gate.mayHaveForgotten(rollout, host, round) ||
      votedBlocks(node.gate.machine).some((block) => forbids(node, block, { rollout, host })),
  }
}

/** Whether a block that this voter voted for takes the ground from under the lease. */
function forbids(node: Runtime, block: Block, about: { rollout: string; host: HostName }): boolean {
  return block.body.commands.some((command) => {
    if (command.kind === 'skip') {
      return command.rollout === about.rollout && command.hosts.includes(about.host)
    }
    if (command.kind === 'close') return command.rollout === about.rollout
    if (command.kind === 'reconfig') return true
    return command.kind === 'admit' && takesOver(node, command.rollout, about)
  })
}

/** Whether a plan names the host or closes the rollout; one whose body is not held may do either. */
function takesOver(
  node: Runtime,
  rollout: string,
  about: { rollout: string; host: HostName },
): boolean {
  const plan = planOf(node.knowledge(), rollout)
  const part = plan?.groups.find((one) => one.group === node.parts.trust.config.group)
  if (plan === undefined || part === undefined) return true
  return plan.supersedes.includes(about.rollout) || part.waves.flat().includes(about.host)
}
