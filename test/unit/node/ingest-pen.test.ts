import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FactStore } from '../../../node/fact-store.ts'
import { Ingest } from '../../../node/ingest.ts'
import { MemoryDisk } from '../../../node/store/memory.ts'
import {
  ED25519,
  keyPair,
  NO_FACT,
  PEN_FACTS_MAX,
  PEN_FACTS_PER_AUTHOR_MAX,
  sealFact,
  sha256,
  utf8,
} from '../../../protocol/index.ts'
import { CHEAP_SIGNER, SimFleet } from '../../simulation/fleet.ts'

const { trust } = new SimFleet({ hosts: 3, signer: CHEAP_SIGNER })

function ingest(): Ingest {
  const store = new MemoryDisk().open()
  return new Ingest(new FactStore(store, trust.fleet, ED25519), {
    trust: () => trust,
    signer: ED25519,
    limitOf: () => undefined,
  })
}

function stranger(label: string, session: number): Uint8Array {
  const draft = {
    ...{ type: 'rollout.halt' as const, seq: 0, prev: NO_FACT, epoch: 1, ts: 0 },
    body: { rollout: 'a'.repeat(64), revert: false, why: label },
    session: session.toString(16).padStart(32, '0'),
  }
  return sealFact(draft, { fleet: trust.fleet, key: keyPair(sha256(utf8(label))) }).bytes
}

describe('the pen', () => {
  test('never holds more than its bounds, in all and of one author', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 30 })), {
          minLength: 1,
          maxLength: 400,
        }),
        async (sent) => {
          const one = ingest()
          const facts = sent.map(([author, session]) => stranger(`stranger ${author}`, session))
          const intakes = await one.take(facts, 'a peer', { sync: false })
          expect(intakes.every(({ kind }) => kind === 'unknown-author')).toBe(true)
          const counts = new Map<string, number>()
          for (const { author } of one.penned) counts.set(author, (counts.get(author) ?? 0) + 1)
          expect(one.penned.length).toBeLessThanOrEqual(PEN_FACTS_MAX)
          expect(Math.max(...counts.values())).toBeLessThanOrEqual(PEN_FACTS_PER_AUTHOR_MAX)
        },
      ),
      { numRuns: 5 },
    )
  })

  test('that strangers filled still has room for the one who comes now', async () => {
    const one = ingest()
    const flood = Array.from({ length: 17 * PEN_FACTS_PER_AUTHOR_MAX }, (_, i) =>
      stranger(`stranger ${Math.floor(i / PEN_FACTS_PER_AUTHOR_MAX)}`, i),
    )
    await one.take(flood, 'a peer', { sync: false })
    expect(one.penned).toHaveLength(PEN_FACTS_MAX)
    await one.take([stranger('newcomer', 0)], 'a peer', { sync: false })
    expect(one.penned).toHaveLength(PEN_FACTS_MAX)
    expect(one.penned.at(-1)?.author).toBe(keyPair(sha256(utf8('newcomer'))).publicKey)
  })
})
