/**
 * Cut links between real daemons (acceptance 5): a minority starts nothing, still answers, and still
 * goes back when an operator says so; the majority carries on; healed, everybody holds the same.
 *
 * Five daemons in five network namespaces, four of them voters, three votes decide.
 */
import { readlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { AuditRow, FleetStatus, RolloutRow, RolloutStatus } from '../../node/index.ts'
import { suiteNeeds } from '../require.ts'
import { announce, baseOver, type PlanWish, signPlan, submitPlan } from './fleet-api.ts'
import { FleetProcesses, pause, until } from './fleet-processes.ts'
import { labIsPossible, NetworkLab } from './network-lab.ts'

const NAMES = ['host-1', 'host-2', 'host-3', 'host-4', 'host-5']
/** Rollouts of these tests take seconds; the rest is patience with a busy machine. */
const PATIENCE_MS = 90_000
/** How long nothing may change before nodes are compared. */
const QUIET_MS = 3_000

/** A machine that is busy answers late, and nobody may be taken for failed because of it. */
const PATIENT = { probeMs: 500, failRounds: 6, windowMs: 1_000 }

let lab: NetworkLab
let fleet: FleetProcesses
let version = 0

/** A release that every node holds, and the generation that it is. */
async function release(): Promise<{ id: string; generation: string }> {
  version += 1
  const from = { trust: fleet.trust, key: fleet.release, api: fleet.api('host-2') }
  const label = `v${version}`
  const { id, built } = await announce(from, { folder: fleet.folder, label, version })
  await until(PATIENCE_MS, `every node knows ${label}`, async () => {
    const all = await Promise.all(
      NAMES.map((name) =>
        fleet.api(name).get<{ items: { id: string; hosts: unknown }[] }>('/api/v1/releases'),
      ),
    )
    return all.every(({ items }) => items.some((one) => one.id === id && one.hosts !== null))
  })
  return { id, generation: built.generation }
}

async function deploy(
  at: string,
  wish: Omit<PlanWish, 'base'>,
  operator = 'alice',
): Promise<string> {
  const base = baseOver(await fleet.api(at).base(), wish.waves.flat())
  const plan = signPlan(fleet.trust, fleet.operator(operator), { ...wish, base })
  return await submitPlan(fleet.api(at), plan)
}

async function untilRollout(
  at: readonly string[],
  id: string,
  what: string,
  holds: (status: RolloutStatus) => boolean,
): Promise<void> {
  const look = async (): Promise<boolean> => {
    const all = await Promise.all(
      at.map((name) =>
        fleet
          .api(name)
          .rollout(id)
          .catch(() => undefined),
      ),
    )
    return all.every((status) => status !== undefined && holds(status))
  }
  await until(PATIENCE_MS, `${what} at ${at.join(', ')}`, look).catch(async (error: unknown) => {
    const [name = ''] = at
    throw new Error(`${error}\n${await picture(name, id)}`)
  })
}

/** Where a rollout stands, for the message of a failing test. */
async function picture(at: string, id: string): Promise<string> {
  const { state, waves, rejected } = await fleet.api(at).rollout(id)
  const hosts = waves.flatMap((wave) => wave.hosts)
  const lines = hosts.map(({ name, round, phase, why, detail }) =>
    [name, round, phase, why, detail].join(' '),
  )
  return [`${id.slice(0, 8)} ${state} ${rejected?.why ?? ''}`, ...lines].join('\n  ')
}

function phaseOf(status: RolloutStatus, host: string): string | null {
  const rows = status.waves.flatMap((wave) => wave.hosts)
  return rows.find((row) => row.name === host)?.phase ?? null
}

function allCommitted(status: RolloutStatus): boolean {
  return status.closed && NAMES.every((name) => phaseOf(status, name) === 'COMMITTED')
}

/** What a host runs and boots, read from its disk. */
function runs(host: string): string {
  const system = join(fleet.host(host).data, 'system')
  const running = basename(readlinkSync(join(system, 'running')))
  const link = readlinkSync(join(system, 'profiles', 'system'))
  expect(basename(readlinkSync(join(system, 'profiles', link))), `${host} boots`).toBe(running)
  return running
}

async function statusAt(host: string): Promise<FleetStatus & { head: string }> {
  return await fleet.api(host).fleet()
}

async function untilApart(host: string, reachable: number): Promise<void> {
  await until(PATIENCE_MS, `${host} sees ${reachable} voters`, async () => {
    const { voters } = await statusAt(host)
    return voters.filter((voter) => voter.reachable).length === reachable
  })
}

/** After a heal: equal digests and equal heads, also after some time in which nothing happens. */
async function expectAgreement(): Promise<number> {
  const startedAt = performance.now()
  const same = async (): Promise<boolean> => {
    const all = await Promise.all(NAMES.map(statusAt))
    return new Set(all.map(({ digest, head }) => `${digest} ${head}`)).size === 1
  }
  await until(PATIENCE_MS, 'all digests and log heads are equal', same)
  const seconds = (performance.now() - startedAt) / 1000
  await pause(QUIET_MS)
  const all = await Promise.all(NAMES.map(statusAt))
  expect(new Set(all.map(({ digest }) => digest)).size).toBe(1)
  expect(new Set(all.map(({ head }) => head)).size).toBe(1)
  expect(new Set(all.map(({ facts }) => facts)).size).toBe(1)
  return seconds
}

/** Status and audit answer in a minority, and say whose view this is. */
async function expectAnswers(at: string): Promise<void> {
  await untilApart(at, 1)
  const status = await fleet.cli(at, 'alice', ['status'])
  expect(status.exit, status.stderr).toBe(0)
  expect(status.stdout).toContain('1 of 4 voters are in reach, 3 are needed')
  const audit = await fleet.cli(at, 'alice', ['audit', 'log', '--json', '--limit', '500'])
  expect(audit.exit, audit.stderr).toBe(0)
  const { items } = JSON.parse(audit.stdout) as { items: AuditRow[] }
  expect(items.map((row) => row.action)).toContain('rollout.plan')
}

/** An operator at `at` sends `host` back, and the command ends well; gives its seconds. */
async function expectWayBack(at: string, host: string): Promise<number> {
  const startedAt = performance.now()
  const ran = await fleet.cli(at, 'alice', ['rollback', '--host', host, '--yes'])
  expect(ran.exit, ran.stdout + ran.stderr).toBe(0)
  return (performance.now() - startedAt) / 1000
}

/** A plan that is handed in where voters are missing is not decided, and the operator is told why; gives its id. */
async function deployInVain(at: string, supersedes: string): Promise<string> {
  await untilApart(at, 1)
  const ran = await fleet.cli(at, 'alice', [
    ...['deploy', '--supersede', supersedes, '--timeout', '2s', '--soak', '4s'],
  ])
  expect(ran.exit, ran.stdout + ran.stderr).toBe(5)
  expect(ran.stderr).toContain('NF-2104')
  expect(ran.stderr).toContain('3 of 4 voters must agree')
  const { items } = await fleet.api(at).get<{ items: RolloutRow[] }>('/api/v1/rollouts')
  expect(items[0]?.state).toBe('proposed')
  return items[0]?.id ?? ''
}

/** The host has gone back unconfirmed, in this round or in one before. */
function roundsBack(status: RolloutStatus, host: string): boolean {
  const row = status.waves.flatMap((wave) => wave.hosts).find((one) => one.name === host)
  return (row?.round ?? 0) > 0 || row?.phase === 'REVERTED'
}

const suite = suiteNeeds('root, ip and nft', labIsPossible)

suite('a fleet of five whose links are cut', () => {
  let first: { id: string; generation: string }
  let current: { id: string; generation: string }

  beforeAll(async () => {
    lab = new NetworkLab(NAMES)
    fleet = await FleetProcesses.create({
      label: 'cut',
      hosts: NAMES.length,
      voters: 4,
      timing: PATIENT,
      addressOf: (host) => lab.address(host),
      commandOf: (host) => lab.command(host),
    })
    await fleet.start()
    first = await release()
    const id = await deploy('host-1', { release: first.id, waves: [NAMES] })
    await untilRollout(NAMES, id, 'committed everywhere', allCommitted)
    current = await release()
  }, 120_000)

  afterEach(() => lab.heal())
  afterAll(async () => {
    await fleet?.destroy()
    lab?.destroy()
  })

  it('starts nothing in the minority, goes back there, decides in the majority, and heals', async () => {
    const minority = ['host-4', 'host-5']
    const majority = ['host-1', 'host-2', 'host-3']
    const waves = [['host-4'], ['host-1'], ['host-2', 'host-3', 'host-5']]
    const budget = { kind: 'count', count: 1 } as const
    const policy = { soakMs: 4_000, confirmMs: 10_000, budget }
    const id = await deploy('host-2', { release: current.id, waves, policy })
    await untilRollout(NAMES, id, 'host-1 is in flight', (status) => {
      const begun = ['PROBATION', 'CONFIRMED'].includes(phaseOf(status, 'host-1') ?? '')
      return phaseOf(status, 'host-4') === 'COMMITTED' && begun
    })
    lab.split(minority)
    const slotAtCut = (await statusAt('host-5')).gateSlot
    expect(runs('host-4')).toBe(current.generation)
    expect(runs('host-5')).toBe(first.generation)

    await expectAnswers('host-5')
    const backSeconds = await expectWayBack('host-5', 'host-4')
    expect(runs('host-4')).toBe(first.generation)
    const waiting = await deployInVain('host-4', id)

    // Of four observers only two see host-1: it is not confirmed, and goes back by its deadman. The
    // voters of the majority go on deciding: they start what the budget lets them start.
    await untilRollout(majority, id, 'host-1 is back and host-5 has a permit', (status) => {
      const { hosts = [] } = status.waves[2] ?? {}
      const permit = hosts.some((host) => host.name === 'host-5' && host.started)
      return permit && roundsBack(status, 'host-1')
    })
    const decided = (await statusAt('host-1')).gateSlot
    expect(decided).toBeGreaterThan(slotAtCut)
    for (const host of minority) {
      expect((await statusAt(host)).gateSlot).toBe(slotAtCut)
      expect(runs(host)).toBe(first.generation)
      expect(['STAGING', 'READY', null]).toContain(
        phaseOf(await fleet.api(host).rollout(id), 'host-5'),
      )
    }

    // The plan that waited in the minority supersedes the open one, and now it finds its quorum.
    lab.heal()
    await untilRollout(NAMES, waiting, 'committed everywhere', allCommitted)
    expect((await fleet.api('host-3').rollout(id)).state).toBe('superseded')
    const healSeconds = await expectAgreement()
    for (const name of NAMES) expect(runs(name)).toBe(current.generation)
    process.stdout.write(
      `partition 3|2: back in the minority ${backSeconds.toFixed(1)} s after the command was typed; slot ${slotAtCut} there, ${decided} in the majority; equal ${healSeconds.toFixed(1)} s after the end\n`,
    )
  }, 300_000)

  it('decides nothing while the voters are split in halves, and decides after the heal', async () => {
    const next = await release()
    lab.split(['host-3', 'host-4'])
    await untilApart('host-1', 2)
    await untilApart('host-4', 2)
    const before = new Map(NAMES.map((name) => [name, runs(name)]))
    const last = (await fleet.api('host-1').base()).hosts.map((row) => row.last)
    const supersedes = [...new Set(last)].filter((one) => one !== null)
    const id = await deploy('host-1', { release: next.id, waves: [NAMES], supersedes })
    await pause(5_000)
    for (const name of ['host-1', 'host-2', 'host-5']) {
      expect((await fleet.api(name).rollout(id)).state).toBe('proposed')
    }
    for (const name of NAMES) expect(runs(name)).toBe(before.get(name))
    lab.heal()
    await untilRollout(NAMES, id, 'committed everywhere', allCommitted)
    const healSeconds = await expectAgreement()
    for (const name of NAMES) expect(runs(name)).toBe(next.generation)
    process.stdout.write(`partition 2|2: equal ${healSeconds.toFixed(1)} s after the end\n`)
  }, 240_000)

  it('does without a host that hears and is not heard, which starts nothing, and takes it back', async () => {
    const next = await release()
    const before = runs('host-4')
    lab.mute('host-4')
    await untilApart('host-1', 3)
    const waves = [['host-5'], ['host-1', 'host-2', 'host-3', 'host-4']]
    const policy = { startTimeoutMs: 6_000 }
    const id = await deploy('host-1', { release: next.id, waves, policy })
    const others = NAMES.filter((name) => name !== 'host-4')
    await untilRollout(others, id, 'complete', (status) => status.state === 'complete')
    for (const name of others) expect(runs(name)).toBe(next.generation)
    expect(runs('host-4')).toBe(before)
    lab.heal()
    await untilRollout(NAMES, id, 'host-4 caught up', (status) => {
      return phaseOf(status, 'host-4') === 'COMMITTED'
    })
    const healSeconds = await expectAgreement()
    expect(runs('host-4')).toBe(next.generation)
    process.stdout.write(`one-way cut: equal ${healSeconds.toFixed(1)} s after the last host\n`)
  }, 240_000)
})
