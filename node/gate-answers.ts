/** What a node answers about the gate log from its disk and from its memory (SPEC §7.5, §7.6). */
import type { GateMessage, KeyId } from '../protocol/index.ts'
import type { GateMachine } from '../rollout/index.ts'
import { NodeError } from './errors.ts'
import type { GateLog, LogPlace } from './gate-log.ts'
import { SERVE_MESSAGES_MAX } from './limits.ts'

/** The first committed blocks after a place. One that ends its epoch goes with the way to its certificate. */
export async function committedMessages(
  log: GateLog,
  after: LogPlace,
): Promise<readonly GateMessage[]> {
  const messages: GateMessage[] = []
  for await (const { block, certificate } of log.committed(after)) {
    const ends = block.body.commands.some(({ kind }) => kind === 'reconfig')
    const tail = ends ? await log.tail(block.body.epoch) : []
    for (const one of [block, ...tail]) messages.push({ kind: 'block', block: one })
    messages.push({ kind: 'certificate', certificate })
    if (messages.length >= SERVE_MESSAGES_MAX) break
  }
  return messages
}

/**
 * A voter's votes and its newest proposal as held here; the newest certificates, which prove how far
 * the log has come; and this voter's own newest vote to notarize.
 * Throws PEER_REFUSED for an epoch that has ended here: its votes are not held any more.
 */
export function memoriesOf(
  machine: GateMachine,
  { voter, epoch }: { voter: KeyId | undefined; epoch: number },
): readonly GateMessage[] {
  const { blocks, config, committed, certificates, votes } = machine
  if (epoch < config.epoch) throw refusedEpoch(epoch, config.epoch)
  if (epoch > config.epoch) return []
  const newest = [...certificates.values()].flat().sort((a, b) => b.body.view - a.body.view)
  const proofs = [newest[0], committed.certificate].flatMap((one) => one ?? [])
  const theirs = [...votes.values()].flat().filter((vote) => vote.voter === voter)
  const own = [...votes.values()]
    .flat()
    .filter((vote) => vote.kind === 'notarize' && vote.voter === config.self)
    .sort((a, b) => b.body.view - a.body.view)
  const led = [...blocks.values()]
    .filter(({ block }) => block.leader === voter)
    .sort((a, b) => b.block.body.view - a.block.body.view)
  return [
    ...proofs.map((certificate) => ({ kind: 'certificate', certificate }) as const),
    ...[...theirs, ...own.slice(0, 1)].map((vote) => ({ kind: 'vote', vote }) as const),
    ...led.slice(0, 1).map(({ block }) => ({ kind: 'block', block }) as const),
  ]
}

function refusedEpoch(asked: number, now: number): NodeError {
  return new NodeError(
    'PEER_REFUSED',
    `expected a question about epoch ${now}, found one about ${asked}`,
    'The asker catches up by itself; if it does not, compare its log with that of this node.',
  )
}
