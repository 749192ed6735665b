/** Health of a host that was restarted while a member was away: it goes on in a new feed. */
import { expect, test } from 'vitest'
import { DEMO } from '../../protocol/index.ts'
import { generationOf, SimFleet } from './fleet.ts'

test('a host in a new session says once that it runs something new, not with every look', async () => {
  const site = ['host-01', 'host-02', 'host-03', 'host-04']
  const fleet = new SimFleet({ hosts: 5, voters: 4, timing: DEMO, seed: 3 })
  await fleet.start()
  fleet.hub.partition(site, ['host-05'])
  await fleet.clock.advance(10_000)
  const host = fleet.host('host-02')
  const before = host.node?.own.session
  fleet.crash('host-02')
  const node = await fleet.boot('host-02')
  await fleet.clock.advance(30_000)
  expect(node.own.session).not.toBe(before)

  const release = await fleet.announce(node, 1)
  await fleet.plan(node, release, [['host-02']])
  const committed = (): boolean => host.machine.bootDefault === generationOf(1)
  expect(await fleet.until(120_000, committed)).toBe(true)
  await fleet.clock.advance(30_000)
  const facts = node.facts.count
  await fleet.clock.advance(60_000)
  expect(node.facts.count - facts).toBeLessThan(3)
})
