/**
 * The system's contract over real Nix, and what Nix must never let in.
 *
 * The host needs a literal /nix/store of its own, so this file runs itself again in a mount namespace
 * with an empty /nix. Generations are built and signed in a second one, the builder's.
 */
import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { System } from '../../node/ports.ts'
import { removeTree, swapLink } from '../../node/system/durable.ts'
import { openNixSystem } from '../../node/system/nix.ts'
import { parsePathInfo, toManifestPath } from '../../node/system/nix-info.ts'
import { type SystemSubject, systemContract } from '../contract/system.ts'
import { type BuiltNars, sourceOf } from '../portable-build.ts'
import { suiteNeeds } from '../require.ts'

const run = promisify(execFile)
const inside = process.env['NIXFLEET_NIX_TEST_ROOT']
const GIVE_UP_MS = 20_000

if (inside === undefined) {
  suiteNeeds('Nix, and root for mount namespaces', hasNix)('over real Nix', () => {
    it('the system keeps its contract, in a /nix of its own', async () => {
      const root = await mkdtemp(join(tmpdir(), 'nixfleet-nix-'))
      await mkdir(join(root, 'host', 'nix'), { recursive: true })
      await mkdir(join(root, 'builder', 'nix'), { recursive: true })
      await mkdir('/nix', { recursive: true })
      const self = fileURLToPath(import.meta.url)
      const line = 'mount --bind "$1/host/nix" /nix && exec npx vitest run --project nix "$2"'
      const args = ['-m', '--propagation', 'private', 'sh', '-c', line, 'sh', root, self]
      const env = { ...process.env, NIXFLEET_NIX_TEST_ROOT: root }
      const ended = await run('unshare', args, { env, maxBuffer: 1 << 24 }).catch((error) => error)
      await removeTree(root)
      expect(`${ended.code ?? 0}\n${ended.stdout}\n${ended.stderr}`).toMatch(/^0\n/)
    })
  })
} else {
  systemContract('nix', () => openHost(inside))
  tamperingSuite(inside)
}

function tamperingSuite(root: string): void {
  describe('a path from a cache', () => {
    it('comes in when a trusted key signed it', async () => {
      const host = await openHost(root)
      const built = await host.build('cached')
      const source = sourceOf(built, { caches: [`file://${root}/cache`], nar: nobody })
      expect(await host.system().stage(built.generation, source)).toEqual({ ok: true })
      await host.close()
    })

    it('and from peers is refused when nobody whom we trust signed it', async () => {
      const host = await openHost(root, { cacheKeys: [] })
      const built = await host.build('untrusted')
      for (const source of [
        sourceOf(built, { caches: [`file://${root}/cache`], nar: nobody }),
        sourceOf(built),
        sourceOf({ ...built, paths: built.paths.map((path) => ({ ...path, signatures: [] })) }),
      ]) {
        const outcome = await host.system().stage(built.generation, source)
        expect(outcome).toMatchObject({ ok: false, why: 'signature' })
        expect(await host.system().holds(built.generation)).toBe(false)
      }
      await host.close()
    })

    it('is refused, though Nix took it, when the signed manifest says otherwise', async () => {
      const host = await openHost(root)
      const built = await host.build('other')
      const paths = built.paths.map((path) => ({ ...path, narHash: '07'.repeat(32) }))
      const source = sourceOf({ ...built, paths }, { caches: [`file://${root}/cache`] })
      const outcome = await host.system().stage(built.generation, source)
      expect(outcome).toMatchObject({ ok: false, why: 'signature' })
      await host.close()
    })
  })

  describe('the boot default', () => {
    it('tells the boot loader, and a root keeps what is pinned', async () => {
      const host = await openHost(root)
      const built = await host.build('booted')
      await host.system().stage(built.generation, sourceOf(built))
      await host.system().setBootDefault(built.generation)
      const log = await readFile(join(root, 'switches'), 'utf8')
      expect(log.trim().split('\n').at(-1)).toMatch(/^booted-\d+ boot$/)
      await host.system().pin([built.generation])
      const { stdout } = await run('nix-store', ['--query', '--roots', built.generation], {
        env: nixEnv(root),
      })
      expect(stdout).toContain('gcroots')
      await host.system().pin([])
      await host.close()
    })
  })
}

let hosts = 0

