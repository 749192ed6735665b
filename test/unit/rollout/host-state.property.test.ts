/** The journal: every state that a host can reach is written and read again, and nothing else is read. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeCanonical, encodeCanonical, type WireValue } from '../../../protocol/index.ts'
import { HOST_STATE, type HostState, initialHost } from '../../../rollout/host-state.ts'
import { anyDeed, Fleet } from './host-fleet.ts'
import { OLD } from './host-setting.ts'

const DEPTH_MAX = 6

describe('the journal of a host', () => {
  it('gives back every state that was reached, but for the orders', () => {
    let flights = 0
    fc.assert(
      fc.property(fc.array(anyDeed, { minLength: 40, maxLength: 80 }), (deeds) => {
        const fleet = new Fleet()
        for (const deed of deeds) {
          fleet.do(deed)
          const { state } = fleet.world
          if (state.flight !== undefined) flights += 1
          const wire = HOST_STATE.encode(state)
          expect(depth(wire)).toBeLessThanOrEqual(DEPTH_MAX)
          expect(reread(wire)).toEqual({ ...state, orders: undefined })
        }
      }),
      { numRuns: 40 },
    )
    expect(flights).toBeGreaterThan(20)
  })

  it('refuses a key that it does not know, a missing stack and a round too many', () => {
    const wire = HOST_STATE.encode(initialHost({ generation: OLD, boot: 'b' })) as Record<
      string,
      WireValue
    >
    expect(reread(wire).stack).toHaveLength(1)
    expect(() => reread({ ...wire, orders: {} })).toThrow(/only the keys/)
    expect(() => reread({ ...wire, stack: [] })).toThrow(/stack/)
    const record = {
      rollout: new Uint8Array(32),
      round: 3,
      phase: 'READY',
      signed: [],
      halted: false,
      ran: false,
    }
    expect(() => reread({ ...wire, rollouts: [record] })).toThrow(/round/)
  })
})

function reread(wire: WireValue): HostState {
  return HOST_STATE.decode(decodeCanonical(encodeCanonical(wire), 1 << 20, 'journal'), 'journal')
}

function depth(value: WireValue): number {
  if (typeof value !== 'object' || value instanceof Uint8Array) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depth))
}
