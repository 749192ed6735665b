/**
 * Each node as a binary cache, for real Nix with `require-sigs` on: paths of a release out of the swarm,
 * others out of an upstream cache, and every way in which what arrives could be wrong.
 *
 * Whoever takes a path is a machine whose store is empty: a literal /nix with nothing in it.
 */
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, open, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { suiteNeeds } from '../require.ts'
import { nixEnvironment } from './builder.ts'
import { canHoldMachines, type Ended, Machine } from './machine.ts'
import { NixFleet } from './nix-fleet.ts'

const MIB = 1024 * 1024
const PARTS = ['a', 'b', 'c']
const PART_MIB = 52

suiteNeeds('Nix, and root for namespaces', canHoldMachines)('the substituter', () => {
  let fleet: NixFleet
  let large: string
  const machines: Machine[] = []

  beforeAll(async () => {
    fleet = await NixFleet.start()
    const ballast = await plantBallast(join(fleet.folder, 'ballast'))
    large = await fleet.builder.publish({ label: 'large', ballast, compression: 'none' })
    const release = await fleet.announce('large', new Map([['alder', large]]))
    // Nobody is to hold it for alder: chance would choose who.
    const options = ['--strategy', 'all-at-once', '--holders', '0']
    const done = await fleet.deploy({ release, hosts: ['alder'], options })
    expect(done).toMatchObject({ code: 0, status: { state: 'complete' } })
  })
  afterEach(async ({ task }) => {
    for (const machine of machines.splice(0)) {
      await machine.off()
      await rm(join(machine.folder, 'nix'), { recursive: true, force: true })
    }
    if (task.result?.state !== 'fail') return
    for (const host of fleet.hosts) process.stderr.write(`${host.name}:\n${await host.log()}\n`)
  })
  afterAll(() => fleet?.stop())

  it('fills an empty store with a large closure from a peer, and nothing else is asked for it', async () => {
    const asked = fleet.builder.cache.requests.length
    const birch = fleet.host('birch')
    const empty = await emptyMachine()
    const got = await take(empty, birch.substituter, large)
    expect(got).toMatchObject({ code: 0 })
    const info = JSON.parse(
      await empty.run('nix', 'path-info', '--json', '-S', large),
    ) as readonly [{ closureSize: number }]
    expect(info[0].closureSize).toBeGreaterThanOrEqual(150 * MIB)
    await empty.run('nix', 'store', 'verify', '--all', ...(await trusting()))
    // Birch never staged it, and the cache where it was built was left alone: it came from alder.
    expect(await birch.holds(large)).toBe(false)
    expect(fleet.builder.cache.requests.slice(asked)).toEqual([])
  })

  it('serves nix build and nix-store --realise, and what a host then holds it gives to others', async () => {
    const asked = fleet.builder.cache.requests.length
    const cedar = fleet.host('cedar')
    const options = [...(await trusting()), '--option', 'substituters', cedar.substituter]
    const built = await cedar.machine.try('nix', 'build', '--no-link', large, ...options)
    expect(built).toMatchObject({ code: 0 })
    expect(await cedar.holds(large)).toBe(true)
    const empty = await emptyMachine()
    await empty.run('nix-store', '--realise', large, ...options)
    await empty.run('nix', 'store', 'verify', '--all', ...(await trusting()))
    expect(fleet.builder.cache.requests.slice(asked)).toEqual([])
  })

  it('answers ranges, so that a broken transfer goes on where it was', async () => {
    const base = fleet.host('alder').substituter
    const narinfo = await (await fetch(infoUrl(base, large))).text()
    const url = `${base}/${/^URL: (.*)$/m.exec(narinfo)?.[1]}`
    const whole = Buffer.from(await (await fetch(url)).arrayBuffer())
    const rest = await fetch(url, { headers: { range: 'bytes=100-' } })
    expect([rest.status, rest.headers.get('content-range')]).toEqual([
      206,
      `bytes 100-${whole.length - 1}/${whole.length}`,
    ])
    expect(Buffer.from(await rest.arrayBuffer()).equals(whole.subarray(100))).toBe(true)
    const beyond = await fetch(url, { headers: { range: `bytes=${whole.length}-` } })
    expect(beyond.status).toBe(416)
  })

  it('passes on what an upstream cache holds, and only what is signed by a trusted key', async () => {
    const path = await fleet.builder.publish({ label: 'upstream' })
    const empty = await emptyMachine()
    expect(await take(empty, fleet.host('dogwood').substituter, path, [])).not.toMatchObject({
      code: 0,
    })
    expect(await isHeld(empty, path)).toBe(false)
    expect(await take(empty, fleet.host('dogwood').substituter, path)).toMatchObject({ code: 0 })
    await empty.run('nix', 'store', 'verify', '--all', ...(await trusting()))
  })

  it.each(spoilings())(
    'refuses a path of an upstream cache $title',
    async ({ label, key, spoil }) => {
      const { builder } = fleet
      const twin = await builder.publish({ label: `${label}-twin` })
      const path = await builder.publish({ label, ...(key === undefined ? {} : { key }) })
      await spoil({ fleet, path, twin })
      const empty = await emptyMachine()
      const { substituter } = fleet.host('dogwood')
      expect(await take(empty, substituter, path)).not.toMatchObject({ code: 0 })
      expect(await isHeld(empty, path)).toBe(false)
      // What is good beside it is taken: the refusal was for the path.
      expect(await take(empty, substituter, twin)).toMatchObject({ code: 0 })
      await empty.run('nix', 'store', 'verify', '--all', ...(await trusting()))
    },
  )

  it.each([
    ['an unknown key', 'stranger-3'],
    ['nobody', undefined],
  ])('never signs: a path of a release that is signed by %s is refused', async (_, key) => {
    const { builder } = fleet
    const label = `unvouched-${key ?? 'unsigned'}`
    const path = await builder.build({ label })
    if (key !== undefined) await builder.sign(path, key)
    await fleet.announce(label, new Map([['alder', path]]))
    // The host that built it, as a member: alder has it, though Nix there would not have taken it.
    await builder.machine.run(
      'sh',
      '-c',
      `nix-store --export $(nix-store -qR ${path}) >"$0"`,
      join(fleet.folder, 'export'),
    )
    await fleet
      .host('alder')
      .machine.run('sh', '-c', 'nix-store --import <"$0"', join(fleet.folder, 'export'))
    const { substituter } = fleet.host('alder')
    const info = await fetch(infoUrl(substituter, path))
    expect(info.status).toBe(200)
    expect(await info.text()).not.toContain('good-1')
    const empty = await emptyMachine()
    expect(await take(empty, substituter, path)).not.toMatchObject({ code: 0 })
    expect(await isHeld(empty, path)).toBe(false)
  })

  it('is told apart by cache check, and filled by cache push', async () => {
    const label = 'checked'
    const path = await fleet.builder.publish({ label })
    const release = await fleet.announce(label, new Map([['alder', path]]))
    const check = async (...args: readonly string[]): Promise<Ended> =>
      fleet.cli('alder', 'cache', 'check', release, ...args, '--json')
    expect(await check()).toMatchObject({ code: 0 })
    const copy = `file://${join(fleet.folder, 'pushed')}`
    expect((await check('--cache', copy)).stderr).toContain('NF-3101')
    expect(await fleet.cli('alder', 'cache', 'push', release, '--to', copy)).toMatchObject({
      code: 0,
    })
    expect(await check('--cache', copy)).toMatchObject({ code: 0 })
    const { cache } = fleet.builder
    await cache.changeInfo(path, (text) => text.replace(/^Sig: .*\n/gm, ''))
    const found = await check('--cache', cache.url, '--cache', copy)
    expect(found.code).toBe(1)
    const { items, nowhere } = JSON.parse(found.stdout) as {
      items: readonly { faults: readonly object[] }[]
      nowhere: readonly string[]
    }
    expect(items.map(({ faults }) => faults)).toEqual([[{ path, why: 'unsigned' }], []])
    expect(nowhere).toEqual([])
    const lost = await fleet.cli('alder', 'cache', 'push', release, '--to', 'file:///proc/nowhere')
    expect(lost.code).toBe(1)
    expect(lost.stderr).toContain('NF-3102')
  })

  it('gives no client what a peer holds damaged, and offers it no more', async () => {
    const held = damages().map((damage) => ({ ...damage, path: '' }))
    for (const one of held) one.path = await fleet.builder.publish({ label: one.label })
    const paths = held.map(({ path }) => path)
    const alder = fleet.host('alder')
    const options = await trusting()
    await alder.machine.run('nix', 'copy', '--from', fleet.builder.cache.url, ...options, ...paths)
    for (const { path } of held) {
      await fleet.announce(basename(path), new Map([['alder', path]]))
      expect(await (await fetch(infoUrl(alder.substituter, path))).text()).toContain('good-1')
      await rm(fleet.builder.cache.infoFile(path))
    }
    await Promise.all(
      held.map(async ({ path, taker, damage }) => {
        await damage(join(alder.machine.folder, path.slice(1), 'bin', 'switch-to-configuration'))
        const cache = fleet.host(taker).substituter
        expect((await fetch(infoUrl(cache, path))).status).toBe(200)
        const empty = await emptyMachine()
        expect(await take(empty, cache, path)).not.toMatchObject({ code: 0 })
        expect(await isHeld(empty, path)).toBe(false)
      }),
    )
  })

  async function emptyMachine(): Promise<Machine> {
    const folder = join(fleet.folder, `empty-${randomBytes(4).toString('hex')}`)
    const machine = await Machine.boot(folder, await nixEnvironment(folder))
    expect(await readdir(join(folder, 'nix'))).toEqual(['var'])
    machines.push(machine)
    return machine
  }

  async function trusting(): Promise<readonly string[]> {
    return ['--option', 'trusted-public-keys', await fleet.builder.publicKey('good-1')]
  }

  /** What Nix itself does with a path of a cache. */
  async function take(
    machine: Machine,
    cache: string,
    path: string,
    options?: readonly string[],
  ): Promise<Ended> {
    const trust = options ?? (await trusting())
    const ttl = ['--option', 'narinfo-cache-negative-ttl', '0']
    return await machine.try('nix', 'copy', '--from', cache, ...trust, ...ttl, path)
  }
})

