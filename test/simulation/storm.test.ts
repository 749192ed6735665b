/** Storms of every kind break no law: a few seeds of each, the same ones every time. */
import { describe, expect, it } from 'vitest'
import { play, type StormKind } from './storm.ts'

const KINDS: readonly StormKind[] = ['crash', 'disk', 'network', 'loss', 'all']

describe('a storm over a fleet', () => {
  it.each(KINDS)('of kind %s breaks no law, and rollouts end after it', async (kind) => {
    for (const seed of [1, 2, 3]) {
      const { broken, faults, admitted } = await play({ kind, seed })
      expect(broken, `kind ${kind}, seed ${seed}`).toEqual([])
      expect(faults, `kind ${kind}, seed ${seed}`).toBeGreaterThan(0)
      expect(admitted, `kind ${kind}, seed ${seed}`).toBeGreaterThan(0)
    }
  })
})
