/**
 * A group changes while it works, in real processes: all four voters are replaced one by one while a
 * rollout is open, which goes on and completes; then two voters are lost with their disks, and the
 * admins go on without them. At the end every node that is left tells one story.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeKeyFile } from '../../cli/key-file.ts'
import type { FleetStatus, ForkRow, PeerRow, WhyHost } from '../../node/index.ts'
import type { Ran } from '../cli/script.ts'
import { announce, baseOver, signed, signPlan, submitPlan } from './fleet-api.ts'
import { FleetProcesses, until } from './fleet-processes.ts'
import { type ChainBlock, chainOf } from './gate-chain.ts'

const MS_MAX = 120_000
/** The host that the operator talks to: it is no voter at first, and stays to the end. */
const DESK = 'host-5'
/** An observer's window is 4 s: after this long without news there will be none. */
const REST_MS = 6_000

let fleet: FleetProcesses

beforeAll(async () => {
  fleet = await FleetProcesses.create({
    label: 'reconfig',
    hosts: 6,
    later: 4,
    voters: 4,
    // Slow probes: on a busy machine a second without an answer is no failed host.
    timing: { viewMs: 500, probeMs: 2_000, windowMs: 4_000 },
  })
  writeKeyFile(fleet.keyFile('admin'), {
    ...{ role: 'admin', name: 'admin', fleet: 'site-a' },
    ...{ rootHash: fleet.rootHash, key: fleet.admin },
  })
  await fleet.start(...fleet.names.slice(0, 6))
}, 60_000)

afterAll(async () => {
  await fleet?.destroy()
})

async function status(name: string): Promise<FleetStatus> {
  return await fleet.api(name).get<FleetStatus>('/api/v1/fleet')
}

async function ask(...args: readonly string[]): Promise<Ran> {
  const all = ['hosts', ...args, '--admin-key', fleet.keyFile('admin'), '--yes']
  return await fleet.cli(DESK, 'alice', all)
}

async function change(...args: readonly string[]): Promise<string> {
  const ran = await ask(...args)
  expect(ran.exit, `${args.join(' ')}\n${ran.stdout}${ran.stderr}`).toBe(0)
  return ran.stdout
}

async function untilEpoch(epoch: number, names: readonly string[]): Promise<void> {
  await until(MS_MAX, `epoch ${epoch} on ${names.join(', ')}`, async () => {
    const all = await Promise.all(names.map((name) => status(name).catch(() => undefined)))
    return all.every((one) => one?.epoch === epoch)
  })
}

/** The newcomer's node runs and has followed the log to `epoch`. */
async function joinAt(name: string, epoch: number): Promise<void> {
  const { file } = fleet.record(name)
  const folder = join(fleet.folder, `joins-${name}`)
  expect(await change('add', file, '--out', folder)).toContain(`epoch ${epoch} `)
  fleet.trustFrom(name, folder)
  await fleet.start(name)
  await untilEpoch(epoch, [name])
}

/** `old` leaves, and with it the group of voters, in which `next` takes its place. */
async function replace(old: string, next: string, epoch: number): Promise<void> {
  const { voters } = await status(DESK)
  const names = [...voters.map((voter) => voter.name).filter((name) => name !== old), next]
  expect(await change('remove', old, '--voters', names.join())).toMatch(
    new RegExp(`epoch ${epoch} .* has begun`),
  )
}

async function steer(rollout: string, body: 'on' | readonly string[]): Promise<string> {
  const hold =
    body === 'on'
      ? { kind: 'on' as const, rollout, why: 'voters are being replaced' }
      : { kind: 'off' as const, rollout, releases: body, why: 'go on' }
  const fact = signed(fleet.trust, fleet.operator(), 'rollout.hold', hold)
  await fleet.api(DESK).post(fact.bytes)
  return fact.id
}

