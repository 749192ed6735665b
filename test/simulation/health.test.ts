/** The steady state on the shipped runtime: who answers, how current a log is, and what is never believed. */
import { describe, expect, test } from 'vitest'
import { reachRow } from '../../node/projection/reach.ts'
import type { Runtime } from '../../node/runtime.ts'
import { DEMO, type HostName } from '../../protocol/index.ts'
import { detectorSettings, ordersFor, suspicionMs } from '../../rollout/index.ts'
import { CHEAP_SIGNER, generationOf, SimFleet } from './fleet.ts'

const YEAR_MS = 365 * 24 * 3600_000
const VICTIM = 'host-06'
/** Not a voter; cut off while it holds a log that ends in the start of an old rollout. */
const PAST = 'host-05'

async function started(hosts = 6): Promise<SimFleet> {
  const fleet = new SimFleet({ hosts, voters: 4, timing: DEMO, signer: CHEAP_SIGNER })
  await fleet.start()
  return fleet
}

function nodeOf(fleet: SimFleet, name: HostName): Runtime {
  const { node } = fleet.host(name)
  if (node === undefined) throw new Error(`${name} does not run`)
  return node
}

async function finished(fleet: SimFleet, rollout: string): Promise<void> {
  const first = nodeOf(fleet, 'host-01')
  const done = (): boolean => first.gate.state.rollouts.get(rollout)?.status === 'complete'
  expect(await fleet.until(240_000, done)).toBe(true)
}

/** Release 1 is rolled out while PAST is cut off in the middle of it; then release 2 everywhere else. */
async function livedOn(): Promise<{ fleet: SimFleet; old: string }> {
  const fleet = await started()
  const first = nodeOf(fleet, 'host-01')
  const budget = { budget: { kind: 'count', count: 2 } } as const
  const waves = [fleet.names]
  const old = await fleet.plan(first, await fleet.announce(first, 1), waves, {}, budget)
  const past = nodeOf(fleet, PAST)
  const sees = (): boolean => past.gate.state.rollouts.get(old)?.starts.has(VICTIM) === true
  expect(await fleet.until(60_000, sees, 20)).toBe(true)
  const rest = fleet.names.filter((name) => name !== PAST)
  fleet.hub.partition(rest, [PAST])
  await finished(fleet, old)
  const next = await fleet.plan(first, await fleet.announce(first, 2), [rest], {}, budget)
  await finished(fleet, next)
  expect(fleet.host(VICTIM).machine.running).toBe(generationOf(2))
  expect(past.gate.state.rollouts.get(old)?.status).toBe('open')
  return { fleet, old }
}

describe('a wiped host whose clock is a year back', () => {
  test('takes up nothing of an old prefix that a peer replays, and says why', async () => {
    const { fleet, old } = await livedOn()
    const { machine } = fleet.host(VICTIM)
    const generations: string[] = []
    fleet.loseDisk(VICTIM)
    fleet.hub.partition(['host-01', 'host-02', 'host-03', 'host-04'], [PAST, VICTIM])
    const node = await fleet.boot(VICTIM, fleet.clock.view({ wallMs: -YEAR_MS }))
    const caughtUp = (): boolean => node.gate.state.rollouts.get(old)?.starts.has(VICTIM) === true
    expect(await fleet.until(60_000, caughtUp)).toBe(true)
    // Its orders would be to start release 1: the old log says so, and nothing in it is false.
    expect(ordersFor(node.knowledge(), VICTIM).rollouts.some((one) => one.start)).toBe(true)
    for (let i = 0; i < 120; i++) {
      await fleet.clock.advance(1_000)
      generations.push(machine.running)
    }
    expect(new Set(generations)).toEqual(new Set([generationOf(2)]))
    expect(node.host.state.rollouts).toEqual([])
    expect(node.freshness.now).toMatchObject({ state: 'unknown', confirmedAgeMs: null })
    expect(node.freshness.held).toMatch(
      /^freshness unknown: the log here ends at slot \d+ and 3 of 4/,
    )
  })

  test('still takes up nothing after a restart on the replayed log', async () => {
    const { fleet, old } = await livedOn()
    fleet.loseDisk(VICTIM)
    fleet.hub.partition(['host-01', 'host-02', 'host-03', 'host-04'], [PAST, VICTIM])
    const node = await fleet.boot(VICTIM)
    const caughtUp = (): boolean => node.gate.state.rollouts.get(old)?.starts.has(VICTIM) === true
    expect(await fleet.until(60_000, caughtUp)).toBe(true)
    await fleet.clock.advance(5_000)
    fleet.crash(VICTIM)
    const again = await fleet.boot(VICTIM)
    await fleet.clock.advance(30_000)
    expect(again.gate.state.slot).toBeGreaterThan(0)
    expect(again.host.state.rollouts).toEqual([])
    expect(again.freshness.held).toBeDefined()
  })

  test('with too few voters to confirm it is told what it lacks; with a quorum it rests where it was', async () => {
    const { fleet, old } = await livedOn()
    const { machine } = fleet.host(VICTIM)
    fleet.loseDisk(VICTIM)
    // Two of four voters are no quorum: they prove that there is more, and nothing else.
    fleet.hub.partition(['host-03', 'host-04'], ['host-01', 'host-02', PAST, VICTIM])
    const node = await fleet.boot(VICTIM, fleet.clock.view({ wallMs: -YEAR_MS }))
    await fleet.clock.advance(60_000)
    expect(node.freshness.now.state).toBe('unknown')
    expect(node.freshness.held).toBeDefined()
    fleet.hub.healAll()
    const current = (): boolean => node.freshness.now.state === 'current'
    expect(await fleet.until(60_000, current)).toBe(true)
    expect(node.freshness.held).toBeUndefined()
    await fleet.clock.advance(60_000)
    expect(machine.running).toBe(generationOf(2))
    const started = node.host.state.rollouts.filter((one) => one.ran)
    expect(started).toEqual([])
    expect(node.gate.state.rollouts.get(old)?.status).not.toBe('open')
  })

  test('is refused a lease for the old start by the voters, even where its log is believed', async () => {
    const { fleet, old } = await livedOn()
    fleet.hub.healAll()
    const node = nodeOf(fleet, VICTIM)
    const { answerLeaseRequest } = await import('../../node/lease-desk.ts')
    const { GrantJournal } = await import('../../node/grant-journal.ts')
    for (const voter of ['host-01', 'host-02', 'host-03', 'host-04']) {
      const desk = nodeOf(fleet, voter)
      const grants = new GrantJournal(desk.parts.store)
      await grants.load()
      const asked = {
        nonce: '00'.repeat(16),
        rollout: old,
        round: 0,
        epoch: 1,
        have: node.gate.state.head,
      }
      const answer = answerLeaseRequest(desk, grants, asked, VICTIM)
      expect(answer).toMatchObject({ granted: false })
    }
  })
})

