import { describe, expect, it } from 'vitest'
import { PIECE_BYTES } from '../../protocol/index.ts'
import { playLines } from './swarm-lines.ts'

const LINE = 50e6

/** Time of one copy over one line that nobody shares, in ms. */
function alone(pieces: number): number {
  return ((pieces * PIECE_BYTES * 8) / LINE) * 1000
}

describe('a site of eight hosts with thin lines', () => {
  it.each([1, 2])('uses them, and spares the seeder (seed %i)', (seed) => {
    const nars = [13, 13, 13, 13, 12, 12, 12, 12]
    const { ms, seederPieces, twice } = playLines({ seed, hosts: 8, nars, bitsPerSecond: LINE })
    // From one cache behind such a line it would take eight times as long as alone.
    expect(ms / (8 * alone(100))).toBeLessThan(0.17)
    expect(alone(100) / ms).toBeGreaterThanOrEqual(0.8)
    expect(seederPieces).toBeLessThanOrEqual(120)
    expect(twice).toBeLessThanOrEqual(8 * 2)
  })
})

describe('a site of four hosts', () => {
  it.each([1, 2])('has a seeder send little twice, though pieces are few (seed %i)', (seed) => {
    const nars = [8, 8, 8, 8]
    const { ms, seederPieces } = playLines({ seed, hosts: 4, nars, bitsPerSecond: LINE })
    expect(alone(32) / ms).toBeGreaterThanOrEqual(0.75)
    expect(seederPieces).toBeLessThanOrEqual(1.3 * 32)
  })
})
