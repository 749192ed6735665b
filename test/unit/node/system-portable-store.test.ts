/** The portable store against corruption and crashes, and NARs on the disk. */
import { spawn } from 'node:child_process'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NAR_INDEXES_MAX } from '../../../node/limits.ts'
import type { StageSource } from '../../../node/ports.ts'
import { removeTree } from '../../../node/system/durable.ts'
import {
  digestOfDisk,
  enclosedTargetFault,
  narOfDisk,
  unpackNar,
} from '../../../node/system/nar-disk.ts'
import { NarRanges } from '../../../node/system/nar-ranges.ts'
import type { PortableSystem } from '../../../node/system/portable.ts'
import {
  fromHex,
  type ManifestPath,
  type NarNode,
  portableStoreName,
  sha256,
  toHex,
  writeNar,
} from '../../../protocol/index.ts'
import { type BuiltNars, buildPortable, bytesOf, pieces, sourceOf } from '../../portable-build.ts'
import { makeHostRoot, openHost, removeHostRoot, until } from './portable-host.ts'

let root: string
beforeEach(() => {
  root = makeHostRoot()
})
afterEach(() => removeHostRoot(root))

describe('staging', () => {
  it('refuses every single corruption and leaves the store as it was', async () => {
    const system = await opened()
    const built = await buildPortable(root, 'next')
    const [entry, nar] = soleNar(built)
    const before = inventory()
    let refusals = 0
    await fc.assert(
      fc.asyncProperty(corruption(nar.length), async (fault) => {
        const outcome = await system.stage(fault.path(entry).path, corrupted(entry, nar, fault))
        expect(outcome.ok).toBe(false)
        expect(inventory()).toEqual(before)
        refusals++
      }),
      { numRuns: 150 },
    )
    expect(refusals).toBe(150)
    expect(await system.stage(built.generation, sourceOf(built))).toEqual({ ok: true })
  })

  it.each([
    ['an absolute link', '/etc/passwd'],
    ['a link above the tree', '../../../etc/passwd'],
    ['a link up from behind a name', 'bin/../../..'],
  ])('refuses %s although every hash is right', async (_, target) => {
    const system = await opened()
    const link: NarNode = { kind: 'symlink', target }
    const built = await built1({ kind: 'directory', entries: [{ name: 'link', node: link }] })
    const before = inventory()
    const outcome = await system.stage(built.generation, sourceOf(built))
    expect(outcome).toMatchObject({ ok: false, why: 'signature' })
    expect(inventory()).toEqual(before)
  })

  it('refuses a link in place of the tree', async () => {
    const system = await opened()
    const built = await built1({ kind: 'symlink', target: 'elsewhere' })
    expect((await system.stage(built.generation, sourceOf(built))).ok).toBe(false)
  })

  it('brings in what a generation needs, and holds it only when all of it is there', async () => {
    const system = await opened()
    const needed = await built1(file('library'), 'library')
    const top = await buildPortable(root, 'next')
    const [topEntry] = soleNar(top)
    const [neededEntry] = soleNar(needed)
    const paths = [{ ...topEntry, references: [neededEntry.path] }, neededEntry]
    const partly = { ...sourceOf(top), paths }
    expect(await system.stage(top.generation, partly)).toMatchObject({ ok: false, why: 'fetch' })
    expect(await system.holds(top.generation)).toBe(false)
    const nars = new Map([...top.nars, ...needed.nars])
    const whole = sourceOf({ ...top, paths, nars })
    expect(await system.stage(top.generation, whole)).toEqual({ ok: true })
    expect(await system.holds(top.generation)).toBe(true)
    expect(await system.holds(needed.generation)).toBe(true)
  })

  it('writes read-only files without a time or an owner of their own', async () => {
    const system = await opened()
    const built = await buildPortable(root, 'next')
    await system.stage(built.generation, sourceOf(built))
    const tree = join(root, 'system', 'store', built.generation)
    const names = ['', 'bin', 'bin/switch-to-configuration', 'etc', 'etc/label']
    const modes = names.map((name) => (statSync(join(tree, name)).mode & 0o7777).toString(8))
    expect(modes).toEqual(['555', '555', '555', '555', '444'])
    expect(names.slice(2).map((name) => statSync(join(tree, name)).mtimeMs)).toEqual([
      1000, 1000, 1000,
    ])
    expect(await digestOfDisk(tree, 'it')).toEqual(await digestOfDisk(join(root, 'next'), 'it'))
  })
})