async function openHost(
  root: string,
  changes: { readonly cacheKeys?: readonly string[] } = {},
): Promise<SystemSubject> {
  const directory = join(root, `system-${hosts++}`)
  await mkdir(directory)
  const bootIdFile = join(directory, 'boot-id')
  const runningLink = join(directory, 'current-system')
  const profile = join(directory, 'profile')
  const key = await publicKey(root)
  const open = (keys: readonly string[]): Promise<System> =>
    openNixSystem({
      directory,
      env: nixEnv(root),
      profile,
      runningLink,
      cacheKeys: keys,
      supervisor: 'session',
      bootIdFile,
    })
  let boots = 1
  await writeFile(bootIdFile, 'boot-1\n')
  const build = (label: string, fails: boolean): Promise<BuiltNars> =>
    buildInBuilder(root, { label: `${label}-${hosts}`, runningLink, fails })
  const first = await build('first', false)
  const enrolling = await open([key])
  await enrolling.stage(first.generation, sourceOf(first))
  await enrolling.setBootDefault(first.generation)
  await symlink(first.generation, runningLink)
  const keys = changes.cacheKeys ?? [key]
  let system = await open(keys)
  return {
    initial: first.generation,
    system: () => system,
    build: (label, { fails } = { fails: false }) => build(label, fails),
    restart: async () => {
      system = await open(keys)
    },
    reboot: async () => {
      boots++
      await writeFile(bootIdFile, `boot-${boots}\n`)
      await swapLink(runningLink, await system.bootDefault())
      system = await open(keys)
    },
    settled: (promise) => promise,
    until: async (condition) => {
      const giveUp = Date.now() + GIVE_UP_MS
      while (!(await condition())) {
        if (Date.now() > giveUp) throw new Error('expected a condition to hold within 20 s')
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    close: async () => {
      await writeFile(bootIdFile, 'over\n')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Builds, signs and publishes one generation in the builder's own /nix. */
async function buildInBuilder(
  root: string,
  generation: { readonly label: string; readonly runningLink: string; readonly fails: boolean },
): Promise<BuiltNars> {
  const { label, runningLink, fails } = generation
  const test = fails ? 'exit 1' : `ln -sfn $out ${runningLink}`
  const script = [
    'mkdir -p $out/bin',
    `echo '#!/bin/sh' >$out/bin/switch-to-configuration`,
    `echo "echo ${label} \\$1 >>${root}/switches" >>$out/bin/switch-to-configuration`,
    `echo "[ \\$1 != test ] || ${test}" >>$out/bin/switch-to-configuration`,
    'chmod +x $out/bin/switch-to-configuration',
  ].join('\n')
  const file = join(root, `${label}.nix`)
  await writeFile(
    file,
    `derivation { name = "${label}"; system = builtins.currentSystem; builder = "/bin/sh";
      PATH = "/usr/bin:/bin"; args = [ "-c" ${JSON.stringify(script).replaceAll('${', '\\${')} ]; }\n`,
  )
  const path = (await inBuilder(root, `nix-build --no-out-link '${file}'`)).trim()
  await publicKey(root)
  await inBuilder(root, `nix store sign -k '${root}/secret' -r '${path}'`)
  await inBuilder(root, `nix copy --to 'file://${root}/cache?compression=none' '${path}'`)
  const paths = parsePathInfo(await inBuilder(root, `nix path-info --json -r '${path}'`)).map(
    toManifestPath,
  )
  const nars = new Map<string, Uint8Array>()
  for (const entry of paths) {
    await inBuilder(root, `nix-store --dump '${entry.path}' >'${root}/nar'`)
    nars.set(entry.narHash, new Uint8Array(await readFile(join(root, 'nar'))))
  }
  return { generation: path, closure: paths.map((entry) => entry.path), paths, nars }
}

async function inBuilder(root: string, line: string): Promise<string> {
  const inner = `mount --bind '${root}/builder/nix' /nix && ${line}`
  const args = ['-m', '--propagation', 'private', 'sh', '-c', inner]
  return (await run('unshare', args, { env: nixEnv(root) })).stdout
}

async function publicKey(root: string): Promise<string> {
  const file = join(root, 'secret')
  const known = await readFile(file, 'utf8').catch(() => undefined)
  if (known === undefined) {
    await mkdir(join(root, 'conf'), { recursive: true })
    await mkdir(join(root, 'home'), { recursive: true })
    await writeFile(
      join(root, 'conf', 'nix.conf'),
      'sandbox = false\nbuild-users-group =\nexperimental-features = nix-command\nsubstituters =\n',
    )
    const env = nixEnv(root)
    await writeFile(
      file,
      (await run('nix', ['key', 'generate-secret', '--key-name', 'test-1'], { env })).stdout,
    )
  }
  return (await inBuilder(root, `nix key convert-secret-to-public <'${file}'`)).trim()
}

function nixEnv(root: string): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: join(root, 'home'),
    XDG_CACHE_HOME: join(root, 'home', 'cache'),
    NIX_CONF_DIR: join(root, 'conf'),
    NIX_REMOTE: 'local',
  }
}

function nobody(): AsyncIterable<Uint8Array> {
  throw new Error('no peer holds it')
}

function hasNix(): boolean | string {
  if (process.getuid?.() !== 0) return 'not root'
  if (spawnSync('nix', ['--version']).status !== 0) return 'nix is not installed'
  return spawnSync('unshare', ['-m', 'true']).status === 0 || 'no mount namespaces'
}
