/**
 * A CSV of hostile facts in a real spreadsheet program. A text stays a text there however its cells are
 * told apart; without the guard the same texts become formulas, or this suite would show nothing.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { headingOf, lineEndOf, lineOf } from '../../cli/audit/export-formats.ts'
import { feedAt } from '../../cli/audit/layout.ts'
import { LogWriter, writeWhole } from '../../cli/audit/log-files.ts'
import { EXPORT_COLUMNS, type ExportRow } from '../../cli/audit/rows.ts'
import {
  DEMO,
  deriveHostKeys,
  entryOf,
  feedOrigin,
  fleetIdOf,
  hostIdentity,
  keyPair,
  NO_FACT,
  sealFact,
  sha256,
  signGroupConfig,
  signRoot,
  utf8,
} from '../../protocol/index.ts'
import { suiteNeeds } from '../require.ts'
import { runProgram } from './script.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const program = join(root, 'dist/nixfleet.cjs')
const folder = mkdtempSync(join(tmpdir(), 'nixfleet-sheet-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What a host may say of itself in one line of a fact. */
const IN_FACTS: readonly string[] = [
  ...['=1+1', '+1+2', '-2+3', '@SUM(1)', ' =1+3', '\u00a0=1+4', '\uff1d1+5', '\u200b=1+6'],
  '=HYPERLINK("http://127.0.0.1:1/?"&A1,"open")',
  ...[`=cmd|' /C calc'!A0`, `+cmd|' /C calc'!A0`, `-2+3+cmd|' /C calc'!A0`],
  '=DDE("soffice";"/etc/passwd";"A1")',
  '=WEBSERVICE("http://127.0.0.1:1/")',
  ...['x;=1+7;y', 'x; =1+8', 'x;"=1+9', 'x|=1+10', '"=1+11', "'=1+12", 'a,=1+13', ',=1+14'],
  ...['{=1+15}', 'sum: =1+16', '=1+17"";=1+18'],
]
/** What no fact may hold and a later field might. */
const WITH_CONTROLS: readonly string[] = [
  ...['\t=1+1', '\r=1+2', '\n=1+3', '\0=1+4', 'x\t=1+5', 'x\r\n=1+6', 'x\n=1+7;y', '\u2028=1+8'],
  ...['"\n=1+9', '\t\t+1', '\x01=1+10', 'x\v=1+11'],
]
/** Field separators by their codes: of RFC 4180, of half of Europe, and all that the import dialog offers. */
const SEPARATORS = ['44', '59', '9', '124', '59/44/9/124'] as const

const row: ExportRow = {
  ...{ time: '2026-01-01T00:00:00.000Z', actor: 'web-1', role: 'host', key: 'ab'.repeat(32) },
  ...{ fingerprint: '0123456789abcdef', action: 'host.transition', target: 'web-1', outcome: '' },
  ...{
    reason: '',
    rollout: '',
    generationBefore: '',
    generationAfter: '',
    factId: 'cd'.repeat(32),
  },
  ...{ session: 'ef'.repeat(16), sequence: 0, epoch: 1 },
}

/** A pull of one host that says all of this. Gives the root hash. */
function writePull(pull: string, texts: readonly string[]): string {
  const admin = keyPair(sha256(utf8('sheet/admin')))
  const keys = deriveHostKeys(sha256(utf8('sheet/host')))
  const first = signRoot(
    {
      ...{ version: 1, name: 'sheet', admins: [admin.publicKey], threshold: 1 },
      ...{ operators: [], releaseKeys: [], groups: ['site'] },
    },
    [admin],
  )
  const fleet = fleetIdOf(first.hash)
  const config = signGroupConfig(
    {
      ...{ fleet, group: 'site', epoch: 1, voters: ['web-1'], faultModel: 'crash', quorum: 1 },
      hosts: [{ ...hostIdentity('web-1', keys), addresses: [], tags: [] }],
      floors: { canaryMin: 0, soakMsMin: 0, wavePercentMax: 100, budgetMax: 250 },
      timing: DEMO,
    },
    [admin],
  )
  mkdirSync(join(pull, 'documents'), { recursive: true })
  writeWhole(join(pull, 'documents/root.1.cbor'), first.bytes)
  writeWhole(join(pull, 'documents/group.site.1.cbor'), config.bytes)
  const [session, author] = ['11'.repeat(16), keys.fact.publicKey]
  const origin = feedOrigin(fleet, author, session)
  const log = new LogWriter(feedAt(pull, author, session), origin, { certified: false })
  let prev = NO_FACT
  texts.forEach((detail, seq) => {
    const body = {
      ...{ rollout: 'ab'.repeat(32), round: 0 },
      ...({ from: 'PROBATION', to: 'REVERTING' } as const),
      ...{ generation: '/nix/store/x-system', boot: 'b', detail },
    } as const
    const place = { session, seq, prev, epoch: 1, ts: 1_767_225_600_000 }
    const fact = sealFact({ type: 'host.transition', body, ...place }, { fleet, key: keys.fact })
    log.append(entryOf(fact.bytes, fact.type, fleet))
    prev = fact.id
  })
  log.finish()
  return first.hash
}