describe('a crash while staging', () => {
  it('after any chunk leaves nothing that lasts, and staging completes afterwards', async () => {
    const built = await buildPortable(root, 'next')
    const [, nar] = soleNar(built)
    await (await opened()).stage('x', { ...sourceOf(built), paths: [] })
    const before = inventory()
    const cuts = Array.from({ length: 12 }, (_, i) => Math.floor((i * nar.length) / 11))
    for (const cut of cuts) {
      await stopsAfter(cut, built, nar)
      const after = await opened()
      expect(inventory()).toEqual(before)
      expect(await after.holds(built.generation)).toBe(false)
    }
    expect(await (await opened()).stage(built.generation, sourceOf(built))).toEqual({ ok: true })
  })

  it('between the record and the tree leaves nothing that lasts', async () => {
    await opened()
    const before = inventory()
    const record = { narHash: '00'.repeat(32), narSize: 1, references: [] }
    writeFileSync(join(root, 'system', 'meta', 'lonely-record'), JSON.stringify(record))
    mkdirSync(join(root, 'system', 'store', 'lonely-tree'))
    mkdirSync(join(root, 'system', 'tmp', 'half'))
    await opened()
    expect(inventory()).toEqual(before)
  })

  it('by SIGKILL, at several moments, is made good by staging again', async () => {
    const built = await buildPortable(root, 'next')
    const [entry, nar] = soleNar(built)
    writeFileSync(join(root, 'nar'), nar)
    writeFileSync(join(root, 'manifest'), JSON.stringify(built.paths))
    await opened()
    const before = inventory()
    const seen: boolean[] = []
    for (const delayMs of [0, 15, 40]) {
      await killedWhileStaging(entry.path, delayMs)
      const after = await opened()
      const whole = await after.holds(built.generation)
      seen.push(whole)
      if (!whole) expect(inventory()).toEqual(before)
    }
    // Each kill came in the middle: a test that only ever saw the end would prove nothing.
    expect(seen).toContain(false)
    const after = await opened()
    expect(await after.stage(built.generation, sourceOf(built))).toEqual({ ok: true })
    expect(await digestOfDisk(join(root, 'system', 'store', entry.path), 'it')).toEqual({
      hash: entry.narHash,
      size: entry.narSize,
    })
  })
})

describe('a NAR on the disk', () => {
  it('comes back byte for byte, whatever the tree', async () => {
    let trees = 0
    await fc.assert(
      fc.asyncProperty(treeArbitrary(), async (tree) => {
        const nar = await bytesOf(writeNar(tree(), { whose: 'it' }))
        const path = join(root, `tree-${trees++}`)
        const options = { whose: 'it', bytesMax: nar.length, enclosed: false }
        const digest = await unpackNar(pieces(nar, 77), path, options)
        expect(digest).toEqual({ hash: toHex(sha256(nar)), size: nar.length })
        expect(await bytesOf(narOfDisk(path, 'it'))).toEqual(nar)
        const offset = Math.floor(nar.length / 3)
        expect(await bytesOf(narOfDisk(path, 'it', offset))).toEqual(nar.subarray(offset))
        const ranges = new NarRanges()
        for (const [from, to] of [
          [0, nar.length],
          [offset, nar.length + 8],
          [offset, offset + 13],
        ] as const) {
          expect(await bytesOf(ranges.read(path, from, to))).toEqual(nar.slice(from, to))
        }
      }),
      { numRuns: 40 },
    )
    expect(trees).toBe(40)
  })

  it('is read anywhere without a look at files elsewhere, and refused when one changed', async () => {
    const path = join(root, 'tree')
    mkdirSync(path)
    for (const name of ['a', 'b']) writeFileSync(join(path, name), name.repeat(100_000))
    const nar = await bytesOf(narOfDisk(path, 'it'))
    const ranges = new NarRanges()
    expect(await bytesOf(ranges.read(path, 0, 10))).toEqual(nar.slice(0, 10))
    // Same size, so that the layout holds: whoever reads only the end never opens the first file.
    rmSync(join(path, 'a'))
    const end = nar.length - 50_000
    expect(await bytesOf(ranges.read(path, end, nar.length))).toEqual(nar.slice(end))
    await expect(bytesOf(ranges.read(path, 0, nar.length))).rejects.toThrow(/ENOENT/)
    writeFileSync(join(path, 'a'), 'other')
    const changed = bytesOf(ranges.read(path, 0, nar.length))
    await expect(changed).rejects.toMatchObject({ code: 'NAR_MALFORMED' })
  })

  it('keeps few layouts, whatever is asked for', async () => {
    const ranges = new NarRanges()
    for (let i = 0; i < NAR_INDEXES_MAX + 20; i++) {
      const path = join(root, `link-${i}`)
      symlinkSync(`target-${i}`, path)
      const nar = await bytesOf(narOfDisk(path, 'it'))
      expect(await bytesOf(ranges.read(path, 0, nar.length))).toEqual(nar)
    }
    expect(ranges.count).toBe(NAR_INDEXES_MAX)
  })

  it('is never written through what lies there', async () => {
    mkdirSync(join(root, 'victim'))
    symlinkSync(join(root, 'victim'), join(root, 'trap'))
    const nar = await bytesOf(writeNar(file('x'), { whose: 'it' }))
    const options = { whose: 'it', bytesMax: nar.length, enclosed: true }
    await expect(unpackNar(pieces(nar, 8), join(root, 'trap'), options)).rejects.toThrow('EEXIST')
    expect(readdirSync(join(root, 'victim'))).toEqual([])
  })
})

