/**
 * Our NAR, narinfo and signatures against an installed Nix: it dumps what we write, restores what we
 * wrote, takes nothing less than we take, and substitutes from a cache whose files are all ours.
 */
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { NarRanges } from '../../node/system/nar-ranges.ts'
import { sha256 } from '../../protocol/crypto.ts'
import { compareNarNames } from '../../protocol/nar.ts'
import { parseNarinfo, printNarinfo, verifyNarinfo } from '../../protocol/narinfo.ts'
import { printSha256 } from '../../protocol/nix-hash.ts'
import { nixPublicKeyOf, parseTrustedNixKeys, signPathInfo } from '../../protocol/nix-signature.ts'
import { portableStoreName, storeHashOf, storePathOf } from '../../protocol/store-path.ts'
import { bytesOf } from '../portable-build.ts'
import { suiteNeeds } from '../require.ts'
import {
  anyMutation,
  anyTree,
  eventsOf,
  narOf,
  type PlainTree,
  treeOf,
} from '../unit/protocol/nar-trees.ts'

const suite = suiteNeeds('Nix', () => spawnSync('nix', ['--version']).status === 0)

suite('beside the installed Nix', () => {
  let folder = ''
  let count = 0
  const fresh = (): string => join(folder, `tree-${count++}`)

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'nixfleet-nar-'))
    const settings = ['sandbox = false', 'build-users-group =', 'substituters =']
    const features = 'experimental-features = nix-command'
    mkdirSync(join(folder, 'conf'))
    writeFileSync(join(folder, 'conf', 'nix.conf'), `${[...settings, features].join('\n')}\n`)
  })

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  function nix(command: string, args: readonly string[], input: Uint8Array = new Uint8Array(0)) {
    return spawnSync(command, args, {
      input,
      maxBuffer: 64 * 1024 * 1024,
      env: {
        PATH: process.env['PATH'],
        LC_ALL: 'C.UTF-8',
        HOME: join(folder, 'home'),
        NIX_CONF_DIR: join(folder, 'conf'),
        NIX_STATE_DIR: join(folder, 'state'),
        XDG_CACHE_HOME: join(folder, `cache-${count++}`),
      },
    })
  }

  it('the NAR of any tree is what nix-store --dump prints, with the hash that nix-hash prints', async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, async (tree) => {
        const path = fresh()
        plant(path, tree)
        const nar = await narOf(tree)
        expect(nar).toEqual(new Uint8Array(nix('nix-store', ['--dump', path]).stdout))
        const hash = nix('nix-hash', ['--type', 'sha256', '--base32', path]).stdout.toString()
        expect(printSha256(sha256(nar), 'base32')).toBe(`sha256:${hash.trim()}`)
      }),
      { numRuns: 40 },
    )
  })

  it('nix-store --restore unpacks the NAR of any tree to that tree', async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, async (tree) => {
        const path = fresh()
        expect(nix('nix-store', ['--restore', path], await narOf(tree)).status).toBe(0)
        expect(harvest(path)).toEqual(tree)
      }),
      { numRuns: 40 },
    )
  })

  it('any stretch of a tree on the disk is that stretch of what nix-store --dump prints', async () => {
    const ranges = new NarRanges()
    await fc.assert(
      fc.asyncProperty(anyTree, fc.nat(), fc.nat(300), async (tree, at, length) => {
        const path = fresh()
        plant(path, tree)
        const nar = new Uint8Array(nix('nix-store', ['--dump', path]).stdout)
        const from = at % nar.length
        expect(await bytesOf(ranges.read(path, from, from + length))).toEqual(
          nar.slice(from, from + length),
        )
      }),
      { numRuns: 60 },
    )
  })

  it('whatever we take of a NAR whose blocks are moved, doubled or cut, Nix takes as the same tree', async () => {
    let taken = 0
    let refused = 0
    await fc.assert(
      fc.asyncProperty(
        anyTree,
        fc.array(anyMutation, { minLength: 1, maxLength: 3 }),
        async (tree, mutations) => {
          const nar = mutations.reduce((bytes, mutate) => mutate(bytes), await narOf(tree))
          const ours = await eventsOf([nar]).then(treeOf, () => undefined)
          if (ours) {
            const path = fresh()
            expect(nix('nix-store', ['--restore', path], nar).status).toBe(0)
            expect(harvest(path)).toEqual(ours)
            taken++
          } else refused++
        },
      ),
      { numRuns: 1500 },
    )
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  })

  it('whatever we take of a damaged NAR, Nix takes, as the same tree', async () => {
    let taken = 0
    let refused = 0
    await fc.assert(
      fc.asyncProperty(anyTree, fc.nat(), fc.nat(7), async (tree, at, bit) => {
        const nar = await narOf(tree)
        const place = at % nar.length
        nar[place] = (nar[place] ?? 0) ^ (1 << bit)
        const ours = await eventsOf([nar]).then(treeOf, () => undefined)
        if (ours) {
          const path = fresh()
          expect(nix('nix-store', ['--restore', path], nar).status).toBe(0)
          expect(harvest(path)).toEqual(ours)
          taken++
        } else refused++
      }),
      { numRuns: 400 },
    )
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  })

  it('Nix substitutes from a cache that we wrote and signed, and only with our key trusted', async () => {
    const secretKey = nix('nix', [
      'key',
      'generate-secret',
      '--key-name',
      'ours-1',
    ]).stdout.toString()
    const publicKey = nixPublicKeyOf(secretKey)
    const converted = nix('nix', ['key', 'convert-secret-to-public'], Buffer.from(secretKey))
    expect(converted.stdout.toString()).toBe(publicKey)

    const cache = join(folder, 'cache')
    const tree = fc.sample(anyTree, { numRuns: 20, seed: 1 }).find((t) => t.kind === 'directory')
    if (!tree) throw new Error('expected a directory among 20 trees')
    const { path, text } = await writeCache(cache, tree, secretKey)

    const stranger = publicKey.replace('ours-1', 'other-1')
    expect(copy(cache, 'refused', path, stranger).status).not.toBe(0)
    expect(copy(cache, 'taken', path, publicKey).status).toBe(0)
    expect(harvest(join(folder, 'taken', path))).toEqual(tree)

    const back = join(folder, 'back')
    const store = `local?root=${join(folder, 'taken')}`
    const args = ['copy', '--from', store, '--to', `file://${back}?compression=none`, path]
    expect(nix('nix', args).status).toBe(0)
    const name = readdirSync(back).find((file) => file.endsWith('.narinfo')) ?? ''
    const theirs = parseNarinfo(readFileSync(join(back, name)), 'what Nix copied on')
    expect(verifyNarinfo(theirs, parseTrustedNixKeys([publicKey])).ok).toBe(true)
    expect({ ...theirs, url: 'nar/ours.nar' }).toEqual(parseNarinfo(Buffer.from(text), 'ours'))
  })

  async function writeCache(cache: string, tree: PlainTree, secretKey: string) {
    const nar = await narOf(tree)
    const narHash = sha256(nar)
    const name = portableStoreName(narHash, 'system-web-01')
    const info = { storePath: storePathOf(name), narHash, narSize: nar.length, references: [] }
    const text = printNarinfo({
      ...info,
      url: 'nar/ours.nar',
      compression: 'none',
      fileHash: narHash,
      fileSize: nar.length,
      signatures: [signPathInfo(info, secretKey)],
    })
    mkdirSync(join(cache, 'nar'), { recursive: true })
    writeFileSync(join(cache, 'nix-cache-info'), 'StoreDir: /nix/store\n')
    writeFileSync(join(cache, 'nar', 'ours.nar'), nar)
    writeFileSync(join(cache, `${storeHashOf(name)}.narinfo`), text)
    return { path: info.storePath, text }
  }

  function copy(cache: string, root: string, path: string, trustedKey: string) {
    const to = `local?root=${join(folder, root)}`
    const trust = ['--option', 'trusted-public-keys', trustedKey]
    return nix('nix', ['copy', '--from', `file://${cache}`, '--to', to, path, ...trust])
  }
})

/** Puts `tree` on the disk at `path`. */
function plant(path: string, tree: PlainTree): void {
  if (tree.kind === 'symlink') {
    symlinkSync(tree.target, path)
  } else if (tree.kind === 'regular') {
    writeFileSync(path, Buffer.from(tree.contents, 'base64'))
    chmodSync(path, tree.executable ? 0o755 : 0o644)
  } else {
    mkdirSync(path)
    for (const { name, node } of tree.entries) plant(join(path, name), node)
  }
}

/** The tree that lies on the disk at `path`. */
function harvest(path: string): PlainTree {
  const stat = lstatSync(path)
  if (stat.isSymbolicLink()) return { kind: 'symlink', target: readlinkSync(path) }
  if (stat.isFile()) {
    const contents = readFileSync(path).toString('base64')
    return { kind: 'regular', executable: (stat.mode & 0o100) !== 0, contents }
  }
  const names = readdirSync(path).sort(compareNarNames)
  return {
    kind: 'directory',
    entries: names.map((name) => ({ name, node: harvest(join(path, name)) })),
  }
}
