/** The rules of the gate log one by one (SPEC §7.1), on a machine that is driven by hand. */
import { describe, expect, it } from 'vitest'
import { leaderOf } from '../../../rollout/gate-machine.ts'
import { committedState, newestNotarizedTip } from '../../../rollout/gate-step.ts'
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
  fakeConfig,
  GENESIS,
  keys,
  voteOf,
} from './gate-fakes.ts'

describe('R1 propose', () => {
  it('the leader proposes its request once, on genesis, when every view before is skipped', () => {
    const one = bench({ held: [R] })
    one.take(skipped(1))
    expect(only(one.take(skipped(2)), 'propose').map(({ body }) => body)).toMatchObject([
      { view: 3, parent: GENESIS, commands: [{ kind: 'admit', rollout: R }] },
    ])
    one.held.add(S)
    one.step({ kind: 'changed' })
    expect(only(one.effects, 'propose')).toHaveLength(1)
  })

  it('the leader waits while a view below has neither a block nor a skip certificate', () => {
    const one = bench({ held: [R] })
    expect(only(one.take(skipped(2)), 'propose')).toEqual([])
    expect(only(one.take(skipped(1)), 'propose')).toHaveLength(1)
  })

  it('the leader stands on the newest notarized block, not on a skipped one below it', () => {
    const one = bench({ held: [R, S] })
    one.take(b1, notarized1, skipped(1), skipped(2))
    expect(only(one.effects, 'propose').map(({ body }) => body)).toMatchObject([
      { view: 3, parent: b1.id, commands: [{ rollout: S }] },
    ])
  })

  it('a proposal over skipped views travels with its parent’s certificate', () => {
    const one = bench({ held: [R, S] })
    one.take(b1, notarized1)
    const published = only(one.take(skipped(2)), 'publish').map(({ message }) => message)
    expect(published).toEqual([asMessage(notarized1)])
  })

  it('no vote for a block whose way to its parent is not skipped, a vote once it is', () => {
    const b2 = blockAt(config, { view: 2, requests: [R] })
    const one = bench({ held: [R] })
    one.machine = { ...one.machine, view: 2 }
    expect(votesIn(one.take(b2))).toEqual([])
    expect(votesIn(one.take(skipped(1)))).toEqual(['notarize 2'])
  })

  it('no vote for a block on a parent without a certificate, a vote once it has one', () => {
    const b2 = blockAt(config, { view: 2, parent: b1.id, requests: [S] })
    const one = bench({ held: [R, S] })
    one.take(b1, skipped(1), b2)
    expect(votesIn(one.effects)).toEqual(['notarize 1'])
    expect(votesIn(one.take(notarized1))).toEqual(['final 1', 'notarize 2'])
  })

  it('no vote for a block on one that is only known as a certified block’s ancestor', () => {
    const b2 = blockAt(config, { view: 2, parent: b1.id })
    const b4 = blockAt(config, { view: 4, parent: b1.id, requests: [S] })
    const one = bench({ held: [R, S] })
    one.take(b1, b2, certificateOf(config, 'notarize', b2), skipped(2), skipped(3), b4)
    expect(votesIn(one.effects)).not.toContain('notarize 4')
    expect(votesIn(one.take(notarized1))).toContain('notarize 4')
  })

  it('a final certificate stands in for the notarizing one', () => {
    const b2 = blockAt(config, { view: 2, parent: b1.id, requests: [S] })
    const one = bench({ held: [R, S] })
    one.take(b1, b2)
    expect(votesIn(one.take(final1))).toEqual(['notarize 2'])
  })

  it('no vote for a block of another than the leader', () => {
    const one = bench({ held: [R] })
    one.take({ ...b1, leader: leaderOf(config, 2) ?? '' })
    expect(one.machine.blocks.size).toBe(0)
    expect(votesIn(one.effects)).toEqual([])
  })

  it('an empty block is proposed only after the grace, and only over something undecided', () => {
    const one = bench({ held: [R] })
    one.take(b1, notarized1, skipped(2))
    expect(only(one.effects, 'propose')).toEqual([])
    expect(only(one.effects, 'timer').at(-1)).toMatchObject({ view: 3, ms: 38 })
    const later = one.step({ kind: 'timer', view: 3 })
    expect(only(later, 'propose').map(({ body }) => body)).toMatchObject([
      { view: 3, parent: b1.id, commands: [], basis: [], rootVersion: 1 },
    ])
    expect(only(later, 'timer')).toMatchObject([{ view: 3, ms: 113 }])
  })

  it('no empty block is proposed where nothing is undecided, though a block is still to come', () => {
    const one = bench()
    one.take(notarized1, skipped(1), skipped(2))
    expect(only(one.effects, 'timer').at(-1)).toMatchObject({ view: 3 })
    one.step({ kind: 'timer', view: 3 })
    one.step({ kind: 'timer', view: 3 })
    expect(only(one.effects, 'propose')).toEqual([])
  })

  it('a leader that learns of the commit in its grace proposes nothing', () => {
    const one = bench({ held: [R] })
    one.take(b1, notarized1, skipped(2), final1)
    one.step({ kind: 'timer', view: 3 })
    expect(only(one.effects, 'propose')).toEqual([])
    expect(only(one.effects, 'timer-off')).toHaveLength(1)
  })
})