describe('a symlink target', () => {
  it('that is allowed leads inside, as a walk over the names shows', () => {
    const part = fc.constantFrom('..', '.', 'a', 'b', '')
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), fc.nat(3), (parts, depth) => {
        const target = parts.join('/')
        fc.pre(target !== '')
        if (enclosedTargetFault(target, depth) !== undefined) return
        expect(target.startsWith('/')).toBe(false)
        let at = depth
        for (const name of parts) {
          if (name === '..') at--
          else if (name !== '' && name !== '.') at++
          expect(at).toBeGreaterThanOrEqual(0)
        }
      }),
    )
    expect(enclosedTargetFault('../lib/x', 1)).toBe(undefined)
    expect(enclosedTargetFault('../lib/x', 0)).not.toBe(undefined)
  })
})

/** One thing that is wrong with what a source says or sends. */
interface Corruption {
  readonly name: string
  path(path: ManifestPath): ManifestPath
  nar(nar: Uint8Array): Uint8Array
}

function corruption(length: number): fc.Arbitrary<Corruption> {
  const same = <T>(value: T): T => value
  const at = fc.nat(length - 1)
  return fc.oneof(
    at.map((cut) => ({
      name: `cut at ${cut}`,
      path: same,
      nar: (nar: Uint8Array) => nar.subarray(0, cut),
    })),
    fc.tuple(at, fc.nat(7)).map(([index, bit]) => ({
      name: `bit ${bit} of byte ${index}`,
      path: same,
      nar: (nar: Uint8Array) => nar.map((byte, i) => (i === index ? byte ^ (1 << bit) : byte)),
    })),
    fc.uint8Array({ minLength: 1, maxLength: 16 }).map((more) => ({
      name: 'more bytes',
      path: same,
      nar: (nar: Uint8Array) => new Uint8Array([...nar, ...more]),
    })),
    fc
      .integer({ min: -16, max: 16 })
      .filter((by) => by !== 0)
      .map((by) => ({
        name: `size off by ${by}`,
        path: (path: ManifestPath) => ({ ...path, narSize: path.narSize + by }),
        nar: same,
      })),
    fc.constant({
      name: 'the name of other contents',
      path: (path: ManifestPath) => ({
        ...path,
        path: portableStoreName(sha256(fromHex(path.narHash)), 'next'),
      }),
      nar: same,
    }),
    fc.constant({
      name: 'another hash',
      path: (path: ManifestPath) => ({ ...path, narHash: toHex(sha256(fromHex(path.narHash))) }),
      nar: same,
    }),
    fc.constantFrom('../escape', '/etc/escape', 'a/b', '..', 'x').map((path) => ({
      name: `the path ${path}`,
      path: (entry: ManifestPath) => ({ ...entry, path }),
      nar: same,
    })),
  )
}

function corrupted(entry: ManifestPath, nar: Uint8Array, fault: Corruption): StageSource {
  return {
    paths: [fault.path(entry)],
    caches: [],
    cacheKeys: [],
    nar: () => pieces(fault.nar(nar), 50),
  }
}