async function untilPhase(rollout: string, host: string, phase: 'started' | 'COMMITTED') {
  await until(MS_MAX, `${host} is ${phase}`, async () => {
    const { waves } = await fleet.api(DESK).rollout(rollout)
    const row = waves.flatMap((wave) => wave.hosts).find((one) => one.name === host)
    return phase === 'started' ? row?.started === true : row?.phase === phase
  })
}

async function deploy(label: string, waves: readonly (readonly string[])[], version: number) {
  const { config } = fleet.trust
  const later = fleet.names.slice(6).map((name) => fleet.record(name).host)
  const trust = { ...fleet.trust, config: { ...config, hosts: [...config.hosts, ...later] } }
  const api = fleet.api(DESK)
  const from = { trust, key: fleet.release, api }
  const release = (await announce(from, { folder: fleet.folder, label, version })).id
  const base = baseOver(await api.base(), waves.flat())
  return await submitPlan(api, signPlan(fleet.trust, fleet.operator(), { release, base, waves }))
}

async function untilComplete(rollout: string, hosts: readonly string[]): Promise<void> {
  const api = fleet.api(DESK)
  await until(MS_MAX, 'the rollout is over', async () => (await api.rollout(rollout)).closed)
  const whys = hosts.map((host) => api.get<WhyHost>(`/api/v1/rollouts/${rollout}/why/${host}`))
  const told = JSON.stringify(await Promise.all(whys), null, 1)
  expect((await api.rollout(rollout)).state, told).toBe('complete')
}

/** The one digest of all these nodes, once they have it and no late word of an observer changes it. */
async function oneDigest(names: readonly string[]): Promise<string> {
  let [digest, since] = ['', 0]
  await until(MS_MAX, `${names.join(', ')} rest with one digest`, async () => {
    const digests = await Promise.all(names.map(async (name) => (await status(name)).digest))
    const [first = ''] = digests
    if (first !== digest) [digest, since] = [first, performance.now()]
    return new Set(digests).size === 1 && performance.now() - since > REST_MS
  })
  return digest
}

/** The one log of all these nodes. */
async function oneChain(names: readonly string[]): Promise<readonly ChainBlock[]> {
  const chains = await Promise.all(names.map((name) => chainOf(fleet.api(name), fleet.trust)))
  const [first = []] = chains
  for (const chain of chains) expect(chain).toEqual(first)
  return first
}

async function assertNobodyLied(names: readonly string[]): Promise<void> {
  for (const name of names) {
    const api = fleet.api(name)
    const { items } = await api.get<{ items: readonly ForkRow[] }>('/api/v1/peers/forks')
    expect(items, name).toEqual([])
    const { warnings } = await status(name)
    expect(warnings.filter((text) => /frozen|contradict/.test(text))).toEqual([])
  }
}

