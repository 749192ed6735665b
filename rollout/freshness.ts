/** Whether a log is the group's newest, by the word of its voters over one nonce (SPEC §9.5). Pure. */
import type { CurrentAnswer, HostName } from '../protocol/index.ts'
import type { Trust } from './trust.ts'

/**
 * Whether a quorum of voters answered that their logs end no later than ours, at `slot`.
 *
 * Any committed block has a quorum of final votes, and two quorums share an honest voter: had there
 * been a newer block, one of those who answered would have known it, or still have been about to.
 * A voter counts itself, as it does when it asks for its own votes.
 */
export function confirmsLog(
  trust: Trust,
  self: HostName,
  slot: number,
  answers: ReadonlyMap<HostName, CurrentAnswer>,
): boolean {
  const { voters, quorum } = trust.config
  const agree = voters.filter((voter) => {
    const answer = answers.get(voter)
    return voter === self || (answer !== undefined && answer.slot <= slot)
  })
  return agree.length >= quorum
}

/** The answer of the voter whose log is the longest, where it is longer than ours. */
export function newestBeyond(
  slot: number,
  answers: ReadonlyMap<HostName, CurrentAnswer>,
): { readonly voter: HostName; readonly answer: CurrentAnswer } | undefined {
  const [newest] = [...answers]
    .filter(([, answer]) => answer.slot > slot)
    .sort(([, a], [, b]) => b.slot - a.slot)
  return newest === undefined ? undefined : { voter: newest[0], answer: newest[1] }
}