/** The file as LibreOffice reads it, saved as `to`. */
function converted(file: string, separators: string, to: 'fods' | 'xlsx'): string {
  const out = mkdtempSync(join(folder, 'out-'))
  const profile = `-env:UserInstallation=file://${join(folder, 'profile')}`
  // Fields in double quotes, UTF-8, from line 1 on.
  const filter = file.endsWith('csv') ? [`--infilter=CSV:${separators},34,76,1`] : []
  const words = ['--headless', profile, ...filter, '--convert-to', to, '--outdir', out, file]
  execFileSync('soffice', words, { env: { ...process.env, HOME: folder }, stdio: 'pipe' })
  return join(out, `${basename(file, extname(file))}.${to}`)
}

function formulas(file: string, separators: string): readonly string[] {
  const sheet = readFileSync(converted(file, separators, 'fods'), 'utf8')
  expect(sheet).toContain('2026-01-01T00:00:00')
  return [...sheet.matchAll(/table:formula="([^"]*)"/g)].map(([, formula = '']) => formula)
}

const suite = suiteNeeds(
  'LibreOffice',
  () => spawnSync('soffice', ['--version'], { stdio: 'ignore' }).status === 0,
)

suite('hostile facts in a spreadsheet', () => {
  const exported = join(folder, 'exported.csv')
  const controls = join(folder, 'controls.csv')
  const bare = join(folder, 'bare.csv')

  beforeAll(async () => {
    // Builds only what changed since the last build.
    execFileSync(process.execPath, [join(root, 'cli/bundle.mjs')], { stdio: 'pipe' })
    const hash = writePull(join(folder, 'pull'), IN_FACTS)
    const words = ['audit', 'export', 'pull', '--root-hash', hash, '--format', 'csv']
    const ran = await runProgram(program, [...words, '-o', exported], { cwd: folder, env: {} })
    expect(ran).toMatchObject({ exit: 0 })
    const lines = WITH_CONTROLS.map((reason) => lineOf({ ...row, reason }, 'csv'))
    const end = lineEndOf('csv')
    writeFileSync(controls, [headingOf('csv'), ...lines, ''].join(end))
    // As a CSV of RFC 4180 would have it, that knows of no spreadsheets.
    const unguarded = [...IN_FACTS, ...WITH_CONTROLS].map((reason) =>
      EXPORT_COLUMNS.map((column) => plainCell({ ...row, reason }[column])).join(','),
    )
    writeFileSync(bare, [headingOf('csv'), ...unguarded, ''].join(end))
  })

  it.each(SEPARATORS)('are formulas with fields split at %s, when nothing guards them', (at) => {
    expect(formulas(bare, at).length).toBeGreaterThan(0)
  })

  it.each(SEPARATORS)('are none in an export, with fields split at %s', (at) => {
    expect(formulas(exported, at)).toEqual([])
    expect(formulas(controls, at)).toEqual([])
  })

  it('are texts of one cell each, as they were said but for the quote', () => {
    const sheet = readFileSync(converted(exported, '44', 'fods'), 'utf8')
    const texts = [...sheet.matchAll(/<text:p>([\s\S]*?)<\/text:p>/g)].map(([, text = '']) => text)
    expect(sheet.match(/<table:table-row/g)?.length).toBeGreaterThanOrEqual(IN_FACTS.length + 1)
    for (const said of ['=1+1', '+1+2', '-2+3', '@SUM(1)', 'x;=1+7;y', 'a,=1+13'])
      expect(texts).toContain(said.replace(/^(?=[=+\-@])|(?<=;)(?==)/, '&apos;'))
  })

  it('are none in what is saved for Excel', () => {
    const file = converted(exported, '44', 'xlsx')
    expect(formulas(file, '44')).toEqual([])
  })
})

function plainCell(value: string | number): string {
  const text = String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
