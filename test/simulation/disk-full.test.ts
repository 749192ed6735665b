/**
 * A disk that refuses: for one write, for a while, at every moment of a rollout. Nothing that was
 * decided is lost, nothing is promised that is not on the disk, and the node goes on by itself.
 */
import { describe, expect, test } from 'vitest'
import { NodeError } from '../../node/errors.ts'
import type { Runtime } from '../../node/runtime.ts'
import { DEMO } from '../../protocol/index.ts'
import { CHEAP_SIGNER, generationOf, SimFleet } from './fleet.ts'
import { breaksLaw, digests, forkedLogs, restless, withoutWayBack } from './laws.ts'

interface Run {
  readonly fleet: SimFleet
  readonly first: Runtime
  readonly broken: string[]
}

async function begun(hosts: number): Promise<Run> {
  const broken: string[] = []
  const fleet = new SimFleet({
    ...{ hosts, voters: hosts, timing: DEMO, signer: CHEAP_SIGNER },
    log: (host, _, fields, message) => {
      if (breaksLaw(message)) broken.push(`${host}: ${message} ${JSON.stringify(fields)}`)
    },
  })
  await fleet.start()
  const first = fleet.host('host-01').node
  if (first === undefined) throw new Error('host-01 does not run')
  return { fleet, first, broken }
}

/** Lets the disk of a host refuse from its `from`-th write on, for `ms`. Gives the count of writes. */
function refuse(fleet: SimFleet, name: string, from: number, ms: number): () => number {
  const { disk } = fleet.host(name)
  const apply = disk.apply.bind(disk)
  let writes = 0
  let until: number | undefined
  disk.apply = (ops, sync) => {
    if (writes++ >= from) until ??= fleet.clock.bootMs() + ms
    if (until !== undefined && fleet.clock.bootMs() < until) {
      throw new NodeError('STORE_FULL', 'expected room, found none', 'Wait.')
    }
    apply(ops, sync)
  }
  return () => writes
}

async function deploy({ fleet, first }: Run): Promise<() => string | undefined> {
  const release = await fleet.announce(first, 1)
  const budget = { kind: 'count', count: 1 } as const
  const rollout = await fleet.plan(first, release, [fleet.names], {}, { budget })
  return () => first.gate.state.rollouts.get(rollout)?.status
}

/** One deploy to a host that is alone, with a disk that refuses from one write on. */
async function alone(from: number, ms: number): Promise<number> {
  const run = await begun(1)
  const { fleet, broken } = run
  const status = await deploy(run)
  const writes = refuse(fleet, 'host-01', from, ms)
  const done = (): boolean => fleet.host('host-01').machine.bootDefault === generationOf(1)
  for (let passed = 0; passed < 90_000 && !(done() && status() === 'complete'); passed += 100) {
    await fleet.clock.advance(100)
    broken.push(...(await withoutWayBack(fleet)))
  }
  await fleet.clock.advance(3_000)
  expect({ from, status: status(), broken, rest: await restless(fleet) }).toEqual({
    ...{ from, status: 'complete', broken: [], rest: [] },
  })
  return writes()
}

describe('a host alone', () => {
  test('completes its rollout whichever write the disk refuses', async () => {
    const count = await alone(Number.POSITIVE_INFINITY, 0)
    expect(count).toBeGreaterThan(30)
    for (let from = 0; from < count; from++) await alone(from, 600)
  })

  test('says that it refuses, takes nothing, and goes on when there is room', async () => {
    const { fleet, first } = await begun(1)
    const { disk } = fleet.host('host-01')
    disk.full = true
    await expect(deploy({ fleet, first, broken: [] })).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(first.disk.trouble).toMatchObject({ code: 'STORE_FULL' })
    expect(first.facts.count).toBe(factsOn(fleet))
    disk.full = false
    expect(await fleet.until(10_000, () => first.disk.trouble === undefined)).toBe(true)
    const status = await deploy({ fleet, first, broken: [] })
    expect(await fleet.until(60_000, () => status() === 'complete')).toBe(true)
  })

  test('is sent back by its deadman while its disk is full, and knows it afterwards', async () => {
    const { fleet, first } = await begun(1)
    const { disk, machine } = fleet.host('host-01')
    await deploy({ fleet, first, broken: [] })
    const runs = (): boolean => machine.running === generationOf(1)
    expect(await fleet.until(60_000, runs, 10)).toBe(true)
    disk.full = true
    await fleet.clock.advance(60_000)
    expect(machine.running).toBe(generationOf(0))
    expect(await withoutWayBack(fleet)).toEqual([])
    disk.full = false
    await fleet.clock.advance(10_000)
    const said = [...first.knowledge().view.rollouts.values()].flatMap((rollout) => [
      ...(rollout.hosts.get('host-01')?.get(0)?.transitions.keys() ?? []),
    ])
    expect(said).toContain('REVERTED')
  })
})

describe('one full disk among three', () => {
  test.each([0, 9, 18, 27, 36, 45, 60, 80])(
    'from its write %i on for a while harms nobody',
    async (from) => {
      const run = await begun(3)
      const { fleet, broken } = run
      const status = await deploy(run)
      refuse(fleet, 'host-02', from, 4_000)
      expect(await fleet.until(120_000, () => (status() ?? 'open') !== 'open')).toBe(true)
      await fleet.clock.advance(10_000)
      expect(forkedLogs(fleet)).toEqual([])
      expect(await restless(fleet)).toEqual([])
      expect(await fleet.until(20_000, () => digests(fleet) === 1)).toBe(true)
      expect(broken).toEqual([])
    },
  )
})

describe('what leaves a node', () => {
  test('is on its disk, with fsync, before anybody can hear it', async () => {
    const run = await begun(3)
    const { fleet } = run
    const early: string[] = []
    let heard = 0
    const gossip = fleet.hub.gossip.bind(fleet.hub)
    fleet.hub.gossip = (from, topic, bytes) => {
      heard++
      const { disk } = fleet.host(from)
      const synced = disk.unsynced === 0
      const held = disk
        .slice(topic === 'gate' ? 'gate/' : 'fact/', topic === 'gate' ? 'gate0' : 'fact0')
        .some(([, value]) => contains(value, bytes))
      if (topic === 'gate' && bytes[0] === 0 && !(held && synced)) early.push(`${from} ${topic}`)
      if (topic !== 'gate' && !held) early.push(`${from} ${topic}`)
      gossip(from, topic, bytes)
    }
    const status = await deploy(run)
    expect(await fleet.until(60_000, () => status() === 'complete')).toBe(true)
    expect(heard).toBeGreaterThan(50)
    expect(early).toEqual([])
  })
})

function contains(value: Uint8Array, bytes: Uint8Array): boolean {
  return Buffer.from(value).includes(Buffer.from(bytes))
}

function factsOn(fleet: SimFleet): number {
  return fleet.host('host-01').disk.slice('fact/', 'fact0').length
}