describe('R2 notarize', () => {
  it('votes for the leader’s block in the view it is in', () => {
    const one = bench({ held: [R] })
    expect(votesIn(one.take(b1))).toEqual(['notarize 1'])
  })

  it('votes at most once in a view, for the first block that came', () => {
    const one = bench({ held: [R, S] })
    expect(votesIn(one.take(b1, rival1, b1))).toEqual(['notarize 1'])
    expect(votesIn(bench({ held: [S] }).take(b1, rival1))).toEqual([])
  })

  it('waits for what the basis names, says so once, and votes when it comes', () => {
    const one = bench()
    expect(only(one.take(b1, b1), 'await').map(({ block }) => block.id)).toEqual([b1.id])
    one.held.add(R)
    expect(votesIn(one.step({ kind: 'changed' }))).toEqual(['notarize 1'])
  })

  it('does not vote for what is not true with everything held, until it is', () => {
    const one = bench({ held: [R] })
    one.refused.add(R)
    expect(votesIn(one.take(b1))).toEqual([])
    one.refused.clear()
    expect(votesIn(one.step({ kind: 'changed' }))).toEqual(['notarize 1'])
  })

  it('never votes in a view that it has left', () => {
    const one = bench()
    one.take(b1, skipped(1))
    one.held.add(R)
    expect(votesIn(one.step({ kind: 'changed' }))).toEqual([])
  })

  it('may vote for the block of a view that it has voted to skip', () => {
    const one = bench({ held: [R] })
    one.step({ kind: 'changed' })
    one.step({ kind: 'timer', view: 1 })
    one.take(b1)
    expect(votesIn(one.effects)).toEqual(['skip 1', 'notarize 1'])
  })

  it('refuses an empty block where nothing is undecided, and one that changes the root', () => {
    const onGenesis = blockAt(config, { view: 1 })
    expect(votesIn(bench().take(onGenesis))).toEqual([])
    const empty = blockAt(config, { view: 2, parent: b1.id })
    expect(votesIn(bench({ held: [R] }).take(b1, notarized1, empty))).toContain('notarize 2')
    const newRoot = { ...empty, body: { ...empty.body, rootVersion: 2 } }
    expect(votesIn(bench({ held: [R] }).take(b1, notarized1, newRoot))).not.toContain('notarize 2')
  })

  it('a block can be certified though it was the leader’s second', () => {
    const one = bench({ held: [R, S] })
    one.take(b1, rival1, certificateOf(config, 'notarize', rival1))
    expect(newestNotarizedTip(one.machine).head).toBe(rival1.id)
  })

  it('a third block of one view is dropped, and fetched when it is certified', () => {
    const third = blockAt(config, { view: 1, requests: [R, S] })
    const one = bench({ held: [R, S] })
    one.take(b1, rival1, third)
    expect(one.machine.blocks.has(third.id)).toBe(false)
    const wants = only(one.take(certificateOf(config, 'notarize', third)), 'want')
    expect(wants).toEqual([{ kind: 'want', block: third.id }])
    one.take(third)
    expect(newestNotarizedTip(one.machine).head).toBe(third.id)
  })
})

