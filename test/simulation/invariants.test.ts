/**
 * Every invariant can fail: each is shown a breach that was planted in the evidence of a real run, or
 * evidence made up for it, and each is content with the run as it was.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Block, Command, Fact, FactOf, Vote } from '../../protocol/index.ts'
import { type FleetView, foldFacts, ordersFor } from '../../rollout/index.ts'
import { Stage } from './acts.ts'
import {
  inputOf,
  s1Agreement,
  s1Certified,
  s2ExclusiveClaim,
  s5NoBlindRedeploy,
  s6NoCloseOverNothing,
  s6NoStartOverEvidence,
  s10Permits,
  s10VotersAway,
  s13Accountability,
  s14NoDowngrade,
  s15AppendOnly,
  s17SkippedOrGone,
} from './invariants/gate.ts'
import {
  type Go,
  s3Authority,
  s4FreshGo,
  s5HaltSticks,
  s9PowerCut,
  s9WayBack,
} from './invariants/host.ts'
import { Ledger, type LedgerRollout } from './invariants/ledger.ts'
import {
  l1Decided,
  l2Closes,
  l3HaltReaches,
  l4Back,
  l5Silent,
  l6Converge,
  l7BackAlone,
  l8Completes,
} from './invariants/liveness.ts'
import { s11Merge, s16Acts, s16Determinism, s16Refold, s18SameRest } from './invariants/merge.ts'
import { s12Feed, s12View } from './invariants/voice.ts'
import {
  s7Confirmed,
  s7Witnessed,
  s8Certificate,
  s8Honest,
  s8Unsteady,
} from './invariants/witness.ts'
import type { Scenario } from './scenario.ts'
import { World } from './world.ts'

const QUIET: Scenario = {
  ...{ seed: 7, hosts: 4, voters: 4, faultModel: 'byzantine', pace: 'brisk' },
  ...{ realSignatures: false, stormMs: 60_000, faults: [], liars: [], acts: [] },
}
const HALF = (): number => 0.5

/** Two good releases, one after the other, each with a canary. */
async function quietRun(): Promise<World> {
  const world = new World(QUIET)
  const stage = new Stage(world)
  for (const name of world.fleet.names) world.boot(name)
  for (const at of [500, 30_000]) {
    const plan = { release: 'good', older: false, waves: 'canary', budget: 0 } as const
    const act = { at, kind: 'plan', via: 0, ...plan, onFailure: 'halt', takesOver: false } as const
    world.after(at, () => stage.perform(act))
  }
  await world.fleet.clock.advance(QUIET.stormMs)
  return world
}

