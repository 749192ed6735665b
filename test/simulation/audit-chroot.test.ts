/**
 * `verify.sh` where there is nothing but bash, openssl and coreutils: it must neither miss a program
 * nor take longer than an auditor waits.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  checkpointsOf,
  forged,
  longestFeed,
  type PulledFleet,
  pulledFleet,
  rewrite,
} from '../pulled-fleet.ts'
import { suiteNeeds } from '../require.ts'

/** Of coreutils, only what the script names: whatever else it called would not be found. */
const PROGRAMS = [
  ...[
    'bash',
    'openssl',
    'base64',
    'dirname',
    'ls',
    'mktemp',
    'od',
    'rm',
    'sha256sum',
    'sort',
    'tr',
  ],
]
/** What the product promises: 2,000 facts in 60 s. */
const FACTS_PER_SECOND_MIN = 2000 / 60

function pathOf(program: string): string | undefined {
  return ['/usr/bin', '/bin'].map((room) => join(room, program)).find((path) => existsSync(path))
}

const suite = suiteNeeds('root, chroot, bash, openssl and coreutils', () => {
  if (process.getuid?.() !== 0) return 'not root'
  const missing = PROGRAMS.filter((program) => pathOf(program) === undefined)
  if (missing.length > 0) return `no ${missing.join(', ')}`
  return spawnSync('chroot', ['/', 'true']).status === 0
})

/** A folder with the programs and the libraries that they load, and nothing else. */
function buildCell(cell: string): void {
  for (const room of ['bin', 'dev', 'tmp']) mkdirSync(join(cell, room), { recursive: true })
  writeFileSync(join(cell, 'dev/null'), '')
  for (const program of PROGRAMS) {
    const path = realpathSync(pathOf(program) ?? '')
    cpSync(path, join(cell, 'bin', program))
    const libraries = execFileSync('ldd', [path], { encoding: 'utf8' })
    for (const [library] of libraries.matchAll(/\/\S+\.so\S*/g)) {
      mkdirSync(join(cell, dirname(library)), { recursive: true })
      cpSync(realpathSync(library), join(cell, library))
    }
  }
}

/** User and system time of the script, from bash's `times`: what else the machine does counts not. */
function cpuSeconds(said: string): number {
  const parts = [...(said.trimEnd().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)]
  if (parts.length !== 2) throw new Error(`no times in ${said}`)
  return parts.reduce((sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest), 0)
}

suite('verify.sh in a bare chroot', () => {
  let lived: PulledFleet
  let pull: string
  let cell: string
  let facts: number

  beforeAll(async () => {
    lived = await pulledFleet(1)
    const pulled = await lived.pull('host-01', 'chroot')
    pull = pulled.path
    facts = pulled.facts
    cell = join(lived.folder, 'cell')
    buildCell(cell)
  }, 120_000)
  afterAll(() => rmSync(lived.folder, { recursive: true, force: true }))

  function judged(from: string): { exit: number | null; said: string } {
    rmSync(join(cell, 'pull'), { recursive: true, force: true })
    cpSync(from, join(cell, 'pull'), { recursive: true })
    const script = '/bin/bash /pull/verify.sh "$1" /pull; code=$?; times; exit $code'
    const words = [cell, '/bin/bash', '-c', script, 'judge', lived.rootHash]
    const ran = spawnSync('chroot', words, {
      encoding: 'utf8',
      env: { PATH: '/usr/sbin:/sbin:/bin' },
    })
    return { exit: ran.status, said: `${ran.stdout}${ran.stderr}` }
  }

  it('accepts a clean pull, fast enough', () => {
    const { exit, said } = judged(pull)
    const seconds = cpuSeconds(said)
    expect(said).toContain(`verified ${facts} facts`)
    expect(said).not.toContain('not found')
    expect(exit).toBe(0)
    process.stderr.write(`verify.sh: ${facts} facts in ${seconds.toFixed(1)} s of one processor\n`)
    expect(facts / seconds).toBeGreaterThan(FACTS_PER_SECOND_MIN)
  })

  it.each<[string, string, (copy: string) => void]>([
    [
      'a flipped byte',
      'FACT',
      (copy) =>
        rewrite(longestFeed(copy).bundle, (bytes) => {
          bytes[200] = (bytes[200] ?? 0) ^ 1
          return bytes
        }),
    ],
    ['a missing tile', 'TILE', (copy) => rmSync(longestFeed(copy).tile)],
    [
      'a checkpoint taken away',
      'CHECKPOINT_BEHIND',
      (copy) => rmSync(checkpointsOf(copy).at(-1) ?? ''),
    ],
  ])('refuses %s with %s', (name, code, change) => {
    const { exit, said } = judged(forged(pull, `chroot ${name}`.replaceAll(' ', '-'), change))
    expect(said).toMatch(new RegExp(`^${code}: `, 'm'))
    expect(exit).toBe(4)
  })
})
