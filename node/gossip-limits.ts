/** The limits of gossip, fed with what this node knows: its clock, and the windows in force. */
import { mayDeploy, planOf } from '../rollout/index.ts'
import { AuthorLimits, type Pace } from './author-limits.ts'
import type { TakeOptions } from './ingest.ts'
import type { Runtime } from './runtime.ts'

/**
 * Makes the question that ingest asks about each new fact of gossip.
 *
 * A halt of somebody who may halt is never limited: stopping must be as fast as the network.
 */
export function gossipLimits(node: Runtime): () => NonNullable<TakeOptions['admits']> {
  const limits = new AuthorLimits()
  return () => {
    const now = node.parts.clock.bootMs()
    return (fact, options) =>
      (fact.type === 'rollout.halt' && mayDeploy(node.parts.trust, fact.author)) ||
      limits.take(fact.author, paceOf(node), now, options)
  }
}

function paceOf(node: Runtime): Pace {
  const knowledge = node.knowledge()
  const { timing } = knowledge.trust.config
  let windowMs = timing.windowMs
  let openRollouts = 0
  for (const { rollout, status } of knowledge.state.rollouts.values()) {
    if (status !== 'open') continue
    openRollouts++
    const plan = planOf(knowledge, rollout)
    if (plan !== undefined) windowMs = Math.min(windowMs, Math.max(1, plan.policy.soakMs / 2))
  }
  return { windowMs, openRollouts }
}
