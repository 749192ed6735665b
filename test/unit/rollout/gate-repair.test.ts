/** How the gate machine lives with time, restarts, losses and lies (SPEC §7.1, §7.5, §8). */
import { describe, expect, it } from 'vitest'
import { floorUpTo, newGateMachine } from '../../../rollout/gate-machine.ts'
import { summary } from '../../../rollout/gate-repair.ts'
import { committedState, stepGate, votedBlocks } from '../../../rollout/gate-step.ts'
import {
  b1,
  bench,
  config,
  final1,
  notarized1,
  only,
  R,
  restored,
  rival1,
  S,
  skipped,
  votesIn,
} from './gate-bench.ts'
import {
  asMessage,
  blockAt,
  certificateOf,
  fakeRules,
  GENESIS,
  request,
  VIEW_MS,
  VIEW_MS_MAX,
  voteOf,
} from './gate-fakes.ts'

describe('the timer', () => {
  it('is off while there is no request', () => {
    expect(bench().step({ kind: 'changed' })).toEqual([])
  })

  it('runs from the first request on, and stops when it is decided', () => {
    const one = bench({ held: [R] })
    expect(only(one.step({ kind: 'changed' }), 'timer')).toMatchObject([{ view: 1, ms: VIEW_MS }])
    expect(only(one.step({ kind: 'changed' }), 'timer')).toEqual([])
    expect(only(one.take(b1, final1), 'timer-off')).toHaveLength(1)
  })

  it('runs while a notarized block is not held', () => {
    expect(only(bench().take(notarized1), 'timer')).toHaveLength(1)
  })

  it('runs for a proposal that may come to hold, though nothing else is known', () => {
    expect(only(bench().take(b1), 'timer')).toHaveLength(1)
  })

  it('stops when a proposal that was voted for no longer holds', () => {
    const one = bench({ held: [R] })
    one.take(b1)
    one.refused.add(R)
    expect(only(one.step({ kind: 'changed' }), 'timer-off')).toHaveLength(1)
  })

  it('grows with each skip in a row and each timeout in a view, up to its cap, and a commit resets it', () => {
    const one = bench({ held: [R, S] })
    one.step({ kind: 'changed' })
    const waits = [1, 2, 3, 4, 5].map((view) => {
      if (view % 4 === 3) one.step({ kind: 'timer', view })
      return only(one.take(skipped(view)), 'timer').at(-1)?.ms
    })
    expect(waits).toEqual([150, 225, 338, VIEW_MS_MAX, VIEW_MS_MAX])
    expect(only(one.step({ kind: 'timer', view: 6 }), 'timer')).toMatchObject([{ ms: VIEW_MS_MAX }])
    const b6 = blockAt(config, { view: 6, requests: [R] })
    const after = one.take(b6, certificateOf(config, 'final', b6))
    expect(only(after, 'timer').at(-1)).toMatchObject({ view: 7, ms: VIEW_MS })
  })
})

describe('a restart', () => {
  const journal = [b1, voteOf(config, 3, 'notarize', b1)] as const

  it('says the journaled votes again, byte for byte, and asks its peers', () => {
    const effects = restored(journal).step({ kind: 'restart' })
    expect(only(effects, 'publish').map(({ message }) => message)).toEqual([asMessage(journal[1])])
    expect(only(effects, 'repair')).toHaveLength(1)
  })

  it('casts no vote again', () => {
    const one = restored([rival1, ...journal])
    one.step({ kind: 'restart' })
    one.take(b1, rival1)
    expect(votesIn(one.effects)).toEqual([])
  })

  it('proposes no second block in a view', () => {
    const own = blockAt(config, { view: 3, requests: [R] })
    const one = restored([skipped(1), skipped(2), own])
    expect(only(one.step({ kind: 'restart' }), 'propose')).toEqual([])
    expect(votesIn(one.effects)).toEqual(['notarize 3'])
  })

  it('may start from a later commit, and goes on above it', () => {
    const { machine } = restored([b1, final1])
    const state = committedState(machine)
    const later = newGateMachine(config, state, final1)
    expect(later.view).toBe(2)
    expect(later.committed).toEqual(machine.committed)
    const rival = asMessage(certificateOf(config, 'final', rival1))
    const { effects } = stepGate(later, { kind: 'message', message: rival }, fakeRules(new Set()))
    expect(only(effects, 'conflict')).toHaveLength(1)
  })

  it('commits again what the journal proves, and is silent otherwise while it reads', () => {
    const one = restored([b1, notarized1, final1])
    expect(one.effects.map(({ kind }) => kind)).toEqual(['committed'])
  })

  it('says nothing in views in which its peers hold votes that its disk forgot', () => {
    const one = restored([])
    one.step({ kind: 'restart', floor: floorUpTo(1) })
    one.take(b1)
    one.step({ kind: 'timer', view: 1 })
    one.take(notarized1)
    expect(votesIn(one.effects)).toEqual([])
    one.take(blockAt(config, { view: 2, parent: b1.id, requests: [S] }))
    expect(votesIn(one.effects)).toEqual(['notarize 2'])
  })
})

