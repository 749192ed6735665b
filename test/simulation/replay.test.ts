/** What a fleet decided follows from its disks alone, and a disk that was changed does not pass. */
import { describe, expect, it } from 'vitest'
import { GateLog } from '../../node/gate-log.ts'
import { replayStore } from '../../node/offline.ts'
import type { Replay } from '../../node/replay.ts'
import { ED25519, sealBlock, sealVote } from '../../protocol/index.ts'
import { snapshotOf } from './disks.ts'
import { CHEAP_SIGNER, type FleetOptions, generationOf, SimFleet } from './fleet.ts'
import { assertReplays } from './replayed.ts'

const TIMING = { probeMs: 200, windowMs: 400, leaseMs: 4_000, activateMs: 4_000 }

async function running(options: Partial<FleetOptions> = {}): Promise<SimFleet> {
  const fleet = new SimFleet({ hosts: 5, timing: TIMING, ...options })
  await fleet.start()
  return fleet
}

/** Rolls a release out until every node has closed it, and a little longer. */
async function rollOut(fleet: SimFleet, version: number): Promise<string> {
  const [at] = fleet.nodes
  if (at === undefined) throw new Error('nobody runs')
  const release = await fleet.announce(at, version)
  const waves = [fleet.names.slice(0, 1), fleet.names.slice(1)]
  const rollout = await fleet.plan(at, release, waves)
  const closed = () =>
    fleet.nodes.every(({ gate }) => (gate.state.rollouts.get(rollout)?.status ?? 'open') !== 'open')
  expect(await fleet.until(300_000, closed)).toBe(true)
  await fleet.clock.advance(2_000)
  return rollout
}

describe('a replay of a disk', () => {
  it('gives the digest that its node gives, with real signatures', async () => {
    const fleet = await running()
    const id = await rollOut(fleet, 1)
    for (const one of await assertReplays(fleet)) {
      expect(one.rollouts).toEqual([{ id, outcome: 'complete' }])
      expect(one.blocks).toBeGreaterThan(2)
      expect(one.commands.length).toBeGreaterThan(2)
      expect([one.epochs, one.missing]).toEqual([1, []])
    }
    await assertRefusesForgeries(fleet)
    await assertFindsWrongDecision(fleet, id)
  })

  it('gives it after a failure too, which sends everybody back', async () => {
    const behaviour: FleetOptions['behaviour'] = (host, generation) =>
      host === 'host-03' && generation === generationOf(2) ? { outsideBad: { fromMs: 0 } } : {}
    const fleet = await running({ behaviour, signer: CHEAP_SIGNER })
    await rollOut(fleet, 1)
    await rollOut(fleet, 2)
    const [one] = await assertReplays(fleet, CHEAP_SIGNER)
    expect(one?.rollouts.map(({ outcome }) => outcome)).not.toEqual(['complete', 'complete'])
    expect(one?.rollouts).toHaveLength(2)
  })
})

/** Each of these changes one record of the disk. */
async function assertRefusesForgeries(fleet: SimFleet): Promise<void> {
  const [node] = fleet.nodes
  if (node === undefined) throw new Error('nobody runs')
  const { disk } = fleet.host(node.parts.name)
  const keys = (from: string): string[] => disk.slice(from, `${from}~`).map(([key]) => key)
  const changed = async (change: Record<string, Uint8Array | undefined>): Promise<Replay> => {
    const copy = snapshotOf(disk)
    const ops = Object.entries(change).map(([key, value]) => ({ key, value }))
    copy.apply(ops, true)
    return await replayStore(copy.open(), fleet.trust)
  }
  const flipped = (key: string): Uint8Array => {
    const bytes = Uint8Array.from(disk.read(key) ?? [])
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
    return bytes
  }
  const codes = ({ findings }: Replay): ReadonlySet<string> =>
    new Set(findings.map(({ code }) => code))
  const [fact = '', second = ''] = keys('fact/')
  const blocks = keys('gate/log/')
  const [block = ''] = blocks
  const later = blocks.at(-1) ?? ''
  expect(codes(await changed({ [second]: flipped(second) }))).toContain('FACT')
  expect(codes(await changed({ [fact]: undefined }))).toContain('CHAIN')
  expect(codes(await changed({ [block]: undefined }))).toContain('BLOCK')
  expect(codes(await changed({ [later]: flipped(later) }))).toContain('CERTIFICATE')
  const without = await changed({ [later]: undefined })
  expect([...codes(without)]).toEqual([])
  expect(without.digest).not.toBe(node.digest())
}

/** Every voter signs a block that closes a closed rollout: its certificate is good, and no rule allows it. */
async function assertFindsWrongDecision(fleet: SimFleet, rollout: string): Promise<void> {
  const [node] = fleet.nodes
  if (node === undefined) throw new Error('nobody runs')
  const { fleet: id, config } = fleet.trust
  const { head, view, rootVersion } = node.gate.state
  const place = { group: config.group, epoch: 1, view: view + 1 }
  const keys = config.voters.map((name) => fleet.host(name).keys.fact)
  const [leader] = keys
  if (leader === undefined) throw new Error('no voter')
  const commands = [{ kind: 'close', rollout, outcome: 'complete' } as const]
  const draft = { ...place, parent: head, commands, rootVersion, basis: [] }
  const block = sealBlock(draft, { fleet: id, key: leader })
  const body = { ...place, block: block.id }
  const votes = keys
    .map((key) => sealVote('final', body, { fleet: id, key }))
    .map(({ voter, signature }) => ({ voter, signature }))
    .sort((a, b) => (a.voter < b.voter ? -1 : 1))
  const copy = snapshotOf(fleet.host(node.parts.name).disk)
  const store = copy.open()
  await new GateLog(store, fleet.trust, ED25519).commit({
    block,
    certificate: { kind: 'final', body, votes },
  })
  const { findings } = await replayStore(store, fleet.trust)
  expect(findings).toMatchObject([{ code: 'RULE' }])
  expect(findings[0]?.text).toContain('closed')
}