describe('a group of four voters', () => {
  let before: readonly ChainBlock[] = []

  it('replaces all of them one by one while a rollout is open, which goes on and completes', async () => {
    await until(MS_MAX, 'the operator’s peer reaches every voter', async () => {
      return (await status(DESK)).voters.every((voter) => voter.reachable)
    })
    await joinAt('host-7', 2)
    const r = await deploy('first', [['host-5'], ['host-6'], ['host-7']], 1)
    await untilPhase(r, 'host-5', 'started')
    // Held between its waves, so that it is open however fast this machine is.
    const first = await steer(r, 'on')
    await replace('host-1', 'host-7', 3)
    await joinAt('host-8', 4)
    await replace('host-2', 'host-8', 5)
    await untilPhase(r, 'host-5', 'COMMITTED')
    await steer(r, [first])
    await untilPhase(r, 'host-6', 'started')
    const second = await steer(r, 'on')
    await joinAt('host-9', 6)
    await replace('host-3', 'host-9', 7)
    await joinAt('host-10', 8)
    expect((await fleet.api(DESK).rollout(r)).closed).toBe(false)
    await replace('host-4', 'host-10', 9)

    for (const old of ['host-1', 'host-2', 'host-3', 'host-4']) {
      await until(MS_MAX, `${old} knows that it left, and is hung up on`, async () => {
        const { warnings } = await status(old)
        const { items } = await fleet.api(old).get<{ items: readonly PeerRow[] }>('/api/v1/peers')
        const left = warnings.some((text) => text.startsWith(`${old} left group main in epoch`))
        return left && items.every((peer) => peer.state !== 'connected')
      })
      await fleet.stop(old)
    }
    await steer(r, [second])
    await untilComplete(r, ['host-5', 'host-6', 'host-7'])

    const stay = ['host-5', 'host-6', 'host-7', 'host-8', 'host-9', 'host-10']
    await untilEpoch(9, stay)
    const { voters, hosts } = await status(DESK)
    expect(voters.map((voter) => voter.name)).toEqual(['host-10', 'host-7', 'host-8', 'host-9'])
    expect(hosts.map((host) => host.name).sort()).toEqual([...stay].sort())
    await oneDigest(stay)
    before = await oneChain(stay)
    expect([...new Set(before.map((block) => block.epoch))].length).toBeGreaterThan(8)
    await assertNobodyLied(stay)
  }, 400_000)

  it('of which two are lost with their disks is recovered by its admins, its history intact', async () => {
    for (const lost of ['host-9', 'host-10']) {
      await fleet.kill(lost)
      rmSync(fleet.host(lost).data, { recursive: true })
    }
    await until(MS_MAX, 'the operator’s peer misses both', async () => {
      const { voters } = await status(DESK)
      return voters.filter((voter) => !voter.reachable).length === 2
    })
    const refused = await ask('remove', 'host-9', 'host-10', '--voters', 'host-5,host-7,host-8')
    expect(refused.stderr).toMatch(/2 of 4 voters are in reach, 3 must agree/)
    expect(refused.exit).not.toBe(0)
    const stay = ['host-5', 'host-6', 'host-7', 'host-8']
    await untilEpoch(9, stay)

    const voters = ['--voters', 'host-5,host-7,host-8', '--recover']
    expect(await change('remove', 'host-9', 'host-10', ...voters)).toMatch(/epoch 10 .* has begun/)
    await untilEpoch(10, stay)
    const r = await deploy('second', [['host-5', 'host-6'], ['host-8']], 2)
    await untilComplete(r, ['host-5', 'host-6', 'host-8'])

    const digest = await oneDigest(stay)
    const after = await oneChain(stay)
    expect(after.slice(0, before.length)).toEqual(before)
    expect(after.at(-1)?.epoch).toBe(10)
    await assertNobodyLied(stay)
    const folders = ['host-5', 'host-8'].map((name) => join(fleet.folder, `pull-${name}`))
    for (const [i, name] of ['host-5', 'host-8'].entries()) {
      const ran = await fleet.cli(name, 'alice', ['audit', 'pull', '--out', folders[i] ?? ''])
      expect(ran.exit, ran.stderr).toBe(0)
    }
    await Promise.all(stay.map((name) => fleet.stop(name)))
    const words = ['audit', 'verify', ...folders, '--root-hash', fleet.rootHash]
    const verified = await fleet.cli(DESK, 'alice', words)
    expect(verified.exit, verified.stdout).toBe(0)
    for (const name of stay) {
      expect(await replayed(name, digest), name).toMatch(/equal to the digest that was expected/)
    }
  }, 400_000)
})

/** What a replay of a stopped node's disk says, from its facts and the fleet's root alone. */
async function replayed(name: string, expected: string): Promise<string> {
  const { data } = fleet.host(name)
  const trust = join(fleet.folder, 'trust')
  const from = ['--data', data, '--trust', trust, '--root-hash', fleet.rootHash]
  const ran = await fleet.cli(name, 'alice', ['replay', ...from, '--expect', expected])
  expect(ran.exit, `${ran.stdout}${ran.stderr}`).toBe(0)
  return ran.stdout
}
