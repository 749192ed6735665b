/** What an auditor replays from a pull alone, by the command itself. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  forged,
  longestFeed,
  nodeOf,
  type PulledFleet,
  pulledFleet,
  type Ran,
  rewrite,
  runHere,
} from '../pulled-fleet.ts'

let lived: PulledFleet

beforeAll(async () => {
  lived = await pulledFleet(2)
}, 120_000)
afterAll(() => rmSync(lived.folder, { recursive: true, force: true }))

function cli(...argv: string[]): Promise<Ran> {
  return runHere(lived.folder, ...argv)
}

function under(): string[] {
  return ['--root-hash', lived.rootHash]
}

describe('a replay of a pull', () => {
  it('gives the digest of the node that it was pulled from, which agrees with all others', async () => {
    const again = await lived.pull('host-03', 'replayed')
    const digest = nodeOf(lived.fleet, 'host-03').digest()
    expect(again.bodies).toBeGreaterThan(2)
    const good = await cli('replay', '--pull', again.path, '--expect', digest, '--json', ...under())
    expect(good, good.err).toMatchObject({ exit: 0 })
    const { findings, rollouts, ...said } = JSON.parse(good.out)
    expect(said).toMatchObject({ digest, equal: true, epochs: 1, missing: [], count: 0 })
    expect([said.stored, said.facts, said.blocks]).toEqual([again.facts, again.facts, again.blocks])
    expect(rollouts.map((one: { outcome: string }) => one.outcome)).toEqual([
      'complete',
      'complete',
    ])
    expect(findings).toEqual([])
    const text = await cli('replay', '--pull', again.path, '--expect', 'f'.repeat(64), ...under())
    expect(text.exit).toBe(4)
    expect(text.out).toContain(`digest ${digest}`)
    expect(text.out).toContain('not equal')
  })

  it('says what it lacks, what does not verify, and refuses what is no pull', async () => {
    const { path } = await lived.pull('host-03', 'replayed')
    const bare = forged(path, 'bare', (copy) => rmSync(join(copy, 'bodies'), { recursive: true }))
    const lacks = await cli('replay', '--pull', bare, '--json', ...under())
    expect(JSON.parse(lacks.out).missing.length).toBeGreaterThan(0)
    const bad = forged(path, 'bad', (copy) => flipped(longestFeed(copy).signatures))
    const refused = await cli('replay', '--pull', bad, '--json', ...under())
    expect(refused.exit).toBe(4)
    expect(JSON.parse(refused.out).findings[0].code).toBe('FACT')
    expect((await cli('replay', '--pull', path)).exit).toBe(64)
    expect((await cli('replay', '--pull', lived.folder, ...under())).exit).toBe(66)
    expect((await cli('replay', '--pull', path, '--root-hash', 'e'.repeat(64))).exit).toBe(4)
    expect((await cli('replay', '--data', path, ...under())).exit).toBe(64)
    expect((await cli('replay', '--data', path, '--trust', path, ...under())).exit).toBe(66)
  })
})

/** One bit of one signature. */
function flipped(file: string): void {
  rewrite(file, (bytes) => {
    bytes[3] = (bytes[3] ?? 0) ^ 1
    return bytes
  })
}
