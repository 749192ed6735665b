/** Worlds with a past, and what it looks like in the feed and in the orders. */
import { expect } from 'vitest'
import type { RolloutOrders } from '../../../rollout/orders.ts'
import { CONFIRM_MS, ordersFor, RULES, started } from './host-setting.ts'
import { World } from './host-world.ts'

/** What a host signs until it may begin. */
export const UP_TO_READY = ['STAGING', 'READY']
/** .. until its peers confirmed it. */
export const UP_TO_CONFIRMED = [...UP_TO_READY, 'ACTIVATING', 'PROBATION', 'CONFIRMED']
/** .. when all goes well. */
export const COMMITTED = [...UP_TO_CONFIRMED, 'SOAKED', 'COMMITTED']
/** How long a deadman lives. */
export const LIFE_MS = RULES.timing.activateMs + CONFIRM_MS

/** A world in which rollout 1 is CONFIRMED and waits for its peers' certificates. */
export function confirmed(fields: Partial<RolloutOrders> = {}): World {
  const world = new World([ordersFor(1, { ...started(), ...fields })])
  world.rest(3_000)
  expect(world.last(1)).toBe('CONFIRMED')
  return world
}

/** A world that committed rollouts 1..count. */
export function committed(count: number): World {
  const world = new World()
  for (let n = 1; n <= count; n++) {
    world.orders(...history(n - 1), ordersFor(n, { ...started(), soaked: [0] }))
    world.rest(10_000)
    expect(world.last(n)).toBe('COMMITTED')
  }
  return world
}

/** Orders for rollouts 1..count that are over. */
export function history(
  count: number,
  fields: (n: number) => Partial<RolloutOrders> = () => ({}),
): RolloutOrders[] {
  return Array.from({ length: count }, (_, i) =>
    ordersFor(i + 1, { ...started(), last: false, status: 'complete', ...fields(i + 1) }),
  )
}
