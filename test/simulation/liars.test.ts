/**
 * Members that contradict themselves (SPEC §6.7): two branches of one feed, two votes in one view.
 * Liars are keys in the hands of the test; every node is the shipped one.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeGateMessage } from '../../node/gate-wire.ts'
import {
  DEMO,
  type Fact,
  type FactBodies,
  type FactType,
  feedKey,
  type HostName,
  type KeyPair,
  NO_FACT,
  sealBlock,
  sealFact,
  sealVote,
} from '../../protocol/index.ts'
import { accusedVoters, frozenBy } from '../../rollout/index.ts'
import { agree } from './disks.ts'
import { generationOf, SimFleet } from './fleet.ts'
import { assertReplays } from './replayed.ts'

const SESSION = '5e'.repeat(16)

/** An author that writes what it likes, on as many branches of one feed as it likes. */
class Branch {
  readonly facts: Fact[]
  readonly #fleet: SimFleet
  readonly #key: KeyPair
  readonly #session: string

  constructor(fleet: SimFleet, key: KeyPair, from: readonly Fact[] = [], session = SESSION) {
    this.#fleet = fleet
    this.#key = key
    this.facts = [...from]
    this.#session = session
  }

  say<T extends FactType>(type: T, body: FactBodies[T]): this {
    const last = this.facts.at(-1)
    const place = { seq: this.facts.length, prev: last?.id ?? NO_FACT, session: this.#session }
    const draft = { type, body, ...place, epoch: 1, ts: 0 }
    this.facts.push(sealFact(draft, { fleet: this.#fleet.trust.fleet, key: this.#key }) as Fact)
    return this
  }

  talk(words: string, count: number): this {
    for (let i = 0; i < count; i++) {
      this.say('health.change', { generation: words, boot: `${i}`, state: 'healthy', checks: [] })
    }
    return this
  }

  /** Hands the branch to one node, as a peer that holds it would. */
  async tell(name: HostName, from: HostName): Promise<void> {
    const { node } = this.#fleet.host(name)
    await node?.run(() =>
      node.take(
        this.facts.map((fact) => fact.bytes),
        from,
      ),
    )
  }
}

async function started(hosts: number, voters: number): Promise<SimFleet> {
  const fleet = new SimFleet({ hosts, voters, timing: DEMO, seed: hosts })
  await fleet.start()
  await fleet.clock.advance(4_000)
  return fleet
}

function forked(fleet: SimFleet, feed: string): number {
  return fleet.nodes.filter((node) => node.knowledge().view.forks.has(feed)).length
}

function heads(fleet: SimFleet, feed: string): readonly (number | undefined)[] {
  return fleet.nodes.map((node) => node.facts.vector().get(feed)?.seq)
}

describe('an author with two branches', () => {
  test('is proven to everybody, and two nodes that saw different branches end alike (S11, S18)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(4),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        fc.boolean(),
        async (common, mine, theirs, apart) => {
          const fleet = await started(4, 4)
          const { fact: key } = fleet.host('host-04').keys
          const trunk = new Branch(fleet, key).talk('trunk', common)
          const a = new Branch(fleet, key, trunk.facts).talk('a', mine)
          const b = new Branch(fleet, key, trunk.facts).talk('b', theirs)
          if (apart) fleet.hub.partition(['host-01', 'host-02'], ['host-03', 'host-04'])
          await a.tell('host-01', 'host-02')
          await b.tell('host-03', 'host-02')
          await fleet.clock.advance(3_000)
          fleet.hub.healAll()
          await fleet.clock.advance(30_000)
          const feed = feedKey(key.publicKey, SESSION)
          const fork = fleet.nodes[0]?.knowledge().view.forks.get(feed)?.lie.place
          expect(forked(fleet, feed)).toBe(4)
          expect(fork).toMatchObject({ in: 'feed', seq: common })
          expect(agree(fleet)).toBe(true)
          await assertReplays(fleet)
        },
      ),
      { numRuns: 12 },
    )
  }, 120_000)

  test('holds up no other feed: a rollout over the others completes', async () => {
    const fleet = await started(4, 4)
    const { fact: key } = fleet.host('host-04').keys
    const trunk = new Branch(fleet, key).talk('trunk', 2)
    fleet.hub.partition(['host-01', 'host-02'], ['host-03', 'host-04'])
    await new Branch(fleet, key, trunk.facts).talk('a', 3).tell('host-01', 'host-02')
    await new Branch(fleet, key, trunk.facts).talk('b', 2).tell('host-03', 'host-04')
    await fleet.clock.advance(2_000)
    fleet.hub.healAll()
    const entry = fleet.nodes[0]
    if (entry === undefined) throw new Error('no node')
    const release = await fleet.announce(entry, 1)
    await fleet.clock.advance(1_000)
    const rollout = await fleet.plan(entry, release, [['host-01'], ['host-02', 'host-03']])
    const closed = (): boolean => entry.gate.state.rollouts.get(rollout)?.status === 'complete'
    expect(await fleet.until(120_000, closed)).toBe(true)
    await fleet.clock.advance(30_000)
    expect(fleet.host('host-03').machine.running).toBe(generationOf(1))
    expect(forked(fleet, feedKey(key.publicKey, SESSION))).toBe(4)
    expect(agree(fleet)).toBe(true)
    await assertReplays(fleet)
  })

  test('keeps the branch that the log pinned, also at a node that held the other', async () => {
    const fleet = await started(4, 3)
    const key = fleet.operator
    const a = new Branch(fleet, key).talk('a', 4)
    const b = new Branch(fleet, key).talk('b', 6)
    fleet.hub.partition(['host-01', 'host-02', 'host-03'], ['host-04'])
    await a.tell('host-01', 'host-02')
    await b.tell('host-04', 'host-02')
    await fleet.clock.advance(10_000)
    const entry = fleet.nodes[0]
    if (entry === undefined) throw new Error('no node')
    const release = await fleet.announce(entry, 1)
    await fleet.clock.advance(1_000)
    const rollout = await fleet.plan(entry, release, [['host-01']])
    const admitted = (): boolean => entry.gate.state.rollouts.has(rollout)
    expect(await fleet.until(30_000, admitted)).toBe(true)
    const feed = feedKey(key.publicKey, SESSION)
    const pinned = entry.gate.state.evidence.vector.get(feed)
    expect(pinned?.seq).toBe(3)
    fleet.hub.healAll()
    await fleet.clock.advance(60_000)
    expect(forked(fleet, feed)).toBe(4)
    expect(heads(fleet, feed)).toEqual([3, 3, 3, 3])
    expect(fleet.nodes.map((node) => node.facts.vector().get(feed)?.id)).toEqual(
      Array.from({ length: 4 }, () => pinned?.id),
    )
    expect(agree(fleet)).toBe(true)
    await assertReplays(fleet)
  })

  test('takes no halt back: one on a dropped branch stands, also after a restart', async () => {
    const fleet = await started(4, 4)
    const rollout = 'ab'.repeat(32)
    const key = fleet.operator
    const halt = { rollout, revert: true, why: 'stop' }
    const a = new Branch(fleet, key).say('rollout.halt', halt)
    const b = new Branch(fleet, key).talk('b', 1)
    fleet.hub.partition(['host-01'], ['host-02', 'host-03', 'host-04'])
    await a.tell('host-01', 'host-02')
    await b.tell('host-02', 'host-03')
    await fleet.clock.advance(2_000)
    fleet.hub.healAll()
    await fleet.clock.advance(30_000)
    const feed = feedKey(key.publicKey, SESSION)
    const halted = (): number =>
      fleet.nodes.filter((node) => node.knowledge().view.rollouts.get(rollout)?.halts.size === 1)
        .length
    expect(heads(fleet, feed)).toEqual([undefined, undefined, undefined, undefined])
    expect(halted()).toBe(4)
    for (const name of fleet.names) fleet.crash(name)
    for (const name of fleet.names) await fleet.boot(name)
    await fleet.clock.advance(10_000)
    expect(halted()).toBe(4)
    expect(agree(fleet)).toBe(true)
    await assertReplays(fleet)
  })

  test('cannot take a proof back by forking the feed that brought it', async () => {
    const fleet = await started(4, 4)
    const { fact: liar } = fleet.host('host-04').keys
    const { fact: witness } = fleet.host('host-03').keys
    fleet.hub.partition(['host-01', 'host-02'], ['host-03', 'host-04'])
    await new Branch(fleet, liar).talk('a', 1).tell('host-01', 'host-02')
    await new Branch(fleet, liar).talk('b', 1).tell('host-02', 'host-01')
    await fleet.clock.advance(3_000)
    fleet.hub.healAll()
    await fleet.clock.advance(10_000)
    const feed = feedKey(liar.publicKey, SESSION)
    expect(forked(fleet, feed)).toBe(4)
    for (const node of fleet.nodes) {
      const { fact } = node.knowledge().view.forks.get(feed) ?? {}
      if (fact === undefined) throw new Error('expected a proof')
      const author = [...fleet.hosts.values()].find(
        (one) => one.keys.fact.publicKey === fact.author,
      )
      const other = new Branch(fleet, author?.keys.fact ?? witness, [], fact.session).talk('x', 1)
      await node.run(() => node.take([other.facts[0]?.bytes ?? new Uint8Array()], 'host-01'))
    }
    await fleet.clock.advance(30_000)
    expect(forked(fleet, feed)).toBe(4)
    expect(agree(fleet)).toBe(true)
    await assertReplays(fleet)
  })
})

/** Two notarize votes of a voter in a view that is open, told to everybody. */
function voteTwice(fleet: SimFleet, name: HostName, view: number): void {
  const by = { fleet: fleet.trust.fleet, key: fleet.host(name).keys.fact }
  for (const block of ['aa', 'bb']) {
    const place = { group: 'site', epoch: 1, view, block: block.repeat(32) }
    const vote = sealVote('notarize', place, by)
    fleet.hub.gossip(name, 'gate', encodeGateMessage({ kind: 'vote', vote }))
  }
}

describe('a voter with two votes', () => {
  test('is proven to everybody, and a group that tolerates it goes on', async () => {
    const fleet = await started(5, 4)
    const entry = fleet.nodes[0]
    if (entry === undefined) throw new Error('no node')
    voteTwice(fleet, 'host-04', entry.gate.machine.view)
    await fleet.clock.advance(20_000)
    const liar = fleet.host('host-04').keys.fact.publicKey
    for (const node of fleet.nodes) {
      if (node.parts.name === 'host-04') continue
      const { trust, view } = node.knowledge()
      expect([...accusedVoters(trust, view)]).toEqual([liar])
      expect(frozenBy(trust, view)).toBeUndefined()
    }
    const release = await fleet.announce(entry, 1)
    await fleet.clock.advance(1_000)
    const rollout = await fleet.plan(entry, release, [['host-01'], ['host-05']])
    const closed = (): boolean => entry.gate.state.rollouts.get(rollout)?.status === 'complete'
    expect(await fleet.until(120_000, closed)).toBe(true)
    await assertReplays(fleet)
  })

  test('freezes a group that tolerates no liar; what runs there still goes back', async () => {
    const fleet = await started(3, 3)
    const entry = fleet.nodes[0]
    if (entry === undefined) throw new Error('no node')
    const release = await fleet.announce(entry, 1)
    await fleet.clock.advance(1_000)
    const rollout = await fleet.plan(entry, release, [['host-01'], ['host-02']])
    const closed = (): boolean => entry.gate.state.rollouts.get(rollout)?.status === 'complete'
    expect(await fleet.until(120_000, closed)).toBe(true)
    voteTwice(fleet, 'host-03', entry.gate.machine.view)
    await fleet.clock.advance(20_000)
    const { trust, view } = entry.knowledge()
    expect(frozenBy(trust, view)).toMatch(/host-03/)
    const decided = [...entry.gate.state.rollouts]
    const next = await fleet.plan(entry, await fleet.announce(entry, 2), [['host-01']])
    await fleet.clock.advance(60_000)
    expect([...entry.gate.state.rollouts]).toEqual(decided)
    expect(entry.gate.state.rollouts.has(next)).toBe(false)
    expect(fleet.host('host-02').machine.running).toBe(generationOf(1))
    await fleet.sign(entry, fleet.operator, 'rollout.halt', { rollout, revert: true, why: 'back' })
    const back = (): boolean =>
      ['host-01', 'host-02'].every((name) => fleet.host(name).machine.running === generationOf(0))
    expect(await fleet.until(60_000, back)).toBe(true)
    await assertReplays(fleet)
  })

  test('is voted out of a group that tolerates no liar by the others alone, and that goes on', async () => {
    const fleet = await started(4, 3)
    const entry = fleet.nodes[0]
    if (entry === undefined) throw new Error('no node')
    voteTwice(fleet, 'host-03', entry.gate.machine.view)
    const liar = fleet.host('host-03').keys.fact.publicKey
    const pinned = (): boolean =>
      [...entry.gate.state.evidence.lies.values()].some(({ lie }) => lie.accused === liar)
    expect(await fleet.until(20_000, pinned), 'the log shows the proof at once').toBe(true)
    await fleet.configure(entry, {
      remove: ['host-03'],
      voters: ['host-01', 'host-02', 'host-04'],
    })
    voteTwice(fleet, 'host-03', entry.gate.machine.view)
    const entered = (): boolean => entry.gate.state.epoch === 2
    expect(await fleet.until(60_000, entered)).toBe(true)
    for await (const { block, certificate } of entry.gate.log.committed({ epoch: 0, view: 0 })) {
      if (!block.body.commands.some(({ kind }) => kind === 'reconfig')) continue
      const others = certificate.votes.filter(({ voter }) => voter !== liar)
      expect(others.length).toBeGreaterThanOrEqual(2)
    }
    const release = await fleet.announce(entry, 1)
    await fleet.clock.advance(1_000)
    const rollout = await fleet.plan(entry, release, [['host-01'], ['host-04']])
    const closed = (): boolean => entry.gate.state.rollouts.get(rollout)?.status === 'complete'
    expect(await fleet.until(120_000, closed)).toBe(true)
    await assertReplays(fleet)
  })

  test('or with two proposals that are too large for a fact, is proven as well', async () => {
    const fleet = await started(5, 4)
    const entry = fleet.nodes[0]
    if (entry === undefined) throw new Error('no node')
    const { config, view } = entry.gate.machine
    const turn = Number.parseInt(config.genesis.slice(0, 8), 16)
    const leader = config.voters[(view + turn) % config.voters.length] ?? ''
    const liar = [...fleet.hosts.values()].find((one) => one.keys.fact.publicKey === leader)
    if (liar === undefined) throw new Error('no leader')
    const basis = Array.from({ length: 40 }, (_, i) => ({
      author: leader,
      session: i.toString(16).padStart(32, '0'),
      seq: i,
      head: 'cd'.repeat(32),
    }))
    for (const parent of ['aa', 'bb']) {
      const place = { group: 'site', epoch: 1, view, parent: parent.repeat(32) }
      const body = { ...place, commands: [], rootVersion: 1, basis }
      const block = sealBlock(body, { fleet: fleet.trust.fleet, key: liar.keys.fact })
      fleet.hub.gossip(liar.name, 'gate', encodeGateMessage({ kind: 'block', block }))
    }
    await fleet.clock.advance(30_000)
    const others = fleet.nodes.filter((node) => node.parts.name !== liar.name)
    expect(others.map((node) => node.knowledge().view.accusations.size > 0)).not.toContain(false)
    for (const node of others) {
      const knowledge = node.knowledge()
      expect([...accusedVoters(knowledge.trust, knowledge.view)]).toEqual([leader])
    }
  })
})