describe('freshness', () => {
  test('every host of a young fleet is current within seconds, also with one voter dead', async () => {
    const fleet = new SimFleet({ hosts: 5, voters: 4, timing: DEMO, signer: CHEAP_SIGNER })
    const alive = fleet.names.filter((name) => name !== 'host-04')
    for (const name of alive) await fleet.boot(name)
    const all = (): boolean =>
      alive.every((name) => nodeOf(fleet, name).freshness.now.state === 'current')
    expect(await fleet.until(15_000, all)).toBe(true)
  })

  test('a host that no quorum answers for a day reports itself stale, and is well again afterwards', async () => {
    const slow = { ...DEMO, probeMs: 60_000, windowMs: 120_000, anchorMs: 86_400_000 }
    const fleet = new SimFleet({ hosts: 4, voters: 3, timing: slow, signer: CHEAP_SIGNER })
    await fleet.start()
    const victim = nodeOf(fleet, 'host-04')
    expect(
      await fleet.until(1_200_000, () => victim.freshness.now.state === 'current', 10_000),
    ).toBe(true)
    await fleet.until(3_600_000, () => victim.knowledge().view.health.has('host-04'), 60_000)
    fleet.hub.partition(['host-01', 'host-02', 'host-03'], ['host-04'])
    await fleet.clock.advance(23 * 3600_000)
    expect(victim.freshness.now.state).toBe('current')
    await fleet.clock.advance(3 * 3600_000)
    expect(victim.freshness.now.state).toBe('stale')
    const said = (): string | undefined => victim.knowledge().view.health.get('host-04')?.body.state
    expect(said()).toBe('stale')
    fleet.hub.healAll()
    expect(await fleet.until(3 * 3600_000, () => said() === 'healthy', 60_000)).toBe(true)
  })
})

describe('the failure detector on the shipped runtime', () => {
  test('a host that dies is unreachable for all, with who says so, and alive again when it is back', async () => {
    const fleet = await started(5)
    await fleet.clock.advance(20_000)
    const states = (host: HostName): readonly string[] =>
      fleet.nodes
        .filter((node) => node.parts.name !== host)
        .map((node) => reachRow(node, host).state)
    expect(new Set(states('host-05'))).toEqual(new Set(['alive']))
    fleet.crash('host-05')
    const settings = detectorSettings({ self: '', members: fleet.names, probeMs: DEMO.probeMs })
    const boundMs = suspicionMs(settings, 1) + 20 * settings.periodMs
    const gone = (): boolean => states('host-05').every((state) => state === 'unreachable')
    expect(await fleet.until(boundMs, gone)).toBe(true)
    const row = reachRow(nodeOf(fleet, 'host-01'), 'host-05')
    expect(row.accusers.length).toBeGreaterThan(0)
    expect(row.seenAgeMs).toBeGreaterThan(0)
    await fleet.boot('host-05')
    const back = (): boolean => states('host-05').every((state) => state === 'alive')
    expect(await fleet.until(10_000, back)).toBe(true)
  })

  test('a member that one cannot reach is heard through the others', async () => {
    const fleet = await started(5)
    await fleet.clock.advance(10_000)
    fleet.hub.cut('host-01', 'host-05')
    await fleet.clock.advance(60_000)
    const row = reachRow(nodeOf(fleet, 'host-01'), 'host-05')
    expect(row.state).toBe('alive')
    expect(nodeOf(fleet, 'host-01').parts.network.peers()).not.toContain('host-05')
  })
})
