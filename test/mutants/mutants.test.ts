/**
 * Every mutant still fits the source, two are hunted from end to end, and nothing that lies or fails
 * on purpose is in what ships. `npm run mutants` hunts all of them.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { CASES } from '../explore/cases.ts'
import { FAULTS } from '../simulation/faults/kinds.ts'
import { readRegression } from '../simulation/regression.ts'
import { MUTANTS } from './catalogue.ts'
import { hunt } from './hunt.ts'
import { type Mutant, mutate, trialsOf } from './mutant.ts'
import { ROOT } from './workspace.ts'

const QUICK = ['quorum-one-short', 'lease-under-a-halt']

describe('the mutants', () => {
  it('are many, and no two have one name', () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(60)
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length)
  })

  it.each(MUTANTS)('$name changes shipped source in one place, into TypeScript', ({ edits }) => {
    const texts = new Map<string, string>()
    for (const edit of edits) {
      expect(edit.file).toMatch(/^(protocol|rollout|node|cli)\/.*\.ts$/)
      const before = texts.get(edit.file) ?? readFileSync(join(ROOT, edit.file), 'utf8')
      texts.set(edit.file, mutate(before, edit))
    }
    expect(texts.size).toBeGreaterThan(0)
    for (const [file, text] of texts) expect(mistakes(file, text)).toEqual([])
  })

  it.each(MUTANTS)('$name says which rule it breaks, and who has to notice', (mutant) => {
    expect(mutant.rule).toMatch(/^SPEC §\d/)
    expect(trialsOf(mutant.catch).length).toBeGreaterThan(0)
    if ('explore' in mutant.catch) {
      const known = CASES.map(({ name }) => name)
      expect(mutant.catch.explore.filter((name) => !known.includes(name))).toEqual([])
    }
    if (!('scenarios' in mutant.catch)) return
    for (const name of mutant.catch.scenarios) {
      const { scenario } = readRegression(join(ROOT, `test/mutants/scenarios/${name}.json`))
      expect(scenario.acts.length).toBeGreaterThan(0)
    }
  })

  it('do not fit where their text stands twice, or nowhere', () => {
    const edit = { file: 'a.ts', find: 'one', replace: 'two' }
    expect(mutate('one more', edit)).toBe('two more')
    expect(() => mutate('one and one', edit)).toThrow('expected "one" once, found it 2 times')
    expect(() => mutate('none', { ...edit, find: 'other' })).toThrow('found it 0 times')
  })
})

describe('a hunt', () => {
  it('catches a mutant by what it breaks', { timeout: 120_000 }, async () => {
    const prey = MUTANTS.filter(({ name }) => QUICK.includes(name))
    const verdicts = await hunt(prey, 1, () => {})
    const told = verdicts.map(({ name, caughtBy, problem }) => ({ name, caughtBy, problem }))
    expect(told).toEqual([
      { name: 'quorum-one-short', caughtBy: 'S1', problem: undefined },
      { name: 'lease-under-a-halt', caughtBy: 'S5', problem: undefined },
    ])
  })

  it('lets a change that breaks nothing survive, and tells a text that is gone', async () => {
    const [like] = MUTANTS
    if (like === undefined) throw new Error('no mutants')
    const harmless: Mutant = {
      ...like,
      edits: [
        { file: 'rollout/gate-votes.ts', find: 'const NO_VOTES', replace: '\nconst NO_VOTES' },
      ],
      catch: { explore: ['n4-f1-q3 1 view, every message'] },
    }
    const gone: Mutant = {
      ...harmless,
      name: 'gone',
      edits: [{ file: 'rollout/gate-votes.ts', find: 'not in there', replace: '' }],
    }
    const [survivor, lost] = await hunt([harmless, gone], 1, () => {})
    expect(survivor?.caughtBy).toBeNull()
    expect(survivor?.problem).toBeUndefined()
    expect(lost?.caughtBy).toBeNull()
    expect(lost?.problem).toContain('found it 0 times')
  })
})

describe('what ships', () => {
  const dist = join(ROOT, 'dist')
  const isBuilt = existsSync(join(dist, 'nixfleet.cjs'))

  // `npm test` builds it first; a suite alone in a fresh clone has nothing to search.
  it.runIf(process.env['NIXFLEET_CI'] === '1' || isBuilt)('holds no liar and no fault', () => {
    const text = `${textsIn(dist, '.mjs')}${textsIn(dist, '.cjs')}`
    expect(text).toContain('lease.rsp')
    expect(faultsIn(text)).toEqual([])
  })

  it('would be seen to hold one', () => {
    const found = faultsIn(textsIn(join(ROOT, 'test/simulation'), '.ts'))
    expect(found).toEqual(expect.arrayContaining(['equivocating-leader', 'insideBad', 'dropRate']))
    expect(faultsIn('NIXFLEET_CONFIG NIXFLEET_FAULTS')).toEqual(['NIXFLEET_FAULTS'])
  })
})

/** What a minifier leaves of a fault: its name as a text, a field of the world it needs, a variable. */
function faultsIn(text: string): readonly string[] {
  const fields = ['insideBad', 'outsideBad', 'dropRate', 'duplicateRate', 'whisper(']
  const names = [...FAULTS.filter((name) => name.includes('-')), ...fields]
  const variables = text.match(/NIXFLEET_[A-Z_]*(FAULT|LIE|LIAR|CHAOS|MUTANT|SIMUL)[A-Z_]*/g) ?? []
  return [...names.filter((name) => text.includes(name)), ...variables]
}

function textsIn(folder: string, ending: string): string {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const named = files.filter((file) => file.endsWith(ending))
  return named.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n')
}

/** What the parser has against a text; types are the ordinary checks' business. */
function mistakes(fileName: string, text: string): readonly string[] {
  const { diagnostics = [] } = ts.transpileModule(text, { fileName, reportDiagnostics: true })
  return diagnostics.map((one) => ts.flattenDiagnosticMessageText(one.messageText, ' '))
}
