/** A machine as text: equal texts mean equal futures. */
import type { KeyId, Vote } from '../../protocol/index.ts'
import type { GateMachine } from '../../rollout/gate-machine.ts'
import { voterAt } from './catalogue.ts'
import type { GateSetting } from './gate-setting.ts'

/**
 * Everything that moves the machine. Left out: the heap of votes (but where a certificate may be
 * strengthened by it, because liars are proven), what only sets the length of timers (`skips`, `timeouts`, `patience`), what was asked for (every block that a branch lacks may
 * be taken), and in puppet views the leader's own place.
 */
export function machineKey(
  machine: GateMachine,
  {
    catalogue,
    options,
    config,
    watched,
  }: Pick<GateSetting, 'catalogue' | 'options' | 'config' | 'watched'>,
): string {
  const blocks = [...machine.blocks.values()].map(
    ({ block, state }) => `${catalogue.nameOf(block.id)}${state === undefined ? '' : '+'}`,
  )
  const liars = options.proven === true ? options.liars.map((at) => voterAt(config, at)) : []
  const isLiar = (voter: KeyId): boolean => liars.includes(voter)
  const certificates = byView(machine.certificates).map(
    ([view, held]) =>
      `${view}:${held.map((one) => one.kind + (one.body.block ?? '') + (one.votes.some(({ voter }) => isLiar(voter)) ? '?' : '')).sort()}`,
  )
  const own = byView(machine.own).map(
    ([view, one]) => `${view}:${one.notarize ?? ''}/${one.skip}/${one.final ?? ''}`,
  )
  const whose = watched === undefined ? '' : voterAt(config, watched)
  const matters = ({ voter, kind, body }: Vote): boolean => {
    if (voter === whose) return true
    if (liars.length === 0 || isLiar(voter) || voter === machine.config.self) return false
    const beside = machine.certificates.get(body.view) ?? []
    return !beside.some((one) => one.kind === kind && !one.votes.some((by) => isLiar(by.voter)))
  }
  const remembered = [...machine.votes.values()]
    .flatMap((votes) => votes.filter(matters))
    .map(({ kind, body }) => `${kind}${body.view}${body.block ?? ''}`)
  return [
    machine.view,
    machine.committed.block,
    machine.committed.certificate?.body.view,
    machine.trail.map((place) => place.block),
    blocks,
    certificates,
    own,
    machine.view > options.puppets.length && machine.proposed >= machine.view,
    machine.floor.notarize,
    machine.floor.skip,
    machine.floor.final,
    machine.timer === undefined ? '-' : `${machine.timer.view}${machine.timer.stage}`,
    machine.frozen,
    remembered.sort(),
  ].join(';')
}

function byView<T>(map: ReadonlyMap<number, T>): readonly (readonly [number, T])[] {
  return [...map].sort(([a], [b]) => a - b)
}
