/**
 * The floors, read from the imports:
 *
 *   protocol  <  rollout, compliance  <  node  <  cli          (test sees all, nothing sees test)
 *
 * Biome shows most of these rules in the editor; this suite also sees what Biome cannot, and fails
 * when it saw no files, because a check of nothing proves nothing.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, extname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const FILE_LINES_MAX = 500

interface Floor {
  readonly floors: readonly string[]
  readonly packages: 'any' | readonly string[]
  readonly pure: boolean
}

const floors: Readonly<Record<string, Floor>> = {
  protocol: { floors: [], packages: ['cborg'], pure: true },
  rollout: { floors: ['protocol'], packages: [], pure: true },
  compliance: { floors: ['protocol'], packages: [], pure: true },
  node: { floors: ['protocol', 'rollout', 'compliance'], packages: 'any', pure: false },
  cli: { floors: ['protocol', 'rollout', 'compliance', 'node'], packages: 'any', pure: false },
}

/** `compliance` is not built yet; it is checked from its first file on. */
const requiredFloors = ['protocol', 'rollout', 'node', 'cli']

/** The imports that the table above does not tell, each with its one importer. */
const exceptions: ReadonlySet<string> = new Set(['protocol/crypto.ts -> node:crypto'])

/** The one file of a floor, besides its index, that other floors may name: entry points load it first. */
const shim = 'node/shims.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const sourceEndings = new Set(['.ts', '.tsx', '.mjs', '.js', '.nix', '.sh'])
const typescript = (path: string): boolean => /\.tsx?$/.test(path)

