/** What a voter that lost its disk learns of itself from the others (SPEC §7.6), by the shipped rule. */
import { memoriesOf } from '../../node/gate-answers.ts'
import { VoteMemory } from '../../node/vote-memory.ts'
import type { GateMessage } from '../../protocol/index.ts'
import { NO_FLOOR, type VoteFloor } from '../../rollout/gate-machine.ts'
import { asMessage, fakeVote } from '../unit/rollout/gate-fakes.ts'
import { voterAt } from './catalogue.ts'
import type { GateSetting, Voter } from './gate-setting.ts'
import { restored } from './life.ts'

/**
 * Every floor that the voter at `position` may get when its disk is put back: one for each set of
 * others that may have answered when it speaks. Liars answer, and remember nothing.
 */
export function floorsAfterLoss(
  voters: readonly Voter[],
  position: number,
  setting: GateSetting,
): readonly VoteFloor[] {
  const { options, config } = setting
  const voter = voters[position]
  if (voter === undefined || options.loses === undefined) throw new Error('no disk is lost there')
  if (options.memory === 'none') return [NO_FLOOR]
  const self = voterAt(config, options.loses)
  const machine = restored(voter.life.snapshot, voter.around)
  const told = [
    ...voters
      .filter((_, i) => i !== position)
      .map((peer) => ({
        key: peer.around.config.self ?? '',
        messages: tellsOf(peer, voter, setting),
      })),
    ...options.liars.map((liar) => ({ key: voterAt(config, liar), messages: [] })),
  ].map((one, i) => ({ ...one, name: `peer${i}` }))
  const sizes = { n: options.n, q: options.quorum, f: options.liars.length }
  const floors = new Map<string, VoteFloor>()
  for (const some of subsets(told)) {
    const memory = new VoteMemory({ self, others: told, sizes, disk: options.disk ?? 'lost' })
    memory.toAsk(told.map(({ name }) => name))
    for (const { name, messages } of some) memory.take(name, messages, machine)
    const { ruling } = memory
    if (ruling.kind === 'speak') floors.set(JSON.stringify(ruling.floor), ruling.floor)
  }
  return [...floors.values()]
}

/** What one honest peer answers to the voter. */
function tellsOf(
  peer: Voter,
  voter: Voter,
  { options, config, catalogue }: GateSetting,
): readonly GateMessage[] {
  const { group, epoch } = config
  const self = voterAt(config, options.loses ?? 0)
  const taken = memoriesOf(peer.life.machine, { voter: self, epoch })
  if (options.memory !== 'all') return taken
  const everything = voter.life.sent.map((number) => {
    const { kind, ...where } = catalogue.ballot(number)
    return asMessage(fakeVote(kind, { group, ...where }, self))
  })
  return [...taken, ...everything]
}

/** All sets of these; there are few. */
function subsets<T>(all: readonly T[]): readonly (readonly T[])[] {
  const [first, ...rest] = all
  if (first === undefined) return [[]]
  const without = subsets(rest)
  return [...without, ...without.map((set) => [first, ...set])]
}
