/** What proofs do to the gate log (SPEC §6.7): who goes on, who stops, and what stops nobody. */
import { describe, expect, test } from 'vitest'
import {
  accusationOf,
  deriveHostKeys,
  type Fact,
  feedKey,
  type HostName,
  type KeyPair,
  keyPair,
  NO_FACT,
  type RolloutId,
  sealFact,
  sealVote,
  sha256,
  toHex,
  utf8,
} from '../../../protocol/index.ts'
import { ordersFor } from '../../../rollout/derive-orders.ts'
import { gateRules } from '../../../rollout/gate-judge.ts'
import { rolloutStatus } from '../../../rollout/gate-status.ts'
import { frozenBy } from '../../../rollout/lies.ts'
import { whyHost } from '../../../rollout/why.ts'
import { GROUP, session, World } from './world.ts'

const id = (label: string): string => toHex(sha256(utf8(label)))
const keyOf = (host: HostName): KeyPair => deriveHostKeys(sha256(utf8(`paper/${host}`))).fact

/** A member brings the proof that a host voted for two blocks of one view. */
function accuse(world: World, host: HostName): void {
  const by = { fleet: world.trust.fleet, key: keyOf(host) }
  const [first, second] = ['a', 'b'].map(
    (block) => sealVote('final', { group: GROUP, epoch: 1, view: 3, block: id(block) }, by).bytes,
  ) as [Uint8Array, Uint8Array]
  bring(world, { first, second })
}

function bring(world: World, pair: { first: Uint8Array; second: Uint8Array }): void {
  const accusation = accusationOf(pair, { fleet: world.trust.fleet })
  if (accusation === undefined) throw new Error('expected a proof')
  world.say('h01', 'equivocation', accusation.body)
}

/** Another first fact of a feed, and the proof that there are two. */
function fork(world: World, first: Fact, key: KeyPair): void {
  const second = sealFact(
    {
      type: 'host.lost',
      body: { host: 'h00', rollout: id('r'), why: 'another branch' },
      ...{ session: first.session, seq: first.seq, prev: first.prev, epoch: 1, ts: 0 },
    },
    { fleet: world.trust.fleet, key },
  )
  bring(world, { first: first.bytes, second: second.bytes })
}

function admitted(world: World): RolloutId {
  const rollout = world.plan({ waves: [['h00'], ['h01']] }).id
  world.settle()
  return rollout
}

describe('an accused voter', () => {
  test('stops nobody where a liar is tolerated', () => {
    const world = new World({ hosts: 4, voters: 4, faultModel: 'byzantine' })
    accuse(world, 'h02')
    expect(world.view.lies.size).toBe(1)
    expect(frozenBy(world.trust, world.view)).toBeUndefined()
    const rollout = admitted(world)
    expect(world.state.rollouts.get(rollout)?.status).toBe('open')
    expect(world.started(rollout)).toEqual(['h00'])
  })

  test('freezes a group that tolerates none: nothing is admitted, started, skipped or closed', () => {
    const world = new World({ hosts: 3, voters: 3 })
    const rollout = admitted(world)
    expect(world.started(rollout)).toEqual(['h00'])
    const next = world.plan({ waves: [['h02']] }).id
    const blocks = [
      world.block([{ kind: 'admit', rollout: next }]),
      world.block([{ kind: 'start', rollout, round: 0, hosts: ['h01'] }]),
      world.block([{ kind: 'close', rollout, outcome: 'halted' }]),
    ]
    expect(blocks.slice(0, 1).map((one) => world.judge(one).kind)).toEqual(['valid'])
    accuse(world, 'h02')
    for (const block of blocks) {
      expect(world.judge(block)).toMatchObject({ kind: 'invalid', why: /^h02 signed two votes/ })
    }
    expect(world.judge(world.block([])).kind).toBe('valid')
    world.pass(10 ** 9)
    expect(world.draft()?.commands ?? []).toEqual([])
    expect(world.settle()).toEqual([])
    expect(rolloutStatus(world.knowledge(), next).waiting).toMatch(/^h02 signed two votes/)
    const [why] = whyHost(world.knowledge(), rollout, 'h01')
    expect(why?.text).toMatch(/frozen: h02/)
    expect(world.facts.some((fact) => fact.id === why?.fact)).toBe(true)
  })

  test('keeps no host from going back: halt and revert ask nobody', () => {
    const world = new World({ hosts: 3, voters: 3 })
    const rollout = admitted(world)
    world.move('h00', rollout, 'ACTIVATING')
    world.move('h00', rollout, 'PROBATION')
    accuse(world, 'h02')
    const before = ordersFor(world.knowledge(), 'h00')
    world.halt(rollout, { revert: true })
    const after = ordersFor(world.knowledge(), 'h00')
    expect(after).not.toEqual(before)
    expect(
      JSON.stringify(after, (_, value) => (value instanceof Map ? [...value] : value)),
    ).toMatch(/"revert":true|"reverts?"|halt/)
  })

  test('that votes no more freezes nobody', () => {
    const world = new World({ hosts: 5, voters: 3 })
    accuse(world, 'h04')
    expect(world.view.lies.size).toBe(1)
    expect(frozenBy(world.trust, world.view)).toBeUndefined()
    const rollout = admitted(world)
    expect(world.state.rollouts.get(rollout)?.status).toBe('open')
  })
})

