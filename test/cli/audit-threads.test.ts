/** A pull that is long enough for threads: however many judge it, they say the same, and find everything. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FindingCode } from '../../cli/audit/findings.ts'
import { feedsIn } from '../../cli/audit/layout.ts'
import type { Verdict } from '../../cli/audit/verify-pull.ts'
import { decodeBundle, encodeBundle } from '../../protocol/index.ts'
import { type LongLog, writeLongLog } from '../bench/long-log.ts'
import { checkpointsOf, forged, rewrite } from '../pulled-fleet.ts'
import { runProgram } from './script.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const program = join(root, 'dist/nixfleet.cjs')
const folder = mkdtempSync(join(tmpdir(), 'nixfleet-threads-'))
const pull = join(folder, 'pull')
let log: LongLog

beforeAll(() => {
  // Builds only what changed since the last build.
  execFileSync(process.execPath, [join(root, 'cli/bundle.mjs')], { stdio: 'pipe' })
  const { signal } = new AbortController()
  log = writeLongLog(pull, { hosts: 9, facts: 4500, signal })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Judged {
  readonly clean: boolean
  readonly count: number
  readonly findings: readonly { code: FindingCode; where: string; text: string }[]
  readonly pulls: readonly { verdict: Verdict | null }[]
}

async function judged(at: string, threads: number): Promise<Judged & { readonly exit: number }> {
  const words = ['audit', 'verify', at, '--root-hash', log.rootHash, '--threads', String(threads)]
  const { exit, stdout, stderr } = await runProgram(program, [...words, '--json'], {
    cwd: folder,
    env: {},
  })
  if (stdout === '') throw new Error(stderr)
  return { exit, ...(JSON.parse(stdout) as Judged) }
}

/** The first full bundle of the so-many-th feed, its signatures and its tile. */
function feedFiles(at: string, index: number) {
  const feed = feedsIn(at)[index]?.folder ?? ''
  const file = (room: string): string => join(feed, room, '000')
  return {
    feed,
    bundle: file('tile/entries'),
    signatures: file('signatures'),
    tile: file('tile/0'),
  }
}

function tamper(copy: string): void {
  rewrite(feedFiles(copy, 0).bundle, (bytes) => {
    bytes[300] = (bytes[300] ?? 0) ^ 1
    return bytes
  })
  const dropped = feedFiles(copy, 2)
  rewrite(dropped.bundle, (bytes) => {
    const entries = decodeBundle(bytes, 'a bundle')
    return Buffer.from(encodeBundle(entries.filter((_, i) => i !== 7)))
  })
  rewrite(dropped.signatures, (bytes) =>
    Buffer.concat([bytes.subarray(0, 7 * 64), bytes.subarray(8 * 64)]),
  )
  rmSync(feedFiles(copy, 4).tile)
  const swapped = feedFiles(copy, 8)
  rewrite(swapped.bundle, (bytes) => {
    const [a, b, c, ...rest] = decodeBundle(bytes, 'a bundle') as Uint8Array[]
    return Buffer.from(encodeBundle([a, c, b, ...rest] as Uint8Array[]))
  })
  rewrite(swapped.signatures, (bytes) => {
    const part = (i: number): Buffer => bytes.subarray(i * 64, i * 64 + 64)
    return Buffer.concat([part(0), part(2), part(1), bytes.subarray(3 * 64)])
  })
  rmSync(feedFiles(copy, 6).feed, { recursive: true })
  const checkpoints = checkpointsOf(copy)
  rmSync(checkpoints.at(-1) ?? '')
  rewrite(checkpoints[3] ?? '', (bytes) => {
    const lines = bytes.toString().split('\n')
    const [dash, name, base64 = ''] = (lines[4] ?? '').split(' ')
    const line = Buffer.from(base64, 'base64')
    line[20] = (line[20] ?? 0) ^ 1
    lines[4] = [dash, name, line.toString('base64')].join(' ')
    return Buffer.from(lines.join('\n'))
  })
}

describe('a long pull', () => {
  it('is clean, every fact of it, by one thread and by several', async () => {
    const [one, several] = [await judged(pull, 1), await judged(pull, 3)]
    expect(one).toMatchObject({ exit: 0, clean: true, count: 0 })
    expect(one.pulls[0]?.verdict).toMatchObject({ facts: 4500, feeds: 9, blocks: log.blocks })
    expect(several).toEqual(one)
  })

  it('that was tampered with has the same findings in the same order, none missing', async () => {
    const copy = forged(pull, 'tampered', tamper)
    const [one, several] = [await judged(copy, 1), await judged(copy, 3)]
    expect(one).toMatchObject({ exit: 4, clean: false })
    expect(several).toEqual(one)
    const codes = new Set(one.findings.map(({ code }) => code))
    const expected = ['FACT', 'FACT_MISSING', 'FACT_ORDER', 'TILE', 'COSIGNATURE'] as const
    for (const code of [...expected, 'CHECKPOINT_BEHIND'] as const) expect(codes).toContain(code)
    const gone = feedsIn(pull)[6]
    const last = Number(readFileSync(join(gone?.folder ?? '', 'head'), 'utf8').split('\n')[1]) - 1
    expect(one.findings.map(({ text }) => text)).toContainEqual(
      expect.stringMatching(`^facts 0 to ${last} of host-\\d+ .* are missing`),
    )
  })

  it('takes no number of threads that is none', async () => {
    const words = ['audit', 'verify', pull, '--root-hash', log.rootHash, '--threads', '0']
    expect(await runProgram(program, words, { cwd: folder, env: {} })).toMatchObject({ exit: 64 })
  })
})
