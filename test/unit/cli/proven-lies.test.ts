/** What an auditor takes for proven: two signatures of one member, and nobody's word. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { KnownTrust } from '../../../cli/audit/documents.ts'
import { ProvenLies } from '../../../cli/audit/proven-lies.ts'
import {
  accusationOf,
  type Equivocation,
  type Fact,
  type KeyPair,
  keyPair,
  type LiePair,
  NO_FACT,
  sealBlock,
  sealFact,
  sealVote,
  sha256,
  utf8,
} from '../../../protocol/index.ts'

const FLEET = 'f1'.repeat(16)
const [liar, witness, stranger] = ['liar', 'witness', 'stranger'].map((name) =>
  keyPair(sha256(utf8(name))),
) as [KeyPair, KeyPair, KeyPair]
const by = { fleet: FLEET, key: liar }

const root = { operators: [], releaseKeys: [], admins: [] }
/** Only what the check reads of the documents: whose key is whose. */
const trust = {
  ...{ fleet: FLEET, root, roots: [root] },
  configs: [
    {
      hash: '',
      config: {
        hosts: [
          { name: 'web-1', fact: liar.publicKey },
          { name: 'web-2', fact: witness.publicKey },
        ],
      },
    },
  ],
} as unknown as KnownTrust

const pull = mkdtempSync(join(tmpdir(), 'nixfleet-lies-'))
afterAll(() => rmSync(pull, { recursive: true }))

let lies: ProvenLies
beforeEach(() => {
  lies = new ProvenLies(pull, trust)
})

function votes(key: KeyPair = liar): LiePair {
  const place = { group: 'main', epoch: 1, view: 7 }
  const first = sealVote('skip', place, { ...by, key }).bytes
  return {
    first,
    second: sealVote('final', { ...place, block: 'aa'.repeat(32) }, { ...by, key }).bytes,
  }
}

function proposals(): LiePair {
  const basis = Array.from({ length: 40 }, (_, i) => ({
    ...{ author: liar.publicKey, session: i.toString(16).padStart(32, '0') },
    ...{ seq: i, head: 'cd'.repeat(32) },
  }))
  const [first, second] = ['aa', 'bb'].map((parent) => {
    const place = { group: 'main', epoch: 1, view: 7, parent: parent.repeat(32) }
    return sealBlock({ ...place, commands: [], rootVersion: 1, basis }, by).bytes
  })
  return { first: first ?? new Uint8Array(), second: second ?? new Uint8Array() }
}

function accused(pair: LiePair) {
  const accusation = accusationOf(pair, { fleet: FLEET })
  if (accusation === undefined) throw new Error('expected a proof')
  return accusation
}

function brought(body: Equivocation, key: KeyPair = witness): Fact {
  const place = { session: '11'.repeat(16), seq: 0, prev: NO_FACT, epoch: 1, ts: 0 }
  return sealFact({ type: 'equivocation', body, ...place }, { fleet: FLEET, key }) as Fact
}

describe('an accusation in a pull', () => {
  it('is a row once, whoever brings it and how many', () => {
    const { body } = accused(votes())
    lies.note(brought(body))
    lies.note(brought(body, liar))
    expect(lies.rows).toMatchObject([
      {
        ...{ accused: 'web-1', kind: 'skip-final', place: 'group main, epoch 1, view 7' },
        facts: [{ author: 'web-2' }, { author: 'web-1' }],
      },
    ])
  })

  it('with a changed byte proves nothing', () => {
    const { body } = accused(votes())
    if (body.proof.kind !== 'inline') throw new Error('expected the envelopes in the fact')
    const second = `${body.proof.second.slice(0, -2)}00`
    lies.note(brought({ ...body, proof: { ...body.proof, second } }))
    expect(lies.rows).toEqual([])
  })

  it('of a key that no document names is no row', () => {
    lies.note(brought(accused(votes(stranger)).body))
    expect(lies.rows).toEqual([])
  })

  it('whose messages lie in a body holds with that body alone', () => {
    const { body, blob } = accused(proposals())
    if (blob === undefined) throw new Error('expected a body')
    const fact = brought(body)
    lies.note(fact)
    expect(lies.rows, 'without it').toEqual([])
    mkdirSync(join(pull, 'bodies'))
    const file = join(pull, 'bodies', blob.hash)
    writeFileSync(
      file,
      blob.bytes.map((byte, i) => (i === 300 ? byte ^ 1 : byte)),
    )
    lies.note(fact)
    expect(lies.rows, 'with another').toEqual([])
    writeFileSync(file, blob.bytes)
    lies.note(fact)
    expect(lies.rows).toMatchObject([{ accused: 'web-1', kind: 'propose' }])
  })
})
