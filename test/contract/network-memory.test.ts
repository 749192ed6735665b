/** The network contract over the memory hub, and the weather that only it can make. */
import { describe, expect, it } from 'vitest'
import { type Membership, operatorName } from '../../node/network/membership.ts'
import { MemoryNetwork, memoryOperatorLink } from '../../node/network/memory.ts'
import { MemoryHub, type MemoryHubOptions } from '../../node/network/memory-hub.ts'
import { VirtualClock } from '../simulation/virtual-clock.ts'
import { ALIEN, MEMBERS, networkContract, Recorder } from './network.ts'

const OPERATOR = '0a'.repeat(32)
const STEP_MS = 5

const membership = (names: readonly string[]): Membership => ({
  hosts: names.map((name) => ({ name, transport: '', addresses: [] })),
  voters: names.slice(0, 3),
  operators: [OPERATOR],
})

networkContract('the memory network', async () => {
  const clock = new VirtualClock()
  const hub = new MemoryHub({ clock, seed: 1 })
  let pumping = true
  const pump = async (): Promise<void> => {
    while (pumping) await clock.advance(STEP_MS)
  }
  const pumped = pump()
  return {
    operatorName: operatorName(OPERATOR),
    make: async (name) => {
      const names = name === ALIEN ? [...MEMBERS, ALIEN] : MEMBERS
      return new MemoryNetwork({ hub, name, membership: membership(names) })
    },
    operator: async (peer) => memoryOperatorLink({ hub, key: OPERATOR, peer }),
    pass: (ms) => new Promise((resolve) => void clock.after(ms, resolve)),
    openStreams: () => 0,
    dispose: async () => {
      pumping = false
      await pumped
    },
  }
})

async function plugIn(options: Partial<MemoryHubOptions> = {}, names: readonly string[] = MEMBERS) {
  const clock = new VirtualClock()
  const hub = new MemoryHub({ clock, seed: 7, ...options })
  const hosts = new Map<string, { network: MemoryNetwork; recorder: Recorder }>()
  for (const name of names) {
    const network = new MemoryNetwork({ hub, name, membership: membership(names) })
    const recorder = new Recorder()
    await network.start(recorder)
    hosts.set(name, { network, recorder })
  }
  await clock.advance(3_000)
  const host = (name: string) => hosts.get(name) ?? { network: fail(), recorder: fail() }
  return { clock, hub, host, hosts }
}

function fail(): never {
  throw new Error('no such host')
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

describe('the memory network in bad weather', () => {
  it('does the same for one seed, and something else for another', async () => {
    const run = async (seed: number): Promise<string[]> => {
      const { clock, hosts } = await plugIn({
        seed,
        weather: { latencyMs: [1, 200], dropRate: 0.3, duplicateRate: 0.3 },
        fanout: 2,
      })
      for (const { network } of hosts.values())
        network.publish('fact', new TextEncoder().encode(`${seed % 1}`))
      const log: string[] = []
      for (const [name, { network }] of hosts) {
        for (const peer of MEMBERS) {
          if (peer === name) continue
          const at = (): number => clock.bootMs()
          network.ask(peer, 'probe', bytes(1), 300).then(
            () => log.push(`${name} ${peer} ${at()}`),
            (error) => log.push(`${name} ${peer} ${error.code} ${at()}`),
          )
        }
      }
      await clock.advance(5_000)
      return [...log, ...[...hosts.values()].map(({ recorder }) => recorder.heard.join())]
    }
    const first = await run(3)
    expect(await run(3)).toEqual(first)
    expect(await run(4)).not.toEqual(first)
    expect(first.some((line) => line.includes('PEER_TIMEOUT'))).toBe(true)
  })

  it('keeps the sides of a partition apart and joins them again', async () => {
    const { clock, hub, host } = await plugIn()
    hub.partition(['ash', 'elm'], ['fir', 'oak'])
    host('ash').network.publish('fact', bytes(65))
    const asked = host('ash').network.ask('oak', 'probe', bytes(1), 1_000)
    const outcome = Promise.allSettled([asked])
    await clock.advance(4_000)
    expect(await outcome).toMatchObject([{ reason: { code: 'PEER_TIMEOUT' } }])
    expect(host('ash').network.peers()).toEqual(['elm'])
    expect(host('ash').recorder.events.slice(-2).sort()).toEqual(['fir down', 'oak down'])
    expect(host('elm').recorder.heard).toEqual(['fact:A'])
    expect(host('oak').recorder.heard).toEqual([])
    hub.healAll()
    await clock.advance(4_000)
    expect(host('ash').network.peers()).toEqual(['elm', 'fir', 'oak'])
    host('oak').network.publish('fact', bytes(66))
    await clock.advance(100)
    expect(host('ash').recorder.heard).toEqual(['fact:B'])
  })

  it('loses a one-way cut’s messages in that direction alone', async () => {
    const { clock, hub, host } = await plugIn({}, ['ash', 'elm'])
    hub.cutOneWay('ash', 'elm')
    host('ash').network.publish('fact', bytes(65))
    host('elm').network.publish('fact', bytes(66))
    await clock.advance(100)
    expect(host('elm').recorder.heard).toEqual([])
    expect(host('ash').recorder.heard).toEqual(['fact:B'])
    const outcome = Promise.allSettled([host('elm').network.ask('ash', 'probe', bytes(1), 500)])
    await clock.advance(1_000)
    expect(await outcome).toMatchObject([{ reason: { code: 'PEER_TIMEOUT' } }])
    expect(host('ash').recorder.asked).toEqual(['probe from elm'])
  })

  it('hears nothing of a crashed host, whose code may still run', async () => {
    const { clock, hub, host } = await plugIn()
    const asked = host('ash').network.ask('oak', 'probe', bytes(1), 1_000)
    const outcome = Promise.allSettled([
      asked,
      host('oak').network.ask('ash', 'probe', bytes(1), 1_000),
    ])
    hub.crash('oak')
    host('oak').network.publish('fact', bytes(65))
    await expect(host('oak').network.ask('ash', 'probe', bytes(1), 1_000)).rejects.toMatchObject({
      code: 'PEER_UNREACHABLE',
    })
    await clock.advance(4_000)
    expect(await outcome).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }])
    expect(host('ash').recorder.heard).toEqual([])
    expect(host('oak').recorder.asked).toEqual([])
    expect(host('ash').network.peers()).toEqual(['elm', 'fir'])
  })

  it('does not hand on what its receiver rejects', async () => {
    const { clock, hub, host } = await plugIn({}, ['ash', 'elm', 'oak'])
    hub.cut('ash', 'oak')
    await clock.advance(3_000)
    host('elm').recorder.acceptance = 'reject'
    host('ash').network.publish('fact', bytes(65))
    await clock.advance(1_000)
    expect(host('elm').recorder.heard).toEqual(['fact:A'])
    expect(host('oak').recorder.heard).toEqual([])
    host('elm').recorder.acceptance = 'accept'
    host('ash').network.publish('fact', bytes(66))
    await clock.advance(1_000)
    expect(host('oak').recorder.heard).toEqual(['fact:B'])
  })
})
