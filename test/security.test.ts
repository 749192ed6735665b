/** docs/security.md is true: each attempt names what stops it and a test that exists, and none succeeds. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const text = readFileSync(join(root, 'docs/security.md'), 'utf8')

interface Shown {
  readonly file: string
  readonly title: string
}

interface Line {
  readonly attempt: string
  readonly stoppedBy: readonly string[]
  readonly shown: readonly Shown[]
  readonly ends: string
}

/** Attempts that must have a line, by words of it: what the project has promised to try. */
const PROMISED: readonly string[] = [
  'an outsider dials in',
  'a removed member',
  'the wrong fleet',
  'a downgraded protocol',
  'a replayed handshake',
  'a flood of connections',
  'a flood of streams',
  'a flood of gossip',
  'a flood of requests',
  'oversized messages',
  'a slow loris',
  'a stolen read token',
  'a stolen operator key',
  'a stale root',
  'a forged fact',
  'a re-encoded fact',
  'a self-signed admin',
  'two operators, the same hosts',
  'an operator or the peer in use dies',
  'the leading voter is dead, slow or lying',
  'a partition, seen from the minority, also in probation',
  'a site without any network',
  'a replay of a plan',
  'a stale host returns',
  'withheld (a freeze)',
  'a rollback to an old',
  'mix and match',
  'clocks that are wrong',
  'a compromised host',
  'a compromised voter',
  'a lost operator key',
  'lost admin keys',
  'a Sybil or an eclipse',
  'slow but alive',
  'a host says that it is well',
  'observers collude',
  'put back from a snapshot',
  'giant or deeply nested CBOR',
  'history is pruned',
]

const lines: readonly Line[] = text
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| attempt '))
  .map(readLine)

function readLine(line: string): Line {
  const cells = line.split('|').map((cell) => cell.trim())
  if (cells.length !== 6) throw new Error(`expected four cells, found ${cells.length - 2}: ${line}`)
  const [, attempt = '', stops = '', shown = '', ends = ''] = cells
  return {
    attempt,
    stoppedBy: [...stops.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name).filter(isPath),
    shown: shown.split('<br>').map(readShown),
    ends,
  }
}

function isPath(name: string): boolean {
  return name.includes('/')
}

function readShown(cell: string): Shown {
  const [, file = '', title = ''] = /^`([^`]+)`: (.+)$/.exec(cell) ?? []
  return { file, title }
}

/** The titles of the tests in a file, as they stand there; undefined where there is no such file. */
function titlesIn(file: string): ReadonlySet<string> | undefined {
  const path = join(root, file)
  if (!file.startsWith('test/') || !existsSync(path)) return undefined
  const source = ts.createSourceFile(file, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest)
  const titles = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /^(it|test)\b/.test(nameOf(node.expression, source))) {
      const [first] = node.arguments
      if (first !== undefined && ts.isStringLiteralLike(first)) titles.add(first.text)
      else if (first !== undefined && ts.isTemplateExpression(first))
        titles.add(first.getText(source).slice(1, -1))
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return titles
}

/** `it` of `it(…)`, of `it.each(…)(…)` and of `it.only(…)`. */
function nameOf(callee: ts.Expression, source: ts.SourceFile): string {
  if (ts.isCallExpression(callee)) return nameOf(callee.expression, source)
  if (ts.isPropertyAccessExpression(callee)) return nameOf(callee.expression, source)
  return callee.getText(source)
}

describe('the table of attempts', () => {
  it('was read', () => {
    expect(lines.length).toBeGreaterThan(50)
    expect(lines.filter(({ attempt }) => attempt === '')).toEqual([])
    expect(new Set(lines.map(({ attempt }) => attempt)).size).toBeGreaterThan(lines.length - 5)
  })

  it('has a line for everything that was promised to be tried', () => {
    const missing = PROMISED.filter((words) => !lines.some((line) => line.attempt.includes(words)))
    expect(missing).toEqual([])
  })

  it('says of each what stops it, by files that are there', () => {
    const bare = lines.filter(({ stoppedBy }) => stoppedBy.length === 0)
    expect(bare.map(({ attempt }) => attempt)).toEqual([])
    const named = lines.flatMap(({ stoppedBy }) => stoppedBy)
    expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  it('names for each at least one test that exists under that title', () => {
    const wrong = lines.flatMap(({ attempt, shown }) =>
      shown
        .filter(({ file, title }) => titlesIn(file)?.has(title) !== true)
        .map(({ file, title }) => `${attempt}: ${file}: ${title}`),
    )
    expect(wrong).toEqual([])
  })

  it('has no attempt that succeeds', () => {
    const allowed = /^(fails|bounded: .{10,}|outside: .{10,})$/
    expect(lines.filter(({ ends }) => !allowed.test(ends)).map(({ attempt }) => attempt)).toEqual(
      [],
    )
  })

  it('would see a test that is gone, and one that is only in a comment', () => {
    expect(titlesIn('test/no-such.test.ts')).toBeUndefined()
    expect(titlesIn('docs/security.md')).toBeUndefined()
    const own = titlesIn('test/security.test.ts')
    expect(own?.has('was read')).toBe(true)
    // it('is a comment')
    expect(own?.has('is a comment')).toBe(false)
  })
})
