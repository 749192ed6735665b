/** A member that floods gossip: bounded there, and nothing of it is lost. */
import { describe, expect, test } from 'vitest'
import type { Runtime } from '../../node/runtime.ts'
import { NO_FACT, PRODUCTION, sealFact } from '../../protocol/index.ts'
import { CHEAP_SIGNER, generationOf, SimFleet } from './fleet.ts'
import { digests } from './laws.ts'

const FACTS = 400
const SPAMMER = 'host-05'

/** Chains of facts of the spammer's own key, all true to form. */
function flood(fleet: SimFleet): readonly Uint8Array[] {
  const { keys } = fleet.host(SPAMMER)
  let prev = NO_FACT
  return Array.from({ length: FACTS }, (_, seq) => {
    const body = {
      ...{ generation: generationOf(0), boot: '', state: 'unhealthy' as const },
      checks: [{ name: `c${seq}`, ok: false }],
    }
    const draft = {
      ...{ type: 'health.change' as const, session: 'e'.repeat(32), body },
      ...{ seq, prev, epoch: 1, ts: seq },
    }
    const author = { fleet: fleet.trust.fleet, key: keys.fact, signer: CHEAP_SIGNER }
    const fact = sealFact(draft, author)
    prev = fact.id
    return fact.bytes
  })
}

async function started(): Promise<{ fleet: SimFleet; first: Runtime; spammer: Runtime }> {
  const options = { hosts: 5, voters: 4, timing: PRODUCTION, signer: CHEAP_SIGNER }
  const fleet = new SimFleet(options)
  await fleet.start()
  await fleet.clock.advance(60_000)
  const [first, spammer] = ['host-01', SPAMMER].map((name) => fleet.host(name).node)
  if (first === undefined || spammer === undefined) throw new Error('expected both to run')
  return { fleet, first, spammer }
}

describe('a member that floods gossip', () => {
  test('gets its burst through and no more; sync brings all of it to everybody', async () => {
    const { fleet, first, spammer } = await started()
    for (const name of ['host-02', 'host-03', 'host-04']) fleet.hub.cut(SPAMMER, name)
    await fleet.clock.advance(5_000)
    const before = first.facts.count
    const taken: number[] = []
    for (const bytes of flood(fleet)) {
      await spammer.submit(bytes)
      await fleet.clock.advance(10)
      taken.push(first.facts.count - before)
    }
    const byGossip = taken.filter((count, i) => i > 0 && count === (taken[i - 1] ?? 0) + 1).length
    expect(byGossip).toBeGreaterThan(150)
    expect(byGossip).toBeLessThanOrEqual(210)
    fleet.hub.healAll()
    const whole = (): boolean =>
      fleet.nodes.every((node) => node.facts.count >= before + FACTS) && digests(fleet) === 1
    expect(await fleet.until(300_000, whole, 1_000)).toBe(true)
  })

  test('delays no halt of an operator', async () => {
    const { fleet, first } = await started()
    for (let i = 0; i < 60; i++) {
      const id = await fleet.sign(first, fleet.operator, 'rollout.halt', {
        ...{ rollout: 'a'.repeat(64), revert: false, why: `${i}` },
      })
      await fleet.clock.advance(50)
      const knows = fleet.nodes.filter((node) =>
        node.knowledge().view.rollouts.get('a'.repeat(64))?.halts.has(id),
      )
      expect(knows).toHaveLength(5)
    }
  })
})
