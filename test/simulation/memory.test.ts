/** Nodes that begin with less than the others have: a lost disk, a late first start, an old copy. */
import { describe, expect, test } from 'vitest'
import { decodeGateMessage } from '../../node/gate-wire.ts'
import type { Runtime } from '../../node/runtime.ts'
import { DEMO, type HostName } from '../../protocol/index.ts'
import { CHEAP_SIGNER, type FleetOptions, generationOf, SimFleet } from './fleet.ts'
import { breaksLaw, digests, forkedLogs, logOf } from './laws.ts'

interface Lived {
  readonly fleet: SimFleet
  readonly broken: string[]
}

async function begun(
  options: Partial<FleetOptions> = {},
  boots?: readonly HostName[],
): Promise<Lived> {
  const broken: string[] = []
  const fleet = new SimFleet({
    ...{ hosts: 5, voters: 4, timing: DEMO, signer: CHEAP_SIGNER },
    log: (host, _, fields, message) => {
      if (breaksLaw(message)) broken.push(`${host}: ${message} ${JSON.stringify(fields)}`)
    },
    ...options,
  })
  for (const name of boots ?? fleet.names) await fleet.boot(name)
  await fleet.clock.advance(1_000)
  return { fleet, broken }
}

/** The node that the operator speaks to, as it runs now. */
function entry({ fleet }: Lived): Runtime {
  const { node } = fleet.host('host-01')
  if (node === undefined) throw new Error('host-01 does not run')
  return node
}

/** Deploys `version` to every host and waits for its end. */
async function deployed(lived: Lived, version: number): Promise<string> {
  const { fleet } = lived
  const first = entry(lived)
  const release = await fleet.announce(first, version)
  const rollout = await fleet.plan(
    first,
    release,
    [fleet.names],
    {},
    { budget: { kind: 'count', count: 1 } },
  )
  const closed = (): boolean => first.gate.state.rollouts.get(rollout)?.status === 'complete'
  expect(await fleet.until(120_000, closed)).toBe(true)
  return rollout
}

/** All nodes hold the same, and their logs are one log. */
async function agreed({ fleet, broken }: Lived, ms: number): Promise<void> {
  expect(await fleet.until(ms, () => digests(fleet) === 1)).toBe(true)
  expect(forkedLogs(fleet)).toEqual([])
  expect(broken).toEqual([])
}

describe('a node that lost its whole disk', () => {
  test.each(['host-01', 'host-03', 'host-05'])(
    '%s catches up from its peers alone',
    async (victim) => {
      const lived = await begun()
      const { fleet } = lived
      for (const version of [1, 2]) await deployed(lived, version)
      const sessions = sessionsOf(fleet, victim)
      fleet.loseDisk(victim)
      await fleet.clock.advance(3_000)
      const node = await fleet.boot(victim)
      await agreed(lived, 30_000)
      expect(logOf(fleet, victim)).toEqual(logOf(fleet, 'host-02'))
      const { view } = node.knowledge()
      for (const fact of view.plans.values()) expect(node.blobs.plan(fact.body.plan)).toBeDefined()
      for (const fact of view.releases.values())
        expect(node.blobs.manifest(fact.body.manifest)).toBeDefined()
      // Its own feed goes on under a new session; no sequence is used twice.
      await fleet.clock.advance(5_000)
      const after = sessionsOf(fleet, victim)
      expect(after).toHaveLength(sessions.length + 1)
      await agreed(lived, 10_000)
    },
  )

  test('it rests where it was, and goes on with the next rollout', async () => {
    const lived = await begun()
    const { fleet } = lived
    await deployed(lived, 1)
    fleet.loseDisk('host-04')
    await fleet.boot('host-04')
    await agreed(lived, 30_000)
    expect(fleet.host('host-04').machine.bootDefault).toBe(generationOf(1))
    await deployed(lived, 2)
    expect(fleet.names.map((name) => fleet.host(name).machine.bootDefault)).toEqual(
      fleet.names.map(() => generationOf(2)),
    )
    await agreed(lived, 30_000)
  })

  test('in probation it goes back by its deadman and counts the boot default as its own', async () => {
    const lived = await begun()
    const { fleet } = lived
    const first = entry(lived)
    const release = await fleet.announce(first, 1)
    await fleet.plan(first, release, [['host-05'], fleet.names.slice(0, 4)])
    const runs = (): boolean => fleet.host('host-05').machine.running === generationOf(1)
    expect(await fleet.until(30_000, runs, 20)).toBe(true)
    fleet.loseDisk('host-05')
    const node = await fleet.boot('host-05')
    const back = (): boolean => fleet.host('host-05').machine.running === generationOf(0)
    expect(await fleet.until(60_000, back)).toBe(true)
    expect(node.host.state.stack.map((entry) => entry.generation)).toEqual([generationOf(0)])
  })

  test('a voter never votes twice in one view, whatever it forgot', async () => {
    const lived = await begun({ hosts: 3, voters: 3, seed: 5 })
    const { fleet } = lived
    const cast = tapVotes(fleet)
    for (const version of [1, 2]) {
      await deployed(lived, version)
      for (const name of fleet.names) {
        fleet.loseDisk(name)
        await fleet.boot(name)
        await agreed(lived, 30_000)
      }
    }
    expect(cast.size).toBeGreaterThan(20)
    expect([...cast.values()].filter((blocks) => blocks.size > 1)).toEqual([])
  })
})

