/**
 * Groups of one to five hosts, all of them voters, with every strategy, also with the one crash that
 * their fault model survives (design L8). Expectations are policy, written here by hand; what really
 * happened comes from the shipped runtime.
 */
import { describe, expect, test } from 'vitest'
import { crashesSurvived, DEMO, type HostName, quorumOf } from '../../protocol/index.ts'
import { generationOf, SimFleet } from './fleet.ts'

type Strategy = 'canary' | 'staged' | 'all-at-once'

function wavesOf(strategy: Strategy, hosts: readonly HostName[]): readonly (readonly HostName[])[] {
  const [first = '', ...rest] = hosts
  if (strategy === 'all-at-once' || rest.length === 0) return [hosts]
  if (strategy === 'canary') return [[first], rest]
  const half = Math.ceil(rest.length / 2)
  return [[first], rest.slice(0, half), rest.slice(half)].filter((wave) => wave.length > 0)
}

/** The moments at which the one crash strikes, as what the victim was last seen to do. */
const MOMENTS = [
  'before the plan',
  'when it is ready',
  'in its probation',
  'after its commit',
] as const
type Moment = (typeof MOMENTS)[number]

async function play(input: { size: number; strategy: Strategy; crash?: Moment }): Promise<{
  status: string | undefined
  survivors: readonly string[]
  digests: number
}> {
  const fleet = new SimFleet({
    hosts: input.size,
    voters: input.size,
    timing: DEMO,
    seed: input.size,
  })
  await fleet.start()
  const victim = fleet.names.at(-1) ?? ''
  const entry = fleet.host(fleet.names[0] ?? '').node
  if (entry === undefined) throw new Error('the first host does not run')
  const release = await fleet.announce(entry, 1)
  await fleet.clock.advance(1_000)
  if (input.crash === 'before the plan') fleet.crash(victim)
  const budget = { kind: 'count', count: input.crash === undefined ? 0 : 1 } as const
  const rollout = await fleet.plan(
    entry,
    release,
    wavesOf(input.strategy, fleet.names),
    {},
    { budget },
  )
  if (input.crash !== undefined && input.crash !== 'before the plan') {
    const phase = {
      'when it is ready': 'READY',
      'in its probation': 'PROBATION',
      'after its commit': 'COMMITTED',
    }[input.crash]
    const reached = (): boolean =>
      entry
        .knowledge()
        .view.rollouts.get(rollout)
        ?.hosts.get(victim)
        ?.get(0)
        ?.transitions.has(phase as 'READY') === true
    expect(await fleet.until(90_000, reached, 20)).toBe(true)
    fleet.crash(victim)
  }
  const closed = (): boolean =>
    fleet.nodes.every(
      (node) => (node.gate.state.rollouts.get(rollout)?.status ?? 'open') !== 'open',
    )
  await fleet.until(180_000, closed)
  await fleet.clock.advance(8_000)
  const alive = fleet.names.filter((name) => fleet.host(name).node !== undefined)
  return {
    status: entry.gate.state.rollouts.get(rollout)?.status,
    survivors: alive.map((name) => fleet.host(name).machine.bootDefault),
    digests: new Set(fleet.nodes.map((node) => node.digest())).size,
  }
}

describe.each([1, 2, 3, 4, 5])('a group of %i, all voters', (size) => {
  const strategies: Strategy[] = ['canary', 'staged', 'all-at-once']
  test.each(strategies)('completes %s', async (strategy) => {
    const { status, survivors, digests } = await play({ size, strategy })
    expect(status).toBe('complete')
    expect(survivors).toEqual(Array.from({ length: size }, () => generationOf(1)))
    expect(digests).toBe(1)
  })

  const survives = crashesSurvived({
    n: size,
    q: quorumOf(size, size >= 4 ? 'byzantine' : 'crash'),
  })
  const cases = strategies.flatMap((strategy) => MOMENTS.map((crash) => ({ strategy, crash })))
  if (survives === 0) return
  test.each(cases)('completes $strategy with one crash $crash', async ({ strategy, crash }) => {
    const { status, survivors, digests } = await play({ size, strategy, crash })
    expect(status).toBe('complete')
    expect(survivors).toEqual(Array.from({ length: size - 1 }, () => generationOf(1)))
    expect(digests).toBe(1)
  })
})
