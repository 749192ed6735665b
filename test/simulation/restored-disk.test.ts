/**
 * A disk that was put back from an older snapshot makes no liar of its host (SPEC §7.6), whoever is in
 * reach while it starts. What is asserted is what peers hold, never what the host says of itself.
 */
import { describe, expect, test } from 'vitest'
import { DEMO, type HostName } from '../../protocol/index.ts'
import { accusedIn, agree, report, restore, snapshotOf, write } from './disks.ts'
import { SimFleet } from './fleet.ts'

const PATIENCE_MS = DEMO.probeMs * 6
/** Long enough for several syncs of everybody with everybody. */
const REST_MS = 60_000

async function started(hosts: number, voters: number): Promise<SimFleet> {
  const fleet = new SimFleet({ hosts, voters, timing: DEMO, seed: hosts })
  await fleet.start()
  await fleet.clock.advance(5_000)
  return fleet
}

/** How many facts of this host every node holds, at least. */
function held(fleet: SimFleet, name: HostName): number {
  const key = fleet.host(name).keys.fact.publicKey
  const counts = fleet.nodes.map((node) =>
    [...node.facts.vector()]
      .filter(([feed]) => feed.startsWith(key))
      .reduce((sum, [, head]) => sum + head.seq + 1, 0),
  )
  return Math.min(...counts)
}

function sessionOf(fleet: SimFleet, name: HostName): string {
  return fleet.host(name).node?.own.session ?? ''
}

function speaks(fleet: SimFleet, name: HostName): boolean {
  return fleet.host(name).node?.own.speaks ?? false
}

async function rest(fleet: SimFleet): Promise<void> {
  await fleet.clock.advance(REST_MS)
  expect(accusedIn(fleet)).toEqual([])
  expect(agree(fleet)).toBe(true)
}

describe.each([
  ['a voter', 'host-02'],
  ['a host that does not vote', 'host-04'],
])('%s', (_, name) => {
  test('goes on in its session after a restart on its own disk', async () => {
    const fleet = await started(4, 3)
    const session = sessionOf(fleet, name)
    await write(fleet, name, 'health.change', report('b1'))
    fleet.crash(name)
    await fleet.boot(name)
    expect(speaks(fleet, name)).toBe(false)
    await expect(write(fleet, name, 'health.change', report('b2'))).rejects.toThrow(/does not sign/)
    expect(await fleet.until(PATIENCE_MS - 500, () => speaks(fleet, name))).toBe(true)
    expect(sessionOf(fleet, name)).toBe(session)
    await write(fleet, name, 'health.change', report('b2'))
    await rest(fleet)
  })

  test('takes a new session when a peer shows what its disk forgot', async () => {
    const fleet = await started(4, 3)
    const old = snapshotOf(fleet.host(name).disk)
    const session = sessionOf(fleet, name)
    await write(fleet, name, 'health.change', report('b1'))
    await write(fleet, name, 'health.change', report('b2'))
    await fleet.clock.advance(5_000)
    const before = held(fleet, name)
    await restore(fleet, name, old)
    expect(await fleet.until(PATIENCE_MS, () => speaks(fleet, name))).toBe(true)
    expect(sessionOf(fleet, name)).not.toBe(session)
    await write(fleet, name, 'health.change', report('b3'))
    await rest(fleet)
    expect(held(fleet, name)).toBeGreaterThan(before)
  })

  test('contradicts nothing that only a peer out of reach holds', async () => {
    const fleet = await started(4, 3)
    const old = snapshotOf(fleet.host(name).disk)
    const keeper = 'host-03'
    const others = fleet.names.filter((one) => one !== name && one !== keeper)
    fleet.hub.partition([name, keeper], others)
    await fleet.clock.advance(5_000)
    await write(fleet, name, 'health.change', report('b1'))
    await fleet.clock.advance(5_000)
    fleet.crash(keeper, Number.MAX_SAFE_INTEGER)
    fleet.hub.partition(fleet.names)
    await restore(fleet, name, old)
    expect(await fleet.until(PATIENCE_MS * 2, () => speaks(fleet, name))).toBe(true)
    await write(fleet, name, 'health.change', report('b2'))
    await fleet.clock.advance(5_000)
    const without = held(fleet, name)
    await fleet.boot(keeper)
    await rest(fleet)
    expect(held(fleet, name)).toBeGreaterThan(without)
  })

  test('alone, waits out its patience and contradicts nobody who comes back', async () => {
    const fleet = await started(4, 3)
    const old = snapshotOf(fleet.host(name).disk)
    await write(fleet, name, 'health.change', report('b1'))
    await fleet.clock.advance(5_000)
    const session = sessionOf(fleet, name)
    const others = fleet.names.filter((one) => one !== name)
    fleet.hub.partition([name], others)
    await restore(fleet, name, old)
    await fleet.clock.advance(PATIENCE_MS - 500)
    expect(speaks(fleet, name)).toBe(false)
    expect(await fleet.until(2_000, () => speaks(fleet, name))).toBe(true)
    expect(sessionOf(fleet, name)).not.toBe(session)
    await write(fleet, name, 'health.change', report('b2'))
    fleet.hub.partition(fleet.names)
    await rest(fleet)
  })

  test('that crashes at any moment of the decision is no liar either', async () => {
    const fleet = await started(4, 3)
    const old = snapshotOf(fleet.host(name).disk)
    await write(fleet, name, 'health.change', report('b1'))
    await fleet.clock.advance(5_000)
    await restore(fleet, name, old)
    const sessions = new Set<string>()
    for (let moment = 0; moment < 40; moment++) {
      await fleet.clock.advance(moment * 25)
      const { node } = fleet.host(name)
      if (speaks(fleet, name)) {
        await node?.run(() => node.author('health.change', report(`c${moment}`)))
        sessions.add(sessionOf(fleet, name))
      }
      fleet.crash(name, moment % 3)
      await fleet.boot(name)
    }
    expect(sessions.size).toBeGreaterThan(0)
    await fleet.until(PATIENCE_MS * 2, () => speaks(fleet, name))
    await write(fleet, name, 'health.change', report('last'))
    await rest(fleet)
  }, 60_000)
})

test('a fleet that starts anew, all at once, goes on in its sessions', async () => {
  const fleet = await started(4, 4)
  const sessions = fleet.names.map((name) => sessionOf(fleet, name))
  for (const name of fleet.names) fleet.crash(name)
  for (const name of fleet.names) await fleet.boot(name)
  const all = (): boolean => fleet.names.every((name) => speaks(fleet, name))
  expect(await fleet.until(PATIENCE_MS - 500, all)).toBe(true)
  expect(fleet.names.map((name) => sessionOf(fleet, name))).toEqual(sessions)
  await rest(fleet)
})

test('a host alone in its group asks nobody', async () => {
  const fleet = await started(1, 1)
  fleet.crash('host-01')
  await fleet.boot('host-01')
  expect(speaks(fleet, 'host-01')).toBe(true)
})