describe('R3 skip', () => {
  it('votes to skip when the view’s timer fires, once', () => {
    const one = bench({ held: [R] })
    one.step({ kind: 'changed' })
    expect(votesIn(one.step({ kind: 'timer', view: 1 }))).toEqual(['skip 1'])
    expect(votesIn(one.step({ kind: 'timer', view: 1 }))).toEqual([])
  })

  it('never votes to skip a view after leaving it', () => {
    const one = bench({ held: [R] })
    one.step({ kind: 'changed' })
    one.take(skipped(1))
    expect(one.step({ kind: 'timer', view: 1 })).toEqual([])
  })

  it('never votes to skip a view after voting final in it, whatever was lost', () => {
    const one = restored([b1, voteOf(config, 3, 'notarize', b1), voteOf(config, 3, 'final', b1)])
    one.step({ kind: 'restart' })
    expect(one.machine.view).toBe(1)
    expect(votesIn(one.step({ kind: 'timer', view: 1 }))).toEqual([])
  })

  it('ignores a timer that it has not asked for', () => {
    expect(bench().step({ kind: 'timer', view: 1 })).toEqual([])
  })
})

describe('R4 advance', () => {
  it.each([
    ['notarize', certificateOf(config, 'notarize', b1)],
    ['skip', skipped(1)],
    ['final', final1],
  ])('a %s certificate moves on', (_, certificate) => {
    const one = bench()
    one.take(certificate)
    expect(one.machine.view).toBe(2)
  })

  it('a certificate of a later view moves past it, one of an earlier view does not move back', () => {
    const one = bench()
    one.take(skipped(9), skipped(4))
    expect(one.machine.view).toBe(10)
  })

  it('votes that are a quorum make a certificate, which is kept and published', () => {
    const one = bench({ held: [R] })
    one.take(b1)
    const effects = one.take(...[2, 0, 3].map((i) => voteOf(config, i, 'notarize', b1)))
    const made = only(effects, 'publish').map(({ message }) => message)
    expect(made).toMatchObject([{ certificate: { kind: 'notarize', body: { block: b1.id } } }])
    expect(only(effects, 'keep').map(({ message }) => message)).toEqual(made)
    const [certificate] = made
    const voters = certificate?.kind === 'certificate' ? certificate.certificate.votes : []
    expect(voters.map(({ voter }) => voter)).toEqual([0, 2, 3].map((i) => config.voters[i]))
    const order = effects.map(({ kind }) => kind)
    expect(order.indexOf('keep')).toBeLessThan(order.indexOf('vote'))
  })

  it('votes of one voter, of strangers, or on different blocks are no quorum', () => {
    const one = bench({ held: [R, S] })
    const stranger = { ...voteOf(config, 0, 'notarize', b1), voter: 'ff'.repeat(32) }
    const mine = voteOf(config, 0, 'notarize', b1)
    one.take(b1, mine, mine, mine, stranger, voteOf(config, 1, 'notarize', rival1))
    one.take(voteOf(config, 2, 'notarize', rival1), voteOf(config, 2, 'skip', 1))
    expect(one.machine.certificates.size).toBe(0)
  })

  it('a certificate of too few voters counts for nothing', () => {
    const one = bench()
    const [first] = notarized1.votes
    const short = first === undefined ? [] : [first, first, first]
    one.take({ ...notarized1, votes: short })
    expect(one.machine.view).toBe(1)
  })

  it('votes final on what is notarized', () => {
    const one = bench({ held: [R] })
    expect(votesIn(one.take(b1, notarized1))).toEqual(['notarize 1', 'final 1'])
  })

  it('votes final also in a view that it has left without a vote to skip it', () => {
    const one = bench({ held: [R] })
    expect(votesIn(one.take(b1, skipped(1), notarized1))).toEqual(['notarize 1', 'final 1'])
  })

  it('never votes final in a view that it has voted to skip', () => {
    const one = bench({ held: [R] })
    one.step({ kind: 'changed' })
    one.step({ kind: 'timer', view: 1 })
    one.take(b1, notarized1)
    expect(votesIn(one.effects)).toEqual(['skip 1', 'notarize 1'])
  })

  it('never votes final in a view that a lost life voted to skip', () => {
    const one = restored([voteOf(config, 3, 'skip', 1), b1, notarized1])
    expect(votesIn(one.step({ kind: 'restart' }))).toEqual([])
  })

  it('votes of another group or epoch are not ours', () => {
    const one = bench()
    const place = { ...notarized1.body, epoch: 2 }
    one.take({ ...b1, body: { ...b1.body, group: 'other' } }, { ...notarized1, body: place })
    expect(one.machine).toEqual(bench().machine)
  })
})