const shipped = Object.keys(floors).flatMap(filesUnder)
const tests = filesUnder('test').filter((path) => !/^test\/(vectors|vendor|fixtures)\//.test(path))
const everything = [
  ...shipped,
  ...tests,
  ...filesUnder('nix'),
  ...filesUnder('.ci'),
  ...rootFiles(),
]

describe('the floors', () => {
  it.each(requiredFloors)('%s holds TypeScript files', (floor) => {
    expect(sourcesOf(floor).length).toBeGreaterThan(0)
  })

  it('hold imports that this suite can read', () => {
    expect(shipped.filter(typescript).flatMap(importsOf).length).toBeGreaterThan(0)
  })

  it.each(existingFloors())('%s imports only what its floor allows', (floor) => {
    const refused = sourcesOf(floor).flatMap((path) =>
      importsOf(path).flatMap((name) => refusal(floor, path, name)),
    )
    expect(refused).toEqual([])
  })

  it.each(existingFloors())('%s has no import cycle', (floor) => {
    expect(findCycle(sourcesOf(floor))).toEqual([])
  })

  it('keep libp2p and the store out of what every command loads', () => {
    const main = 'cli/main.ts'
    expect(existsSync(join(root, main))).toBe(true)
    const loaded = closureOf(main)
    const heavy = loaded.filter(
      (name) =>
        (name.startsWith('node/') && name !== shim) ||
        /^(libp2p|level|@libp2p\/.*|@chainsafe\/.*)$/.test(name),
    )
    expect(heavy).toEqual([])
  })
})

describe('a pure floor', () => {
  const clocks = /Math\.random|performance\.now|Date\.now|new Date\(|setTimeout|setInterval/

  it.each(existingFloors().filter((floor) => floors[floor]?.pure))(
    '%s has no clock, timer or chance',
    (floor) => {
      expect(linesWith(filesUnder(floor), clocks)).toEqual([])
    },
  )
})

describe('every source file', () => {
  it(`has at most ${FILE_LINES_MAX} lines`, () => {
    const long = everything.filter((path) => read(path).split('\n').length - 1 > FILE_LINES_MAX)
    expect(everything.length).toBeGreaterThan(0)
    expect(long).toEqual([])
  })

  it('is named after what it holds', () => {
    const nameless = everything.filter((path) =>
      /^(utils?|helpers?|misc|common)\.[a-z]+$/.test(basename(path)),
    )
    expect(nameless).toEqual([])
  })

  it('accepts no unsigned store path', () => {
    expect(linesWith(everything, /require-sigs\s*=\s*false|no-check[-]sigs/)).toEqual([])
  })

  it('reads nothing that lies outside the repository', () => {
    expect(linesWith(shipped, /\.\.\/shared\//)).toEqual([])
  })
})

describe('every suite folder', () => {
  it('holds a test, so that none passes for having nothing to run', () => {
    const suites = ['unit', 'contract', 'simulation', 'integration', 'cli', 'nix']
    const empty = suites
      .filter((suite) => existsSync(join(root, 'test', suite)))
      .filter(
        (suite) =>
          !tests.some((path) => path.startsWith(`test/${suite}/`) && path.endsWith('.test.ts')),
      )
    expect(empty).toEqual([])
  })
})

/** Why this import is refused, or nothing. */
function refusal(floor: string, path: string, name: string): string[] {
  const shown = `${path} -> ${name}`
  if (exceptions.has(shown)) return []
  return name.startsWith('.')
    ? fileRefusal(floor, path, name).map((why) => `${shown}: ${why}`)
    : packageRefusal(floor, name).map((why) => `${shown}: ${why}`)
}

function packageRefusal(floor: string, name: string): string[] {
  const allowed = floors[floor]?.packages
  if (allowed === 'any') return []
  const allows = allowed?.some((start) => name === start || name.startsWith(`${start}/`))
  return allows ? [] : [`${floor} may not import this package`]
}

function fileRefusal(floor: string, path: string, name: string): string[] {
  const target = resolveImport(path, name)
  const targetFloor = target.split('/')[0] ?? ''
  const own = targetFloor === floor
  if (own) return target === `${floor}/index.ts` ? ['inside a floor, import the file itself'] : []
  if (target === 'package.json' && floors[floor]?.pure === false) return []
  if (!floors[floor]?.floors.includes(targetFloor))
    return [`${floor} may not import ${targetFloor}`]
  const face = target === `${targetFloor}/index.ts` || target === shim
  return face ? [] : [`across floors, import ${targetFloor}/index.ts`]
}

/** Every import of a file, `import type` and `import()` included. */
function importsOf(path: string): string[] {
  return ts.preProcessFile(read(path), true, true).importedFiles.map((file) => file.fileName)
}

/** The imports that are carried out when the file is loaded: neither types nor `import()`. */
function loadedBy(path: string): string[] {
  const source = ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2023)
  return source.statements.flatMap((statement) => {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) return []
    const { moduleSpecifier } = statement
    if (!moduleSpecifier || !ts.isStringLiteral(moduleSpecifier) || isTypeOnly(statement)) return []
    return [moduleSpecifier.text]
  })
}

function isTypeOnly(statement: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  return ts.isImportDeclaration(statement)
    ? statement.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword
    : statement.isTypeOnly
}

/** Everything that loading this file loads: paths of ours, and names of packages. */
function closureOf(start: string): string[] {
  const seen = new Set([start])
  for (const path of seen) {
    if (!typescript(path) || !existsSync(join(root, path))) continue
    for (const name of loadedBy(path))
      seen.add(name.startsWith('.') ? resolveImport(path, name) : name)
  }
  return [...seen]
}

/** One cycle among these files as a list of paths, or an empty list. */
function findCycle(paths: readonly string[]): string[] {
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return []
    done.add(path)
    for (const name of loadedBy(path).filter((name) => name.startsWith('.'))) {
      const target = resolveImport(path, name)
      const cycle = paths.includes(target) ? visit(target, [...trail, path]) : []
      if (cycle.length > 0) return cycle
    }
    return []
  }
  for (const path of paths) {
    const cycle = visit(path, [])
    if (cycle.length > 0) return cycle
  }
  return []
}

function linesWith(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      ),
  )
}

function existingFloors(): string[] {
  return Object.keys(floors).filter((floor) => sourcesOf(floor).length > 0)
}

function sourcesOf(floor: string): string[] {
  return shipped.filter((path) => path.startsWith(`${floor}/`) && typescript(path))
}

function resolveImport(path: string, name: string): string {
  return normalize(join(dirname(path), name))
}

function filesUnder(folder: string): string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((item) => item.isFile() && (folder === '.ci' || sourceEndings.has(extname(item.name))))
    .map((item) => relative(root, join(item.parentPath, item.name)))
    .sort()
}

function rootFiles(): string[] {
  return readdirSync(root).filter((name) => sourceEndings.has(extname(name)))
}

function read(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}