describe('a forked feed', () => {
  test('keeps its entry in the basis, and every other feed moves on', () => {
    const world = new World({ hosts: 3, voters: 3 })
    const rollout = admitted(world)
    const feed = feedKey(keyOf('h00').publicKey, session(0))
    const entry = world.state.evidence.vector.get(feed)
    const first = world.move('h00', rollout, 'READY')
    fork(world, first as Fact, keyOf('h00'))
    const other = world.plan({ waves: [['h02']] }).id
    world.settle()
    expect(world.state.rollouts.get(other)?.status).toBe('open')
    expect(world.state.evidence.vector.get(feed)).toEqual(entry)
    const speaker = feedKey(keyOf('h01').publicKey, session(0))
    expect(world.state.evidence.vector.get(speaker)).toEqual(world.view.vector.get(speaker))
  })

  test('is moved by no block that a voter who knows of the fork votes for', () => {
    const world = new World({ hosts: 3, voters: 3 })
    const rollout = admitted(world)
    const first = world.move('h00', rollout, 'READY')
    const block = world.block([])
    expect(world.judge(block).kind).toBe('valid')
    fork(world, first as Fact, keyOf('h00'))
    expect(world.judge(block)).toMatchObject({ kind: 'invalid', why: /whose feed forked/ })
    expect(gateRules(world.held()).apply(block, world.state)).toBeDefined()
  })

  test('of which a certified block names the other branch is applied along that branch', () => {
    const world = new World({ hosts: 3, voters: 3 })
    const ours = sealFact(
      {
        type: 'host.lost',
        body: { host: 'h01', rollout: id('r'), why: 'ours' },
        ...{ session: session(7), seq: 0, prev: NO_FACT, epoch: 1, ts: 0 },
      },
      { fleet: world.trust.fleet, key: keyPair(sha256(utf8('paper/alice'))) },
    )
    const theirs = world.say(
      'alice',
      'host.lost',
      { host: 'h02', rollout: id('r'), why: 'theirs' },
      { session: session(7) },
    )
    const block = world.block([])
    const held = world.held()
    const none = gateRules({ ...held, factAt: () => ours as Fact })
    expect(none.apply(block, world.state)).toBeUndefined()
    expect(none.judge(block, world.state)).toMatchObject({ kind: 'wait', why: /another one here/ })
    const both = gateRules({
      ...held,
      factAt: (_, __, wanted) => (wanted === theirs.id ? (theirs as Fact) : (ours as Fact)),
    })
    const feed = feedKey(theirs.author, session(7))
    const applied = both.apply(block, world.state)
    expect(applied?.evidence.vector.get(feed)?.id).toBe(theirs.id)
  })
})
