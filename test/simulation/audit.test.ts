/** A pull of a fleet that has lived, judged by three checkers that share nothing but the bytes. */
import { readFileSync, rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { comparePulls } from '../../cli/audit/compare.ts'
import { readDocuments } from '../../cli/audit/documents.ts'
import { type Finding, type FindingCode, Findings } from '../../cli/audit/findings.ts'
import { feedsIn } from '../../cli/audit/layout.ts'
import { LogWriter, readBundles, readHead } from '../../cli/audit/log-files.ts'
import { verifyProof } from '../../cli/audit/proof.ts'
import type { ExportRow } from '../../cli/audit/rows.ts'
import { verifyPull } from '../../cli/audit/verify-pull.ts'
import type { AuditRow, Page } from '../../node/api/schema.ts'
import { decodeBundle, encodeBundle } from '../../protocol/index.ts'
import {
  check,
  checkpointsOf,
  forged,
  longestFeed,
  type PulledFleet,
  pulledFleet,
  type Ran,
  rewrite,
  runHere,
} from '../pulled-fleet.ts'
import { generationOf } from './fleet.ts'

let lived: PulledFleet
let pull: string
let facts: number

beforeAll(async () => {
  lived = await pulledFleet(2)
  const pulled = await lived.pull('host-02', 'clean')
  pull = pulled.path
  facts = pulled.facts
}, 120_000)
afterAll(() => rmSync(lived.folder, { recursive: true, force: true }))

async function judge(folder: string, rootHash = lived.rootHash): Promise<readonly Finding[]> {
  const findings = new Findings()
  await verifyPull(folder, rootHash, findings)
  return findings.kept
}

const CHECKERS = [
  ['verify.mjs', [process.execPath, 'verify.mjs']],
  ['verify.sh', ['bash', 'verify.sh']],
] as const

/** Drops an entry and its signature, with the head and the tile left as they were. */
function dropped(at: number): (copy: string) => void {
  return (copy) => {
    const { bundle, signatures } = longestFeed(copy)
    rewrite(bundle, (bytes) => {
      const entries = [...decodeBundle(bytes, bundle)]
      entries.splice(at, 1)
      return Buffer.from(encodeBundle(entries))
    })
    rewrite(signatures, (bytes) =>
      Buffer.concat([bytes.subarray(0, at * 64), bytes.subarray(at * 64 + 64)]),
    )
  }
}

function reordered(copy: string): void {
  const { bundle, signatures } = longestFeed(copy)
  const swap = <T>(list: readonly T[]): T[] => {
    const [a, b, c, ...rest] = list
    return [a, c, b, ...rest] as T[]
  }
  rewrite(bundle, (bytes) => Buffer.from(encodeBundle(swap(decodeBundle(bytes, bundle)))))
  rewrite(signatures, (bytes) => {
    const each = Array.from({ length: bytes.length / 64 }, (_, i) =>
      bytes.subarray(i * 64, i * 64 + 64),
    )
    return Buffer.concat(swap(each))
  })
}

/** The signature still verifies over what the payload says; the entry is another one. */
function retyped(copy: string): void {
  const { bundle } = longestFeed(copy)
  const place = feedsIn(copy).find(({ folder }) => bundle.startsWith(folder))
  const head = place && readHead(place)
  if (place === undefined || head === undefined) throw new Error('no feed to change')
  const entries = [...readBundles(place, head.size, false)].flatMap((one) => one.entries)
  rmSync(place.folder, { recursive: true })
  const log = new LogWriter(place, head.origin, { certified: false })
  for (const [i, one] of entries.entries())
    log.append({ ...one, entry: i === 2 ? one.entry.with('nixfleet/v1/'.length, 120) : one.entry })
  log.finish()
}

function flipped(file: string, at: number): void {
  rewrite(file, (bytes) => {
    bytes[at] = (bytes[at] ?? 0) ^ 1
    return bytes
  })
}

function newestCheckpoint(copy: string): string {
  return checkpointsOf(copy).at(-1) ?? ''
}

/** The first line's cosignature with one bit of its last byte turned. */
function forgeCosignature(copy: string): void {
  rewrite(newestCheckpoint(copy), (bytes) => {
    const lines = bytes.toString().split('\n')
    const [dash, name, base64 = ''] = (lines[4] ?? '').split(' ')
    const line = Buffer.from(base64, 'base64')
    line[20] = (line[20] ?? 0) ^ 1
    lines[4] = [dash, name, line.toString('base64')].join(' ')
    return Buffer.from(lines.join('\n'))
  })
}

const FORGERIES: readonly (readonly [string, FindingCode, (copy: string) => void])[] = [
  ['a flipped byte of a fact', 'FACT', (copy) => flipped(longestFeed(copy).bundle, 200)],
  ['a flipped byte of a signature', 'FACT', (copy) => flipped(longestFeed(copy).signatures, 70)],
  ['a fact dropped from the middle', 'FACT_MISSING', dropped(3)],
  ['two facts reordered', 'FACT_ORDER', reordered],
  ['another type before a payload, with tiles made anew', 'FACT', retyped],
  ['a missing tile', 'TILE', (copy) => rmSync(longestFeed(copy).tile)],
  ['a flipped byte of a tile', 'TILE', (copy) => flipped(longestFeed(copy).tile, 5)],
  ['a missing bundle', 'BUNDLE', (copy) => rmSync(longestFeed(copy).bundle)],
  ['a forged cosignature', 'COSIGNATURE', forgeCosignature],
  ['a rolled-back checkpoint', 'CHECKPOINT_BEHIND', (copy) => rmSync(newestCheckpoint(copy))],
  [
    'a checkpoint of another root',
    'CHECKPOINT',
    (copy) =>
      rewrite(newestCheckpoint(copy), (bytes) => {
        const lines = bytes.toString().split('\n')
        lines[2] = Buffer.alloc(32).toString('base64')
        return Buffer.from(lines.join('\n'))
      }),
  ],
  [
    'a cosignature that stands there as often as a quorum',
    'CHECKPOINT_BEHIND',
    (copy) =>
      rewrite(newestCheckpoint(copy), (bytes) => {
        const lines = bytes.toString().split('\n')
        const [line = ''] = lines.slice(4)
        return Buffer.from([...lines.slice(0, 4), line, line, line, line, ''].join('\n'))
      }),
  ],
  ['a flipped byte of a block', 'BLOCK', (copy) => flipped(gateFile(copy, 'tile/entries'), 400)],
  [
    'a flipped byte of a certificate',
    'CERTIFICATE',
    (copy) => flipped(gateFile(copy, 'certificates'), 300),
  ],
]

function gateFile(copy: string, room: string): string {
  const [, blocks] = readFileSync(`${copy}/gate/site/head`, 'utf8').split('\n')
  return `${copy}/gate/site/${room}/000.p/${blocks}`
}

describe('a pull', () => {
  it('is clean, and holds every fact of the node', async () => {
    const findings = new Findings()
    const verdict = await verifyPull(pull, lived.rootHash, findings)
    expect(findings.kept).toEqual([])
    expect(verdict?.facts).toBe(facts)
    expect(facts).toBeGreaterThan(50)
    expect(verdict?.blocks).toBeGreaterThan(5)
    expect(verdict?.standing[0]?.by.length).toBeGreaterThanOrEqual(3)
  })

  it.each(CHECKERS)('is clean to %s, which counts the same facts', (_, command) => {
    const said = check(pull, command, lived.rootHash)
    expect(said.text).toContain(`verified ${facts} facts`)
    expect(said).toMatchObject({ exit: 0 })
  })

  it('is nothing under another root hash, to all three', async () => {
    const other = 'ab'.repeat(32)
    expect((await judge(pull, other)).map(({ code }) => code)).toEqual(['ROOT'])
    for (const [, command] of CHECKERS) {
      const said = check(pull, command, other)
      expect(said.text).toMatch(/^ROOT: /m)
      expect(said.exit).toBe(4)
    }
  })

  it.each(FORGERIES)('%s is found by all three, as %s', async (name, code, change) => {
    const copy = forged(pull, name.replaceAll(' ', '-'), change)
    const findings = await judge(copy)
    expect(findings.map((finding) => finding.code)).toContain(code)
    for (const [checker, command] of CHECKERS) {
      const said = check(copy, command, lived.rootHash)
      expect(said.text, checker).toMatch(new RegExp(`^${code}: `, 'm'))
      expect(said.exit, checker).toBe(4)
    }
  })

  it('names what is missing by author and sequence', async () => {
    const copy = forged(pull, 'named', dropped(3))
    const missing = (await judge(copy)).find(({ code }) => code === 'FACT_MISSING')
    expect(missing?.text).toMatch(/^fact 3 of host-0\d \(session [0-9a-f]{8}\): missing/)
  })

  it('names the end of a feed that the voters stand on', async () => {
    const copy = forged(pull, 'gone', (at) =>
      rmSync(longestFeed(at).bundle.split('/tile/')[0] ?? '', { recursive: true }),
    )
    const missing = (await judge(copy)).find(({ code }) => code === 'FACT_MISSING')
    expect(missing?.text).toMatch(/^facts 0 to \d+ of host-0\d .* are missing/)
  })
})

describe('two pulls', () => {
  it('of two nodes tell the same story', async () => {
    const other = await lived.pull('host-04', 'other')
    const findings: Finding[] = []
    comparePulls(pull, other.path, (finding) => findings.push(finding))
    expect(findings).toEqual([])
  })

  it('into one folder, the second brings what is new and nothing twice', async () => {
    const before = await lived.pull('host-03', 'again')
    await lived.fleet.sign(lived.fleet.nodes[0] ?? nobody(), lived.fleet.operator, 'rollout.halt', {
      ...{ rollout: 'cd'.repeat(32), revert: false, why: 'one more' },
    })
    await lived.fleet.until(60_000, () =>
      lived.fleet.nodes.every(
        (node) => node.facts.count > before.facts && isSettled(node.cosign.sizes),
      ),
    )
    const after = await lived.pull('host-03', 'again')
    expect(after.kept).toBe(before.facts + before.blocks)
    expect(after.facts).toBeGreaterThan(before.facts)
    expect(await judge(after.path)).toEqual([])
    const fresh = await lived.pull('host-03', 'whole')
    expect(await judge(fresh.path)).toEqual([])
  })
})

function isSettled({ due, standing }: { due: number; standing: number }): boolean {
  return due === standing
}

function nobody(): never {
  throw new Error('no node runs')
}

describe('the commands over a pull', () => {
  const cli = (...argv: string[]): Promise<Ran> => runHere(lived.folder, ...argv)
  const under = (): string[] => ['--root-hash', lived.rootHash]

  it('verify says clean with 0, and every finding with 4', async () => {
    const good = await cli('audit', 'verify', pull, ...under())
    expect(good).toMatchObject({ exit: 0 })
    expect(good.out).toContain(`clean under root hash ${lived.rootHash}`)
    const copy = forged(pull, 'cli', dropped(3))
    const bad = await cli('audit', 'verify', copy, '--json', ...under())
    expect(bad.exit).toBe(4)
    const document = JSON.parse(bad.out) as { clean: boolean; findings: Finding[] }
    expect(document.clean).toBe(false)
    expect(document.findings.map(({ code }) => code)).toContain('FACT_MISSING')
    expect((await cli('audit', 'verify', pull)).exit).toBe(64)
    expect((await cli('audit', 'verify', lived.folder, ...under())).exit).toBe(66)
  })

  it('export gives a row for each fact in every format', async () => {
    for (const format of ['jsonl', 'csv', 'ecs', 'cef']) {
      const { exit, out } = await cli('audit', 'export', pull, '--format', format, ...under())
      expect(exit, format).toBe(0)
      const lines = out.trimEnd().split(/\r?\n/)
      expect(lines, format).toHaveLength(facts + (format === 'csv' ? 1 : 0))
    }
    const { out } = await cli('audit', 'export', pull, '--format', 'jsonl', ...under())
    const rows = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ExportRow)
    const committed = rows.filter((row) => row.outcome === 'COMMITTED')
    expect(committed).toHaveLength(8)
    for (const row of committed) expect(row.generationAfter).toMatch(/system-[12]$/)
    const changed = rows.filter(
      (row) =>
        row.actor === 'host-02' &&
        row.generationBefore !== '' &&
        row.generationBefore !== row.generationAfter,
    )
    expect(changed.map((row) => [row.generationBefore, row.generationAfter])).toEqual([
      [generationOf(0), generationOf(1)],
      [generationOf(1), generationOf(2)],
    ])
    const plan = rows.find((row) => row.action === 'rollout.plan')
    expect(plan).toMatchObject({ actor: 'alice', role: 'deploy', target: 'site' })
  })

  it('proof gives a text that holds, and none that was changed', async () => {
    const trust = readDocuments(pull, lived.rootHash, () => undefined)
    if (trust === undefined) throw new Error('no trust')
    const { out } = await cli('audit', 'export', pull, '--format', 'jsonl', ...under())
    const rows = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ExportRow)
    const plan = rows.find((row) => row.action === 'rollout.plan')
    const made = await cli('audit', 'proof', plan?.factId ?? '', '--in', pull, ...under())
    expect(made.exit).toBe(0)
    expect(made.out).toMatch(/^c2sp\.org\/tlog-proof@v1\nextra /)
    expect(verifyProof(made.out, trust)).toMatchObject({
      factId: plan?.factId,
      author: 'alice',
      seq: 0,
    })
    const changes = [
      made.out.replace(/\nindex (\d+)\n/, (_, digits) => `\nindex ${Number(digits) + 1}\n`),
      made.out.replace(
        /\n(\d+)\n([^\n]{43}=)\n\n—/,
        (_, size) => `\n${size}\n${Buffer.alloc(32).toString('base64')}\n\n—`,
      ),
      made.out
        .replace(/\n— (?=[^\n]*\n$)[^\n]*\n$/, '\n')
        .replace(/\n— (?=[^\n]*\n$)[^\n]*\n$/, '\n'),
    ]
    for (const text of changes) {
      expect(text).not.toBe(made.out)
      expect(() => verifyProof(text, trust)).toThrow()
    }
    expect((await cli('audit', 'proof', 'ffffffffff', '--in', pull, ...under())).exit).toBe(4)
  })
})

describe('the log of a running node', () => {
  const rowsOf = async (query: string): Promise<readonly AuditRow[]> => {
    const page = await lived
      .client('host-01')
      .get<Page<AuditRow>>(`/api/v1/audit?limit=500&${query}`)
    return page.items
  }

  it('is filtered by who signed and by rollout', async () => {
    const byAlice = await rowsOf('actor=alice')
    expect(byAlice.length).toBeGreaterThan(1)
    expect(new Set(byAlice.map((row) => row.author.name))).toEqual(new Set(['alice']))
    const plans = byAlice.filter((row) => row.action === 'rollout.plan')
    const [plan] = plans
    const about = await rowsOf(`rollout=${plan?.factId.slice(0, 12)}`)
    expect(about.map((row) => row.factId)).toContain(plan?.factId)
    expect(about.map((row) => row.factId)).not.toContain(plans[1]?.factId)
    expect(new Set(about.map((row) => row.action))).toEqual(
      new Set(['rollout.plan', 'host.transition', 'obs.attest']),
    )
    expect(await rowsOf(`rollout=${'f'.repeat(64)}`)).toEqual([])
  })
})