describe('repair', () => {
  it('a timeout says own votes again and asks peers', () => {
    const one = bench({ held: [R] })
    const vote = voteOf(config, 3, 'notarize', b1)
    one.take(b1, vote)
    const effects = one.step({ kind: 'timer', view: 1 })
    expect(only(effects, 'publish').map(({ message }) => message)).toEqual([asMessage(vote)])
    expect(only(effects, 'repair').map(({ have }) => have)).toEqual([
      { epoch: 1, slot: 0, view: 1, committedView: 0, committed: GENESIS, missing: 1 },
    ])
  })

  it('a peer that is behind gets the rest from the store, and what is above the commit from here', () => {
    const b2 = blockAt(config, { view: 2, parent: b1.id, requests: [S] })
    const notarized2 = certificateOf(config, 'notarize', b2)
    const have = summary(bench().machine)
    const one = bench({ held: [R, S] })
    one.take(b1, final1, b2, notarized2, skipped(3))
    const effects = one.step({ kind: 'repair', have })
    expect(only(effects, 'serve')).toEqual([{ kind: 'serve', epoch: 1, above: 0 }])
    const answered = only(effects, 'publish').map(({ message }) => message)
    expect(answered).toEqual([b2, notarized2, skipped(3)].map(asMessage))
  })

  it('what a peer asks brings it level, however long the chain of skips', () => {
    const ahead = bench({ held: [R] })
    for (let view = 1; view <= 300; view++) ahead.take(skipped(view))
    const behind = bench()
    let rounds = 0
    for (; summary(behind.machine).missing < 301; rounds++) {
      const have = summary(behind.machine)
      for (const effect of only(ahead.step({ kind: 'repair', have }), 'publish')) {
        behind.step({ kind: 'message', message: effect.message })
      }
      expect(rounds).toBeLessThan(4)
    }
    expect(rounds).toBe(3)
    expect(behind.machine.view).toBe(301)
  })

  it('a peer in the same view gets its proposal and this voter’s votes', () => {
    const one = bench({ held: [R] })
    const vote = voteOf(config, 3, 'notarize', b1)
    one.take(b1, vote, voteOf(config, 0, 'notarize', b1))
    const effects = one.step({ kind: 'repair', have: summary(bench().machine) })
    expect(only(effects, 'publish').map(({ message }) => message)).toEqual(
      [b1, vote].map(asMessage),
    )
  })

  it('peers that are level answer nothing', () => {
    const one = bench({ held: [R] })
    one.take(b1, final1)
    expect(one.step({ kind: 'repair', have: summary(one.machine) })).toEqual([])
  })

  it('a sync asks again for a block that did not come', () => {
    const one = bench()
    one.take(final1)
    const effects = one.step({ kind: 'repair', have: summary(one.machine) })
    expect(only(effects, 'want')).toEqual([{ kind: 'want', block: b1.id }])
  })
})