describe('a late joiner', () => {
  test('a host that starts for the first time after many rollouts agrees with the others', async () => {
    const lived = await begun({}, ['host-01', 'host-02', 'host-03', 'host-04'])
    const { fleet } = lived
    const rollouts = [await deployed(lived, 1), await deployed(lived, 2)]
    await fleet.boot('host-05')
    await agreed(lived, 60_000)
    expect(rollouts).toHaveLength(2)
  })

  test('a voter that missed hundreds of blocks catches up in one round, not in one a sync', async () => {
    const lived = await begun({ timing: { ...DEMO, anchorMs: 200 } })
    const { fleet } = lived
    const first = entry(lived)
    fleet.crash('host-04')
    const slot = first.gate.state.slot
    for (let i = 0; i < 400 && first.gate.state.slot < slot + 80; i++) {
      await fleet.sign(first, fleet.operator, 'rollout.halt', {
        rollout: 'a'.repeat(64),
        revert: false,
        why: `${i}`,
      })
      await fleet.clock.advance(250)
    }
    const head = first.gate.state.slot
    expect(head).toBeGreaterThanOrEqual(slot + 80)
    const node = await fleet.boot('host-04')
    expect(await fleet.until(2_500, () => node.gate.state.slot >= head)).toBe(true)
  })
})

function sessionsOf(fleet: SimFleet, name: HostName): readonly string[] {
  const key = fleet.host(name).keys.fact.publicKey
  const node = fleet.host('host-02').node
  return [...(node?.facts.vector().keys() ?? [])].filter((feed) => feed.startsWith(key))
}

/** Every vote that leaves any node: by voter, view and kind, the blocks that it names. */
function tapVotes(fleet: SimFleet): ReadonlyMap<string, ReadonlySet<string>> {
  const cast = new Map<string, Set<string>>()
  const gossip = fleet.hub.gossip.bind(fleet.hub)
  fleet.hub.gossip = (from, topic, bytes) => {
    if (topic === 'gate') note(fleet, cast, bytes)
    gossip(from, topic, bytes)
  }
  return cast
}

function note(fleet: SimFleet, cast: Map<string, Set<string>>, bytes: Uint8Array): void {
  const options = { trust: fleet.trust, whose: 'the tap', signer: CHEAP_SIGNER }
  const message = decodeGateMessage(bytes, options)
  if (message.kind !== 'vote') return
  const { voter, kind, body } = message.vote
  // A skip and a final of one view exclude each other: they share a ballot.
  const ballot = `${voter}/${body.view}/${kind === 'notarize' ? 'notarize' : 'end'}`
  const blocks = cast.get(ballot) ?? new Set()
  cast.set(ballot, blocks.add(body.block ?? 'skip'))
}