describe('an invariant that is shown a breach finds it', () => {
  let world: World
  let ledger: Ledger
  let rollout: LedgerRollout
  let facts: readonly Fact[]

  beforeAll(async () => {
    world = await quietRun()
    ledger = world.monitor.gate.ledger
    const [first] = ledger.rollouts.values()
    if (first === undefined) throw new Error('expected a rollout in a quiet run, found none')
    rollout = first
    facts = [...world.monitor.chronicle.byId.values()]
    expect(world.found).toEqual([])
    expect([...ledger.rollouts.values()].map((one) => one.closed?.outcome)).toEqual([
      'complete',
      'complete',
    ])
  }, 60_000)

  /** The ledger up to and with one more block of these commands, over no further facts. */
  function withBlock(commands: readonly Command[], blocks: readonly Block[] = []): Ledger {
    const copy = new Ledger(world.monitor.chronicle)
    for (const block of blocks) copy.add(block)
    const [model] = ledger.blocks
    if (model === undefined) throw new Error('expected a block')
    copy.add({ ...model, body: { ...model.body, commands, basis: [] } })
    return copy
  }

  function said(to: string): FactOf<'host.transition'> {
    const found = facts.find((fact) => fact.type === 'host.transition' && fact.body.to === to)
    if (found?.type !== 'host.transition') throw new Error(`expected somebody to say ${to}`)
    return found
  }

  const admitBlock = (): Block => {
    const block = ledger.blocks.find(({ body }) =>
      body.commands.some((one) => one.kind === 'admit'),
    )
    if (block === undefined) throw new Error('expected an admit')
    return { ...block, body: { ...block.body, commands: block.body.commands.slice(0, 1) } }
  }
  const start = (hosts: readonly string[], round = 0): Command => ({
    ...{ kind: 'start', rollout: rollout.id, round, hosts },
  })

  it('S1: two logs part', () => {
    expect(
      s1Agreement(
        new Map([
          ['a', ['1', '2']],
          ['b', ['1']],
        ]),
      ),
    ).toEqual([])
    expect(
      s1Agreement(
        new Map([
          ['a', ['1', '2']],
          ['b', ['1', '3', '4']],
        ]),
      ),
    ).toHaveLength(1)
  })

  it('S1: a commit without a whole quorum, or with one voter counted twice', () => {
    const [entry] = world.monitor.chronicle.logs.get('host-01') ?? []
    if (entry === undefined) throw new Error('expected a log')
    const { trust } = world.fleet
    const { certificate } = entry
    expect(s1Certified(trust, 'host-01', certificate)).toEqual([])
    const [vote] = certificate.votes
    const twice = certificate.votes.map(() => vote).flatMap((one) => one ?? [])
    expect(s1Certified(trust, 'host-01', { ...certificate, votes: twice })).toHaveLength(1)
  })

  it('S2: two open rollouts claim one host', () => {
    expect(s2ExclusiveClaim(ledger)).toEqual([])
    const both = withBlock([], [admitBlock()])
    const [first] = both.rollouts.values()
    if (first !== undefined) both.rollouts.set('other', { ...first, id: 'other' })
    expect(s2ExclusiveClaim(both).length).toBeGreaterThan(0)
  })

  it('S3: nobody admitted or started what a host goes to', () => {
    const { body } = said('ACTIVATING')
    const host = world.monitor.chronicle.nameOf(said('ACTIVATING').author) ?? ''
    const manifest = world.monitor.chronicle.manifestOf(rollout.plan)
    const generation = manifest?.hosts.find((one) => one.host === host)?.generation ?? ''
    const go: Go = { host, rollout: body.rollout, round: body.round, generation, at: 0 }
    const { chronicle } = world.monitor
    const log = chronicle.logs.get(host) ?? []
    expect(s3Authority(go, log, chronicle)).toEqual([])
    expect(s3Authority(go, [], chronicle)).toHaveLength(2)
    expect(s3Authority({ ...go, generation: 'other' }, log, chronicle)).toHaveLength(1)
    expect(s3Authority({ ...go, round: 2 }, log, chronicle)).toHaveLength(1)
  })

  it('S4: too few grants, of another nonce, or too old', () => {
    const go: Go = { host: 'a', rollout: 'r', round: 0, generation: 'g', at: 10_000 }
    const lease = { nonce: 'n', rollout: 'r', round: 0, askedAt: 7_000 }
    const rules = { quorum: 2, leaseMs: 4_000 }
    const both = { ...lease, voters: new Set(['a', 'b']) }
    expect(s4FreshGo(go, [both], rules)).toEqual([])
    expect(s4FreshGo(go, [{ ...both, askedAt: 1_000 }], rules)).toHaveLength(1)
    const halves = ['a', 'b'].map((voter) => ({ ...lease, voters: new Set([voter]) }))
    expect(s4FreshGo(go, halves, rules)).toHaveLength(1)
    expect(s4FreshGo({ ...go, round: 1 }, [both], rules)).toHaveLength(1)
  })

  it('S5: somebody goes on over a halt or a breach that it holds', () => {
    const halt = { id: 'h', body: { rollout: 'r', revert: false, why: '' } }
    const halts = [halt] as unknown as readonly FactOf<'rollout.halt'>[]
    const about = { rollout: 'r', host: 'a' }
    const calm = { halts: [], failures: 1, budget: 1 }
    expect(s5HaltSticks('a', about, calm)).toEqual([])
    expect(s5HaltSticks('a', about, { ...calm, halts })).toHaveLength(1)
    expect(s5HaltSticks('a', about, { ...calm, failures: 2 })).toHaveLength(1)
  })

  it('S6: a second wave starts over canaries that are not done, and a round is repeated', () => {
    const { chronicle } = world.monitor
    const [[canary = ''] = [], [second = ''] = []] = rollout.waves
    expect(s6NoStartOverEvidence(withBlock([start([canary])], [admitBlock()]), chronicle)).toEqual(
      [],
    )
    const early = withBlock([start([second])], [admitBlock()])
    expect(s6NoStartOverEvidence(early, chronicle).length).toBeGreaterThan(0)
    const again = withBlock([start([canary]), start([canary])], [admitBlock()])
    expect(s6NoStartOverEvidence(again, chronicle).length).toBeGreaterThan(0)
    expect(s6NoStartOverEvidence(withBlock([start([canary])]), chronicle)).toHaveLength(1)
  })

  it('S5: a plan takes a host over from a halted rollout that it does not name', () => {
    const { chronicle } = world.monitor
    const second = [...ledger.rollouts.values()][1]?.id ?? ''
    const at = ledger.blocks.findIndex(({ body }) =>
      body.commands.some((one) => one.kind === 'admit' && one.rollout === second),
    )
    const copy = withBlock([{ kind: 'admit', rollout: second }], ledger.blocks.slice(0, at))
    expect(s5NoBlindRedeploy(copy, chronicle)).toEqual([])
    const halt = { type: 'rollout.halt', body: { rollout: rollout.id, revert: false, why: '' } }
    copy.facts.push(halt as unknown as Fact)
    expect(s5NoBlindRedeploy(copy, chronicle)).toHaveLength(rollout.waves.flat().length)
  })

  it('S6: a rollout is given up though nothing speaks against it', () => {
    const { chronicle } = world.monitor
    const close = { kind: 'close', rollout: rollout.id } as const
    const good = withBlock([{ ...close, outcome: 'complete' }], ledger.blocks)
    expect(s6NoCloseOverNothing(good, chronicle)).toEqual([])
    const bad = withBlock([{ ...close, outcome: 'halted' }], ledger.blocks)
    expect(s6NoCloseOverNothing(bad, chronicle)).toHaveLength(1)
  })

  it('S7: nobody saw what a host says of itself', () => {
    const input = inputOf(ledger, world.monitor.chronicle, rollout)
    for (const to of ['SOAKED', 'COMMITTED']) {
      const host = world.monitor.chronicle.nameOf(said(to).author) ?? ''
      expect(s7Witnessed(host, said(to), { ...input, facts })).toEqual([])
      expect(s7Witnessed(host, said(to), { ...input, facts: [] })).toHaveLength(1)
    }
    const host = world.monitor.chronicle.nameOf(said('CONFIRMED').author) ?? ''
    expect(s7Confirmed(host, said('CONFIRMED'), input, new Set(world.fleet.names))).toEqual([])
    expect(s7Confirmed(host, said('CONFIRMED'), input, new Set([host]))).toHaveLength(1)
  })

  it('S8: an attestation of what was not seen, and a certificate of liars alone', () => {
    const rules = { probeMs: 500, failRounds: 3, windowMs: 1_000, waitedMs: 0 }
    const who = { observer: 'a', subject: 'b' }
    const looks = [0, 500, 1_000].map((at) => ({ at, ok: false }))
    expect(s8Honest(who, { verdict: 'fail', at: 1_000 }, looks, rules)).toEqual([])
    expect(s8Honest(who, { verdict: 'fail', at: 1_000 }, looks.slice(1), rules)).toHaveLength(1)
    expect(s8Honest(who, { verdict: 'ok', at: 1_000 }, looks, rules)).toHaveLength(1)
    const late = { verdict: 'fail', at: 6_000 } as const
    expect(s8Honest(who, late, looks, rules)).toHaveLength(1)
    expect(s8Honest(who, late, looks, { ...rules, waitedMs: 5_000 })).toEqual([])
    expect(s8Unsteady(who, { phase: 'PROBATION', sinceMs: 900 }, 500)).toEqual([])
    expect(s8Unsteady(who, { phase: 'PROBATION', sinceMs: 1_000 }, 500)).toHaveLength(1)
    expect(s8Unsteady(who, { phase: 'SOAKED', sinceMs: 1_000 }, 500)).toEqual([])
    expect(s8Certificate('x', ['a', 'b'], new Set(['a']))).toEqual([])
    expect(s8Certificate('x', ['a', 'b'], new Set(['a', 'b']))).toHaveLength(1)
  })

  it('S9: nothing takes a host back, now or after a power cut', () => {
    const stand = world.monitor.hosts.standOf('host-01')
    if (stand === undefined) throw new Error('expected host-01 to stand somewhere')
    expect([...s9WayBack(stand), ...s9PowerCut(stand)]).toEqual([])
    expect(s9WayBack({ ...stand, running: 'other' })).toHaveLength(1)
    const deadman = { kind: 'armed', token: 't', target: 'g' } as const
    expect(s9WayBack({ ...stand, running: 'other', deadman })).toEqual([])
    expect(s9PowerCut({ ...stand, bootDefault: 'other' })).toHaveLength(1)
  })

  it('S10: too many are on their way', () => {
    const { chronicle } = world.monitor
    const few = withBlock([start(['host-01'])], [admitBlock()])
    expect(s10Permits(few, chronicle)).toEqual([])
    const many = withBlock([start(world.fleet.names)], [admitBlock()])
    expect(s10Permits(many, chronicle)).toHaveLength(1)
    const away = new Map(
      [...chronicle.states].map(([name, state]) => {
        const [one] = state.rollouts
        if (one === undefined) throw new Error(`expected a rollout at ${name}`)
        const flight = { rollout: one.rollout } as NonNullable<typeof state.flight>
        return [name, { ...state, flight, rollouts: [{ ...one, phase: 'PROBATION' as const }] }]
      }),
    )
    expect(s10VotersAway(chronicle.trust, chronicle.states, new Set())).toEqual([])
    expect(s10VotersAway(chronicle.trust, away, new Set())).toHaveLength(1)
  })

  it('S11: a fold that looks at the order', () => {
    expect(s11Merge(facts, world.fleet.trust, HALF)).toEqual([])
    let seen = 0
    const counting: typeof foldFacts = (view, some, trust): FleetView => {
      const folded = foldFacts(view, some, trust)
      seen++
      return seen > 2 ? { ...folded, plans: new Map() } : folded
    }
    expect(s11Merge(facts, world.fleet.trust, HALF, counting)).toHaveLength(1)
  })

  it('S12: one place filled twice, or two votes that exclude each other', () => {
    const honest = (): string => 'a'
    expect(s12Feed([], honest)).toEqual([])
    expect(s12Feed([{ place: 'feed/0', author: 'k' }], honest)).toHaveLength(1)
    expect(s12Feed([{ place: 'feed/0', author: 'k' }], () => undefined)).toEqual([])
    const vote = (kind: Vote['kind']): Vote => ({ kind }) as Vote
    const view = (...kinds: readonly Vote['kind'][]): readonly string[] =>
      s12View('a', 1, { votes: kinds.map(vote), blocks: [] })
    expect(view('notarize', 'final')).toEqual([])
    expect(view('notarize', 'skip')).toEqual([])
    expect(view('final', 'skip')).toHaveLength(1)
    expect(view('notarize', 'notarize')).toHaveLength(1)
    expect(view('final', 'final')).toHaveLength(1)
    expect(s12View('a', 1, { votes: [], blocks: ledger.blocks.slice(0, 2) })).toHaveLength(1)
  })

  it('S13: logs that part, and nobody is proven to lie', () => {
    const { trust } = world.fleet
    expect(s13Accountability(trust, { forked: false, proven: 0 })).toEqual([])
    expect(s13Accountability(trust, { forked: true, proven: 1 })).toHaveLength(1)
    expect(s13Accountability(trust, { forked: true, proven: 2 })).toEqual([])
  })

  it('S14: a channel goes back without a rollback', () => {
    const { chronicle } = world.monitor
    expect(s14NoDowngrade(ledger, chronicle)).toEqual([])
    const reversed = withBlock([])
    for (const one of [...ledger.rollouts.values()].reverse()) reversed.rollouts.set(one.id, one)
    expect(s14NoDowngrade(reversed, chronicle)).toHaveLength(1)
  })

  it('S15: a log loses or changes a block', () => {
    expect(s15AppendOnly('a', ['1'], ['1', '2'])).toEqual([])
    expect(s15AppendOnly('a', ['1', '2'], ['1'])).toHaveLength(1)
    expect(s15AppendOnly('a', ['1'], ['2'])).toHaveLength(1)
  })

  it('S16: equal facts, other states', () => {
    const node = { facts: 'f', digest: 'd' }
    expect(
      s16Determinism([
        { ...node, name: 'a' },
        { ...node, name: 'b' },
      ]),
    ).toEqual([])
    const other = { ...node, name: 'b', digest: 'e' }
    expect(s16Determinism([{ ...node, name: 'a' }, other])).toHaveLength(1)
    const live = world.fleet.host('host-01').node?.knowledge()
    if (live === undefined) throw new Error('expected host-01 to run')
    const held = world.monitor.chronicle.factsOn(world.fleet.host('host-01').disk)
    expect(s16Refold('host-01', live, held, HALF)).toEqual([])
    expect(s16Refold('host-01', live, held.slice(0, -1), HALF)).toHaveLength(1)
    const { rollouts } = live.view
    const record = rollouts.get(rollout.id)
    if (record === undefined) throw new Error('expected words about the rollout')
    const holds = new Map([
      ['h', { body: { kind: 'off', releases: [] } }],
    ]) as unknown as typeof record.holds
    const paused = {
      ...live.view,
      rollouts: new Map(rollouts).set(rollout.id, { ...record, holds }),
    }
    expect(s16Refold('host-01', { ...live, view: paused }, held, HALF)).toHaveLength(1)
    const orders = ordersFor(live, 'host-01')
    const told = { orders: { ...orders }, duties: [] }
    expect(orders.rollouts.length).toBeGreaterThan(0)
    expect(s16Acts('host-01', told, { orders, duties: [] })).toEqual([])
    const before = { ...orders, rollouts: orders.rollouts.slice(1) }
    expect(s16Acts('host-01', { orders: before, duties: [] }, { orders, duties: [] })).toHaveLength(
      1,
    )
  })

  it('S17: a host is skipped in a round in which it went', () => {
    const { chronicle } = world.monitor
    expect(s17SkippedOrGone(ledger, chronicle)).toEqual([])
    const { body, author } = said('ACTIVATING')
    const host = chronicle.nameOf(author) ?? ''
    const skip = { kind: 'skip', rollout: body.rollout, round: body.round, hosts: [host] } as const
    expect(s17SkippedOrGone(withBlock([skip], ledger.blocks), chronicle)).toHaveLength(1)
  })

  it('S18: a host rests elsewhere than the facts put it', () => {
    const rests = world.monitor.hosts.rests()
    expect(rests).toHaveLength(4)
    expect(s18SameRest(rests)).toEqual([])
    expect(s18SameRest(rests.map((rest) => ({ ...rest, running: 'other' })))).toHaveLength(4)
  })

  it('L1 to L8: what should come to pass does not', () => {
    expect(l1Decided([])).toEqual([])
    expect(l1Decided([{ id: 'r', at: 'a', waiting: 'a body' }])).toHaveLength(1)
    expect(l2Closes([{ id: 'r', at: 'a', stands: '' }])).toHaveLength(1)
    expect(l3HaltReaches([{ halt: 'h', host: 'a', ms: 1 }])).toHaveLength(1)
    expect([l4Back('a', 1, 2), l4Back('a', 3, 2)].map((one) => one.length)).toEqual([0, 1])
    expect([l5Silent(0, 1), l5Silent(1, 1)].map((one) => one.length)).toEqual([0, 1])
    expect(l6Converge(new Map([['d', ['a', 'b']]]))).toEqual([])
    expect(
      l6Converge(
        new Map([
          ['d', ['a']],
          ['e', ['b']],
        ]),
      ),
    ).toHaveLength(1)
    expect(
      [l7BackAlone('a', 'r', 1, 2), l7BackAlone('a', 'r', 3, 2)].map((one) => one.length),
    ).toEqual([0, 1])
    expect(
      [l8Completes('complete', []), l8Completes('halted', [])].map((one) => one.length),
    ).toEqual([0, 1])
    expect(l8Completes('complete', ['a'])).toHaveLength(1)
  })
})