describe('R5 commit', () => {
  const b2 = blockAt(config, { view: 2, parent: b1.id })
  const b3 = blockAt(config, { view: 3, parent: b2.id, requests: [S] })
  const final3 = certificateOf(config, 'final', b3)

  it('a final certificate commits its block and every ancestor, oldest first, once', () => {
    const one = bench({ held: [R, S] })
    one.take(b1, b2, b3, final3, final3, b2)
    const committed = only(one.effects, 'committed')
    expect(committed.map(({ block }) => block.id)).toEqual([b1.id, b2.id, b3.id])
    expect(new Set(committed.map(({ certificate }) => certificate))).toEqual(new Set([final3]))
    expect(committed.map(({ state }) => state.slot)).toEqual([1, 1, 2])
    expect(committedState(one.machine).head).toBe(b3.id)
  })

  it('missing blocks are asked for one after the other, from the certificate down', () => {
    const one = bench({ held: [R, S] })
    const wants = [final3, b3, b2, b1].map((value) => only(one.take(value), 'want')[0]?.block)
    expect(wants).toEqual([b3.id, b2.id, b1.id, undefined])
    expect(only(one.effects, 'committed')).toHaveLength(3)
  })

  it('a commit waits for facts, block by block', () => {
    const one = bench({ held: [R] })
    one.take(b1, b2, b3, final3)
    expect(only(one.effects, 'committed').map(({ block }) => block.id)).toEqual([b1.id, b2.id])
    expect(only(one.effects, 'await').map(({ block }) => block.id)).toEqual([b3.id])
    one.held.add(S)
    expect(only(one.step({ kind: 'changed' }), 'committed')).toHaveLength(1)
  })

  it('a commit forgets what is below it', () => {
    const one = bench({ held: [R, S] })
    one.take(b1, rival1, voteOf(config, 1, 'skip', 1), b2, b3, notarized1, final3)
    const { blocks, votes, certificates, own } = one.machine
    expect([blocks.size, votes.size, certificates.size, own.size]).toEqual([0, 0, 0, 0])
  })

  it('a follower commits and never speaks', () => {
    const one = bench({ held: [R, S], config: fakeConfig({ n: 4 }) })
    one.take(b1, notarized1, b2, b3, final3)
    expect(new Set(one.effects.map(({ kind }) => kind))).toEqual(new Set(['keep', 'committed']))
  })

  it('a lone voter decides by itself', () => {
    const lone = fakeConfig({ n: 1, self: keys(1)[0] ?? '' })
    const one = bench({ held: [R], config: lone })
    expect(only(one.step({ kind: 'changed' }), 'propose')).toHaveLength(1)
    const block = blockAt(lone, { view: 1, requests: [R] })
    one.take(block, voteOf(lone, 0, 'notarize', block), voteOf(lone, 0, 'final', block))
    expect(only(one.effects, 'committed').map((effect) => effect.block.id)).toEqual([block.id])
    expect(only(one.effects, 'propose')).toHaveLength(1)
  })
})