function infoUrl(cache: string, path: string): string {
  return `${cache}/${basename(path).slice(0, 32)}.narinfo`
}

async function isHeld(machine: Machine, path: string): Promise<boolean> {
  return (await machine.try('nix-store', '--check-validity', path)).code === 0
}

async function plantBallast(folder: string): Promise<string> {
  for (const part of PARTS) {
    await mkdir(join(folder, part, 'share'), { recursive: true })
    await writeFile(join(folder, part, 'share', 'blob'), randomBytes(PART_MIB * MIB))
  }
  return folder
}

interface Spoiling {
  readonly title: string
  readonly label: string
  readonly key?: string
  spoil(at: { fleet: NixFleet; path: string; twin: string }): Promise<void>
}

/** The table of what a binary cache can do wrong, over what it holds of `path`. */
function spoilings(): readonly Spoiling[] {
  const change =
    (how: (text: string) => string): Spoiling['spoil'] =>
    ({ fleet, path }) =>
      fleet.builder.cache.changeInfo(path, how)
  const nothing = async (): Promise<void> => undefined
  return [
    { title: 'signed by an unknown key', label: 'foreign', key: 'stranger-1', spoil: nothing },
    {
      title: 'without a signature',
      label: 'unsigned',
      spoil: change((text) => text.replace(/^Sig: .*\n/gm, '')),
    },
    {
      title: 'whose NAR was replaced by another',
      label: 'replaced',
      spoil: async ({ fleet: { builder }, path, twin }) =>
        copyFile(await builder.cache.narFile(twin), await builder.cache.narFile(path)),
    },
    {
      title: 'whose NAR is cut short',
      label: 'truncated',
      spoil: async ({ fleet, path }) => truncate(await fleet.builder.cache.narFile(path), 100),
    },
    {
      title: 'whose NAR has one byte changed',
      label: 'flipped',
      spoil: async ({ fleet, path }) => flip(await fleet.builder.cache.narFile(path)),
    },
    {
      title: 'whose NAR is missing',
      label: 'missing',
      spoil: async ({ fleet, path }) => rm(await fleet.builder.cache.narFile(path)),
    },
    {
      title: 'whose signature has another length',
      label: 'malformed',
      spoil: change((text) => text.replace(/^Sig: .*$/m, 'Sig: good-1:AAAA')),
    },
    {
      title: 'whose references were changed',
      label: 'rereferenced',
      spoil: change((text) => text.replace(/^References: \S+ /m, 'References: ')),
    },
    {
      title: 'whose signature was given to an unknown key',
      label: 'renamed',
      spoil: change((text) => text.replace(/^Sig: good-1:/m, 'Sig: stranger-9:')),
    },
    {
      title: 'that is another one under its old signature',
      label: 'substituted',
      spoil: async ({ fleet: { builder }, path, twin }) => {
        const other = await builder.infoOf(twin)
        const fields = ['URL', 'FileHash', 'FileSize', 'NarHash', 'NarSize']
        const lines = await Promise.all(
          fields.map(async (name) => [name, await builder.cache.field(twin, name)] as const),
        )
        expect(other.compression).toBe('zstd')
        await builder.cache.changeInfo(path, (text) =>
          lines.reduce(
            (all, [name, value]) =>
              all.replace(new RegExp(`^${name}: .*$`, 'm'), `${name}: ${value}`),
            text,
          ),
        )
      },
    },
    {
      title: 'with the signature of another path',
      label: 'missigned',
      spoil: async ({ fleet: { builder }, path, twin }) => {
        const signature = await builder.cache.field(twin, 'Sig')
        await builder.cache.changeInfo(path, (text) =>
          text.replace(/^Sig: .*$/m, `Sig: ${signature}`),
        )
      },
    },
  ]
}

/** What can become of a file on a peer's disk. */
function damages(): readonly {
  readonly title: string
  readonly label: string
  /** One that has not yet found out that the peer is no good. */
  readonly taker: string
  damage(file: string): Promise<void>
}[] {
  return [
    { title: 'with one byte changed', label: 'rotten', taker: 'birch', damage: flip },
    { title: 'cut short', label: 'short', taker: 'cedar', damage: (file) => truncate(file, 10) },
    {
      title: 'replaced by another of the same size',
      label: 'swapped',
      taker: 'dogwood',
      damage: async (file) => {
        const handle = await open(file, 'r+')
        const { size } = await handle.stat()
        await handle.write(Buffer.alloc(size, '#'), 0, size, 0)
        await handle.close()
      },
    },
  ]
}

/** Changes one byte in the middle of a file. */
async function flip(file: string): Promise<void> {
  const handle = await open(file, 'r+')
  const at = Math.floor((await handle.stat()).size / 2)
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, at)
  byte[0] = (byte[0] ?? 0) ^ 1
  await handle.write(byte, 0, 1, at)
  await handle.close()
}
