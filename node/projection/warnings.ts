/** What people must be told about a node and its group before they believe the rest of its answer. */
import type { HostName } from '../../protocol/index.ts'
import { invitesOf } from '../../rollout/index.ts'
import type { Runtime } from '../runtime.ts'
import { forkAlarms } from './forks.ts'

/** Names in one sentence. */
const NAMES_SHOWN = 5

/** Sentences, the node's own troubles first. `isInReach` says whether a voter can be asked now. */
export function warningsOf(
  node: Runtime,
  isInReach: (voter: HostName) => boolean,
): readonly string[] {
  const { config } = node.parts.trust
  const warnings: string[] = [...ownTroubles(node), ...epochWarnings(node), ...waiting(node)]
  if (node.gate.frozen)
    warnings.push(
      'the gate log is frozen: certificates contradict each other; nothing starts until an admin recovers the group',
    )
  if (config.voters.length === 2)
    warnings.push('two voters survive no crash: make it one, three or four')
  if (config.faultModel === 'crash' && config.voters.length >= 3) {
    warnings.push(
      `${config.voters.length} voters in the crash model: a voter that lies can split the log`,
    )
  }
  const reachable = config.voters.filter(isInReach).length
  if (reachable < config.quorum) {
    warnings.push(
      `${reachable} of ${config.voters.length} voters are in reach, ${config.quorum} are needed: nothing starts here; halting and going back still work`,
    )
  }
  return warnings
}

/** What this node itself cannot do now, and what it has seen of others. */
function ownTroubles(node: Runtime): readonly string[] {
  const { cosign, disk, gate, host, own, parts } = node
  const found: string[] = []
  if (disk.trouble !== undefined)
    found.push(`the disk of ${parts.name} refuses to be written: it promises nothing until it can`)
  if (gate.silent)
    found.push(
      `${parts.name} does not know whether its disk holds all that it said: it votes when ${gate.awaited} more voters have answered it`,
    )
  if (!own.speaks)
    found.push(
      `${parts.name} was started and signs no facts before every member has said what it holds of it`,
    )
  found.push(...forkAlarms(node.knowledge()))
  if (cosign.splits > 0)
    found.push(
      `${cosign.splits} checkpoints with a voter's signature contradict the log of ${parts.name}: keep every data folder, call an admin`,
    )
  const { held, now } = node.freshness
  if (held !== undefined) found.push(`${parts.name} takes up no rollout: ${held}`)
  else if (now.state === 'stale')
    found.push(
      `what ${parts.name} shows may be old: no quorum of voters has confirmed its log for a day`,
    )
  for (const [rollout, detail] of host.troubles)
    found.push(`${parts.name} cannot stage ${rollout.slice(0, 12)} yet: ${detail}`)
  return found
}

/** Whoever asked to be let in waits for a person. */
function waiting(node: Runtime): readonly string[] {
  const requests = invitesOf(node.knowledge()).flatMap((invite) => invite.requests)
  const names = requests.flatMap(({ state, request }) => (state === 'pending' ? request.name : []))
  if (names.length === 0) return []
  const some = names.slice(0, NAMES_SHOWN).join(', ')
  const more = names.length > NAMES_SHOWN ? ` and ${names.length - NAMES_SHOWN} more` : ''
  return [`${some}${more} ask to be let in: nixfleet requests list`]
}

function epochWarnings(node: Runtime): readonly string[] {
  const { belonging, gate, parts } = node
  const { group, epoch } = parts.trust.config
  const found: string[] = []
  if (belonging.hasLeft)
    found.push(`${parts.name} left group ${group} in epoch ${epoch}: it acts for nobody any more`)
  for (const { config, slot } of gate.state.epochs) {
    if (config.recover === undefined) continue
    found.push(
      `RECOVERED: epoch ${config.epoch} began after slot ${slot} by the admins' word, without a quorum: compare logs with every voter that comes back`,
    )
  }
  return found
}
