/** The lock file: no download addresses in it, and it says what package.json says. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

interface LockedPackage extends Manifest {
  readonly version?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly link?: boolean
}

interface LockFile {
  readonly lockfileVersion: number
  readonly packages: Readonly<Record<string, LockedPackage>>
}

const manifest = readJson<Manifest>('package.json')
const lock = readJson<LockFile>('package-lock.json')
const locked = Object.entries(lock.packages).filter(([path]) => path !== '')
const wanted = { ...manifest.dependencies, ...manifest.devDependencies }

describe('package-lock.json', () => {
  it('was read: it lists more packages than package.json names', () => {
    expect(lock.lockfileVersion).toBe(3)
    expect(Object.keys(wanted).length).toBeGreaterThan(0)
    expect(locked.length).toBeGreaterThan(Object.keys(wanted).length)
  })

  it('names no download address, so any registry can serve it', () => {
    const text = readFileSync(fromRoot('package-lock.json'), 'utf8')
    expect(text.match(/"resolved":\s*"[^"]*"/g) ?? []).toEqual([])
  })

  it('has an integrity hash for every package', () => {
    const without = locked.filter(([, entry]) => !entry.link && !entry.integrity)
    expect(without.map(([path]) => path)).toEqual([])
  })

  it('wants what package.json wants', () => {
    expect(lock.packages['']?.dependencies).toEqual(manifest.dependencies)
    expect(lock.packages['']?.devDependencies).toEqual(manifest.devDependencies)
  })

  it('locks every wanted package at a version that the pin allows', () => {
    const wrong = Object.entries(wanted).filter(([name, pin]) => {
      const version = lock.packages[`node_modules/${name}`]?.version
      return version === undefined || !allows(pin, version)
    })
    expect(wrong).toEqual([])
  })
})

describe('package.json', () => {
  it('pins every dependency to a version or a caret range', () => {
    const loose = Object.entries(wanted).filter(([, pin]) => !parsePin(pin))
    expect(loose).toEqual([])
  })
})

/** `1.2.3`, `^1.2.3`, and both behind `npm:<name>@`; nothing looser. */
function parsePin(pin: string): { caret: boolean; parts: number[] } | undefined {
  const match = /^(?:npm:(?:@[^/]+\/)?[^@]+@)?(\^?)(\d+)\.(\d+)\.(\d+)$/.exec(pin)
  return match ? { caret: match[1] === '^', parts: match.slice(2, 5).map(Number) } : undefined
}

function allows(pin: string, version: string): boolean {
  const parsed = parsePin(pin)
  if (!parsed) return false
  const found = version.split('.').map(Number)
  if (!parsed.caret) return found.join('.') === parsed.parts.join('.')
  // A caret keeps the first part that is not zero.
  const fixed = parsed.parts.findIndex((part) => part > 0)
  const sameHead = parsed.parts.slice(0, fixed + 1).every((part, index) => part === found[index])
  return sameHead && compare(found, parsed.parts) >= 0
}

function compare(left: readonly number[], right: readonly number[]): number {
  const index = left.findIndex((part, at) => part !== right[at])
  return index < 0 ? 0 : (left[index] ?? 0) - (right[index] ?? 0)
}

function fromRoot(path: string): URL {
  return new URL(`../${path}`, import.meta.url)
}

function readJson<Shape>(path: string): Shape {
  return JSON.parse(readFileSync(fromRoot(path), 'utf8')) as Shape
}
