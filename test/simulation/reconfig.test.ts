/** Hosts and voters change while a fleet works: the shipped runtime, epoch after epoch (SPEC §7.7). */
import { describe, expect, it } from 'vitest'
import type { Runtime } from '../../node/runtime.ts'
import { CHEAP_SIGNER, generationOf, SimFleet } from './fleet.ts'
import { assertReplays } from './replayed.ts'

const TIMING = { probeMs: 200, windowMs: 400, leaseMs: 4_000, activateMs: 4_000 }

async function running(hosts: number, seed = 1): Promise<SimFleet> {
  const fleet = new SimFleet({ hosts, seed, timing: TIMING, signer: CHEAP_SIGNER })
  await fleet.start()
  return fleet
}

function nodeOf(fleet: SimFleet, name: string): Runtime {
  const { node } = fleet.host(name)
  if (node === undefined) throw new Error(`${name} does not run`)
  return node
}

function epochs(fleet: SimFleet): readonly number[] {
  return fleet.nodes.map((node) => node.gate.state.epoch)
}

describe('a group', () => {
  it('gets a host and loses one: the newcomer takes part, who left is hung up on and says so', async () => {
    const fleet = await running(5)
    const at = nodeOf(fleet, 'host-02')
    await fleet.configure(at, { add: ['host-09'], remove: ['host-05'] })
    expect(await fleet.until(20_000, () => epochs(fleet).every((epoch) => epoch === 2))).toBe(true)
    await fleet.boot('host-09')
    const fresh = nodeOf(fleet, 'host-09')
    expect(await fleet.until(20_000, () => fresh.gate.state.head === at.gate.state.head)).toBe(true)
    const left = nodeOf(fleet, 'host-05')
    expect(left.belonging.hasLeft).toBe(true)
    await fleet.clock.advance(15_000)
    expect(left.parts.network.peers()).toEqual([])
    expect(at.parts.network.peers()).not.toContain('host-05')
    expect(at.parts.network.peers()).toContain('host-09')

    const release = await fleet.announce(at, 2)
    const r = await fleet.plan(at, release, [['host-02', 'host-09'], ['host-03']])
    const done = () => at.gate.state.rollouts.get(r)?.status === 'complete'
    expect(await fleet.until(120_000, done)).toBe(true)
    expect(fleet.host('host-09').machine.running).toBe(generationOf(2))
    const digests = ['host-01', 'host-02', 'host-03', 'host-04', 'host-09']
    expect(
      await fleet.until(
        60_000,
        () => new Set(digests.map((name) => nodeOf(fleet, name).digest())).size === 1,
      ),
    ).toBe(true)
    const replays = await assertReplays(fleet, CHEAP_SIGNER)
    expect(replays.map((one) => one.epochs)).toEqual(replays.map(() => 2))
  })

  it('replaces all four voters one by one while a rollout is open, and completes it', async () => {
    const fleet = await running(5)
    const at = nodeOf(fleet, 'host-05')
    const waves = [['host-05'], ['host-11', 'host-12']]
    await fleet.configure(at, { add: ['host-11', 'host-12', 'host-13', 'host-14'] })
    expect(await fleet.until(20_000, () => epochs(fleet).every((epoch) => epoch === 2))).toBe(true)
    for (const name of ['host-11', 'host-12', 'host-13', 'host-14']) await fleet.boot(name)
    await fleet.clock.advance(2_000)
    const release = await fleet.announce(at, 2)
    const r = await fleet.plan(at, release, waves)
    const open = () => (at.gate.state.rollouts.get(r)?.starts.size ?? 0) > 0
    expect(await fleet.until(20_000, open)).toBe(true)
    let epoch = 2
    for (const [i, old] of ['host-01', 'host-02', 'host-03', 'host-04'].entries()) {
      const voters = [
        ...at.parts.trust.config.voters.filter((one) => one !== old),
        `host-1${i + 1}`,
      ]
      await fleet.configure(at, { remove: [old], voters })
      epoch++
      const entered = () => at.gate.state.epoch === epoch
      expect(await fleet.until(60_000, entered), `epoch ${epoch}`).toBe(true)
      fleet.crash(old)
    }
    const done = () => at.gate.state.rollouts.get(r)?.status === 'complete'
    expect(await fleet.until(300_000, done)).toBe(true)
    expect(at.parts.trust.config.voters).toEqual(['host-11', 'host-12', 'host-13', 'host-14'])
    expect(fleet.host('host-12').machine.running).toBe(generationOf(2))
    await assertReplays(fleet, CHEAP_SIGNER)
  })

  it('goes on from the disk in any epoch, and whoever missed some catches up through each', async () => {
    const fleet = await running(5)
    fleet.crash('host-05')
    const at = nodeOf(fleet, 'host-01')
    for (const [i, name] of ['host-11', 'host-12', 'host-13'].entries()) {
      await fleet.configure(at, { add: [name] })
      const entered = () => epochs(fleet).every((epoch) => epoch === i + 2)
      expect(await fleet.until(30_000, entered), name).toBe(true)
      const release = await fleet.announce(at, i + 2)
      const r = await fleet.plan(at, release, [['host-02', name]].slice(0, 1))
      await fleet.boot(name)
      const done = () => at.gate.state.rollouts.get(r)?.status === 'complete'
      expect(await fleet.until(120_000, done)).toBe(true)
    }
    await fleet.boot('host-05')
    const late = nodeOf(fleet, 'host-05')
    expect(await fleet.until(60_000, () => late.digest() === at.digest())).toBe(true)
    for (const name of fleet.names) fleet.crash(name)
    for (const name of fleet.names) await fleet.boot(name)
    expect(epochs(fleet).every((epoch) => epoch === 4)).toBe(true)
    const again = nodeOf(fleet, 'host-01')
    const release = await fleet.announce(again, 9)
    const r = await fleet.plan(again, release, [['host-05', 'host-13']])
    const done = () => again.gate.state.rollouts.get(r)?.status === 'complete'
    expect(await fleet.until(120_000, done)).toBe(true)
  })

  it('whose voters are lost for good is recovered by its admins, and keeps its history', async () => {
    const fleet = await running(5)
    const at = nodeOf(fleet, 'host-05')
    const release = await fleet.announce(at, 2)
    const r = await fleet.plan(at, release, [['host-05', 'host-04']])
    const done = () => at.gate.state.rollouts.get(r)?.status === 'complete'
    expect(await fleet.until(120_000, done)).toBe(true)
    await fleet.clock.advance(5_000)
    for (const name of ['host-01', 'host-02']) fleet.crash(name)
    const { slot, head } = at.gate.state
    const remove = ['host-01', 'host-02']
    await fleet.configure(at, {
      remove,
      voters: ['host-03', 'host-04', 'host-05'],
      recover: { slot, head },
    })
    expect(await fleet.until(30_000, () => epochs(fleet).every((epoch) => epoch === 2))).toBe(true)
    expect(at.gate.state.rollouts.get(r)?.status).toBe('complete')
    const next = await fleet.plan(at, await fleet.announce(at, 3), [['host-05', 'host-03']])
    const again = () => at.gate.state.rollouts.get(next)?.status === 'complete'
    expect(await fleet.until(120_000, again)).toBe(true)
    for (const name of ['host-03', 'host-04', 'host-05']) fleet.crash(name)
    for (const name of ['host-03', 'host-04', 'host-05']) await fleet.boot(name)
    expect(epochs(fleet)).toEqual([2, 2, 2])
    expect(nodeOf(fleet, 'host-05').gate.state.rollouts.get(next)?.status).toBe('complete')
    await assertReplays(fleet, CHEAP_SIGNER)
  })
})