function treeArbitrary(): fc.Arbitrary<() => NarNode> {
  const name = fc.stringMatching(/^[a-z.é-]{1,8}$/).filter((text) => !/^\.\.?$/.test(text))
  const leaf = fc.oneof(
    fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.boolean()).map(([bytes, executable]) => {
      return (): NarNode => ({ kind: 'regular', executable, size: bytes.length, contents: [bytes] })
    }),
    name.map((target) => (): NarNode => ({ kind: 'symlink', target })),
  )
  const { tree } = fc.letrec<{ tree: () => NarNode }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 3 },
      leaf,
      fc.dictionary(name, tie('tree'), { maxKeys: 4 }).map((children) => (): NarNode => {
        const names = Object.keys(children).sort((a, b) =>
          Buffer.compare(Buffer.from(a), Buffer.from(b)),
        )
        const entries = names.map((key) => ({ name: key, node: children[key]?.() ?? file('') }))
        return { kind: 'directory', entries }
      }),
    ),
  }))
  return tree
}

function file(text: string): NarNode {
  const bytes = Buffer.from(text)
  return { kind: 'regular', executable: false, size: bytes.length, contents: [bytes] }
}

async function built1(node: NarNode, name: string = 'odd'): Promise<BuiltNars> {
  const nar = await bytesOf(writeNar(node, { whose: name }))
  const narHash = toHex(sha256(nar))
  const path = portableStoreName(fromHex(narHash), name)
  const entry = { path, narHash, narSize: nar.length, references: [], signatures: [] }
  return { generation: path, closure: [path], paths: [entry], nars: new Map([[narHash, nar]]) }
}

function soleNar(built: BuiltNars): [ManifestPath, Uint8Array] {
  const entry = built.paths[0]
  const nar = entry && built.nars.get(entry.narHash)
  if (!nar) throw new Error('expected one NAR')
  return [entry, nar]
}

/** A daemon that stops for good in the middle: its staging never goes on. */
async function stopsAfter(cut: number, built: BuiltNars, nar: Uint8Array): Promise<void> {
  const system = await opened()
  await new Promise<void>((stopped) => {
    async function* stops(): AsyncGenerator<Uint8Array> {
      yield* pieces(nar.subarray(0, cut), 64)
      stopped()
      await new Promise(() => undefined)
    }
    void system.stage(built.generation, sourceOf(built, { nar: stops }))
  })
}

async function killedWhileStaging(generation: string, delayMs: number): Promise<void> {
  const source = `
    import { readFileSync, writeFileSync } from 'node:fs'
    import { openPortableSystem } from ${JSON.stringify(resolve('node/system/portable.ts'))}
    const root = ${JSON.stringify(root)}
    const nar = readFileSync(root + '/nar')
    const system = await openPortableSystem({
      directory: root + '/system', stateDirectory: root + '/state', bootIdFile: root + '/boot-id',
    })
    async function* slowly() {
      writeFileSync(root + '/staging', '')
      for (let at = 0; at < nar.length; at += 32) {
        yield nar.subarray(at, at + 32)
        await new Promise((resolve) => setTimeout(resolve, 3))
      }
    }
    const paths = JSON.parse(readFileSync(root + '/manifest', 'utf8'))
    await system.stage(${JSON.stringify(generation)}, { paths, caches: [], cacheKeys: [], nar: slowly })`
  const args = ['--import', 'tsx', '--input-type=module', '--eval', source]
  const child = spawn(process.execPath, args, { stdio: 'inherit' })
  const ended = new Promise((done) => child.once('exit', done))
  await until(async () => readdirSync(root).includes('staging'))
  await new Promise((done) => setTimeout(done, delayMs))
  child.kill('SIGKILL')
  await ended
  await removeTree(join(root, 'staging'))
}

function opened(): Promise<PortableSystem> {
  return openHost(root)
}

/** Everything that lasts: names and contents of the store and its records. */
function inventory(): string[] {
  return ['store', 'meta', 'tmp']
    .flatMap((name) => {
      const path = join(root, 'system', name)
      return readdirSync(path, { recursive: true, encoding: 'utf8' }).map((entry) => {
        const status = lstatSync(join(path, entry))
        return `${name}/${entry} ${status.mode} ${status.isFile() ? status.size : ''}`
      })
    })
    .sort()
}