describe('a lie', () => {
  it.each([
    [
      'two blocks notarized',
      voteOf(config, 0, 'notarize', b1),
      voteOf(config, 0, 'notarize', rival1),
    ],
    ['two blocks final', voteOf(config, 0, 'final', b1), voteOf(config, 0, 'final', rival1)],
    ['skip and final', voteOf(config, 0, 'skip', 1), voteOf(config, 0, 'final', b1)],
  ])('%s by one voter in one view is shown once', (_, first, second) => {
    const shown = only(bench().take(first, second, first, second), 'equivocation')
    const messages = [first.bytes, second.bytes]
    expect(shown).toEqual([{ kind: 'equivocation', author: first.voter, messages }])
  })

  it('two blocks of one leader in one view are shown once', () => {
    const shown = only(bench().take(b1, rival1, b1, rival1), 'equivocation')
    expect(shown).toEqual([
      { kind: 'equivocation', author: b1.leader, messages: [b1.bytes, rival1.bytes] },
    ])
  })

  it('notarizing and skipping, or notarizing one block and finishing another, is none', () => {
    const votes = [
      voteOf(config, 0, 'notarize', b1),
      voteOf(config, 0, 'skip', 1),
      voteOf(config, 1, 'notarize', b1),
      voteOf(config, 1, 'final', rival1),
    ]
    expect(only(bench().take(...votes), 'equivocation')).toEqual([])
  })

  it.each([
    ['another block final in its view', certificateOf(config, 'final', rival1)],
    ['another block notarized in its view', certificateOf(config, 'notarize', rival1)],
    ['its own view skipped', skipped(1)],
  ])('a committed block and %s freeze the machine and show both certificates', (_, rival) => {
    const one = bench({ held: [R, S] })
    one.take(b1, final1)
    expect(only(one.take(rival, rival), 'conflict')).toEqual([
      { kind: 'conflict', certificates: [final1, rival] },
    ])
    expect(one.machine.frozen).toBe(true)
  })

  it('a final block beside the commit freezes the machine once its branch is known', () => {
    const b2 = blockAt(config, { view: 2, parent: b1.id })
    const b3 = blockAt(config, { view: 3, parent: rival1.id })
    const [final2, final3] = [b2, b3].map((block) => certificateOf(config, 'final', block))
    if (final2 === undefined || final3 === undefined) throw new Error('no certificates')
    const one = bench({ held: [R, S] })
    one.take(b1, b2, final2)
    expect(only(one.take(b3, final3), 'want')).toEqual([{ kind: 'want', block: rival1.id }])
    expect(only(one.take(rival1), 'conflict')).toEqual([
      { kind: 'conflict', certificates: [final2, final3] },
    ])
    const below = bench({ held: [R, S] })
    below.take(b1, b2, final2)
    const late = { ...final3, body: { ...final3.body, view: 1 } }
    expect(only(below.take(late), 'conflict')).toHaveLength(1)
  })

  it('a final block on an older commit freezes the machine at once', () => {
    const b2 = blockAt(config, { view: 2 })
    const one = bench({ held: [R, S] })
    one.take(b1, final1, b2)
    expect(only(one.take(certificateOf(config, 'final', b2)), 'conflict')).toHaveLength(1)
  })

  it('a machine that started late sees a branch beside its start', () => {
    const b2 = blockAt(config, { view: 2, parent: b1.id })
    const b3 = blockAt(config, { view: 3, parent: rival1.id })
    const state = committedState(restored([b1, b2, certificateOf(config, 'final', b2)]).machine)
    const one = bench({ held: [R, S] })
    one.machine = newGateMachine(config, state, certificateOf(config, 'final', b2))
    one.take(b3, certificateOf(config, 'final', b3), rival1)
    expect(only(one.effects, 'conflict')).toHaveLength(1)
  })

  it('a frozen machine says and commits nothing more, also after a restart', () => {
    const b2 = blockAt(config, { view: 2, parent: b1.id, requests: [S] })
    const [notarized2, final2] = [
      certificateOf(config, 'notarize', b2),
      certificateOf(config, 'final', b2),
    ]
    const one = restored([b1, final1, certificateOf(config, 'final', rival1), b2, final2])
    expect(only(one.effects, 'conflict')).toHaveLength(1)
    one.step({ kind: 'restart' })
    one.take(b2, notarized2, final2)
    expect(votesIn(one.effects)).toEqual([])
    expect(only(one.effects, 'committed')).toHaveLength(1)
    expect(only(one.effects, 'timer')).toEqual([])
  })
})

describe('bounds', () => {
  it('messages of views too far ahead are dropped', () => {
    const one = bench()
    one.take(voteOf(config, 0, 'skip', 66), blockAt(config, { view: 66 }))
    expect([one.machine.votes.size, one.machine.blocks.size]).toEqual([0, 0])
    one.take(voteOf(config, 0, 'skip', 65), blockAt(config, { view: 65 }))
    expect([one.machine.votes.size, one.machine.blocks.size]).toEqual([1, 1])
  })

  it('a voter that votes for everything fills two places', () => {
    const one = bench()
    for (let i = 0; i < 20; i++) {
      const block = blockAt(config, { view: 1, requests: [request(i)] })
      one.take(voteOf(config, 0, 'notarize', block))
    }
    expect(one.machine.votes.get(1)).toHaveLength(2)
  })

  it('votes of views long left are forgotten', () => {
    const one = bench()
    one.take(voteOf(config, 0, 'skip', 1), skipped(64))
    expect(one.machine.votes.size).toBe(1)
    one.take(skipped(65))
    expect(one.machine.votes.size).toBe(0)
  })
})

describe('votedBlocks', () => {
  it('names what this voter stands behind, from the step that votes until the commit', () => {
    const one = bench({ held: [R, S] })
    expect(votedBlocks(one.machine)).toEqual([])
    one.take(b1)
    expect(votedBlocks(one.machine)).toEqual([b1])
    one.take(final1)
    expect(votedBlocks(one.machine)).toEqual([])
  })
})
