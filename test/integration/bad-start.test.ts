/**
 * Daemons that must not start (issue "Bad input"): each ends by itself, with a code, a sentence that
 * says what to do and an exit code, and leaves the store as it found it.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openLevelStore } from '../../node/store/level.ts'
import { utf8 } from '../../protocol/index.ts'
import { type FleetHost, FleetProcesses, pause, until } from './fleet-processes.ts'

/** A daemon that still runs after so long has not refused. */
const REFUSAL_MS_MAX = 30_000

let fleet: FleetProcesses
let other: FleetProcesses
let host: FleetHost
const cleanUp: (() => unknown)[] = []

beforeAll(async () => {
  fleet = await FleetProcesses.create({ label: 'bad', hosts: 1, voters: 1 })
  other = await FleetProcesses.create({ label: 'other', hosts: 1, voters: 1 })
  host = fleet.host('host-1')
  await fleet.start()
  await pause(500)
  expect(await fleet.stop('host-1')).toBe(0)
}, 60_000)

afterEach(async () => {
  for (const act of cleanUp.splice(0).reverse()) await act()
})

afterAll(async () => {
  await fleet?.destroy()
  await other?.destroy()
})

interface Refusal {
  readonly exit: number | null
  readonly code: string
  readonly message: string
  readonly fix: string
}

/** Starts the daemon with `change` over its configuration; it must end by itself. */
async function refusedStart(change: Readonly<Record<string, unknown>>): Promise<Refusal> {
  const file = join(fleet.folder, 'changed.json')
  writeFileSync(file, JSON.stringify({ ...host.config, ...change }))
  return await refused(file)
}

async function refused(configFile: string, ...more: readonly string[]): Promise<Refusal> {
  const args = [fleet.program, 'node', 'run', '--node-config', configFile, '--json', ...more]
  const { exit, stderr } = await new Promise<{ exit: number | null; stderr: string }>((resolve) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', (bytes: Buffer) => {
      stderr += bytes.toString()
    })
    const late = setTimeout(() => child.kill('SIGKILL'), REFUSAL_MS_MAX)
    child.on('close', (exit) => {
      clearTimeout(late)
      resolve({ exit, stderr })
    })
  })
  expect(exit, `it did not end by itself:\n${stderr}`).not.toBeNull()
  const last = stderr.trim().split('\n').at(-1) ?? ''
  const error = JSON.parse(last) as { code: string; message: string; fix: string[]; exit: number }
  expect(error.code).toBe('NF-5002')
  expect(error.exit).toBe(exit)
  const [, code = ''] = /^([A-Z_]+): /.exec(error.message) ?? []
  return { exit, code, message: error.message, fix: error.fix.join(' ') }
}

/** A hash over every record of a store. */
async function contentOf(directory: string): Promise<string> {
  const store = await openLevelStore(directory)
  const hash = createHash('sha256')
  let count = 0
  for await (const [key, value] of store.range(' ', '~')) {
    hash.update(`${key} ${value.length} `).update(value)
    count += 1
  }
  await store.close()
  expect(count).toBeGreaterThan(3)
  return hash.digest('hex')
}

/** What holds of every refusal: its code, its exit code, and a fix that names something to do. */
async function expectRefusal(
  change: Readonly<Record<string, unknown>>,
  expected: { code: string; exit: number; says: RegExp; fix: RegExp },
): Promise<void> {
  const before = await contentOf(join(host.data, 'db'))
  const found = await refusedStart(change)
  expect(found.code, found.message).toBe(expected.code)
  expect(found.message).toMatch(expected.says)
  expect(found.fix).toMatch(expected.fix)
  expect(found.exit, found.message).toBe(expected.exit)
  expect(await contentOf(join(host.data, 'db'))).toBe(before)
}

function keyFile(text: string, mode: number): string {
  const path = join(fleet.folder, 'some-seed')
  writeFileSync(path, text, { mode })
  chmodSync(path, mode)
  cleanUp.push(() => rmSync(path, { force: true }))
  return path
}

describe('a daemon refuses to start', () => {
  it('while another process listens on its port, and ends', async () => {
    const [address = ''] = host.config['listen'] as readonly string[]
    const server = createServer().listen(Number(address.split('/').at(-1)), '127.0.0.1')
    cleanUp.push(() => server.close())
    await expectRefusal(
      {},
      { code: 'PORT_IN_USE', exit: 75, says: /listen on \/ip4\/127/, fix: /another port/ },
    )
  })

  it("while another process listens on its API's port or answers on its socket", async () => {
    const server = createServer().listen(0, '127.0.0.1')
    cleanUp.push(() => server.close())
    await until(5_000, 'a port', () => server.listening)
    const { port } = server.address() as { port: number }
    await expectRefusal(
      { api: { listen: { port } } },
      { code: 'PORT_IN_USE', exit: 75, says: new RegExp(`:${port}`), fix: /another port/ },
    )
    const socket = join(fleet.folder, 'taken.sock')
    const taken = createServer().listen(socket)
    cleanUp.push(() => taken.close())
    await expectRefusal(
      { api: { socket } },
      { code: 'PORT_IN_USE', exit: 75, says: /answers on .*taken\.sock/, fix: /api\.socket/ },
    )
  })

  it('with an API that a network could reach without TLS, or with files that are none', async () => {
    const listen = { host: '0.0.0.0', port: 7461 }
    await expectRefusal(
      { api: { listen } },
      { code: 'API_UNPROTECTED', exit: 78, says: /expected TLS.*0\.0\.0\.0/, fix: /api\.tls/ },
    )
    const key = keyFile('no key\n', 0o600)
    await expectRefusal(
      { api: { listen, tls: { cert: host.configFile, key } } },
      { code: 'CERTIFICATE_INVALID', exit: 78, says: /certificate in PEM/, fix: /api\.tls/ },
    )
    await expectRefusal(
      { api: { listen, tls: { cert: host.configFile, key: keyFile('no key\n', 0o644) } } },
      { code: 'KEY_EXPOSED', exit: 77, says: /found 0644/, fix: /chmod 600/ },
    )
    // What the command line names stands above the file.
    const file = join(fleet.folder, 'loopback.json')
    const api = { listen: { host: '127.0.0.1', port: 0 } }
    writeFileSync(file, JSON.stringify({ ...host.config, api }))
    const flags = ['--tls-cert', host.configFile, '--tls-key', keyFile('no key\n', 0o600)]
    expect((await refused(file, ...flags)).code).toBe('CERTIFICATE_INVALID')
  })

  it('over a data folder that another daemon uses', async () => {
    await fleet.start()
    cleanUp.push(() => fleet.stop('host-1'))
    const found = await refusedStart({ api: { socket: join(fleet.folder, 'second.sock') } })
    expect(found).toMatchObject({ code: 'STORE_LOCKED', exit: 75 })
    expect(found.fix).toMatch(/Stop the other nixfleet node/)
    expect((await fleet.api('host-1').fleet()).facts).toBeGreaterThan(0)
  })

  it('with a key file that is not there, is none, or that its group can read', async () => {
    const seed = '5a'.repeat(32)
    const missing = join(fleet.folder, 'no-such-seed')
    await expectRefusal(
      { seed: missing },
      { code: 'KEY_UNREADABLE', exit: 78, says: /no-such-seed/, fix: /node init/ },
    )
    await expectRefusal(
      { seed: fleet.folder },
      { code: 'KEY_UNREADABLE', exit: 78, says: /readable key file/, fix: /Check the path/ },
    )
    await expectRefusal(
      { seed: keyFile('not a key\n', 0o600) },
      { code: 'KEY_MALFORMED', exit: 78, says: /64 hex digits/, fix: /Restore the file/ },
    )
    await expectRefusal(
      { seed: keyFile(`${seed}\n`, 0o640) },
      { code: 'KEY_EXPOSED', exit: 77, says: /expected mode 0600.*found 0640/, fix: /chmod 600/ },
    )
  })

  it('with the key of a host that the group does not have under this name', async () => {
    await expectRefusal(
      { seed: keyFile(`${'5a'.repeat(32)}\n`, 0o600) },
      { code: 'NOT_A_MEMBER', exit: 77, says: /for host-1, found/, fix: /Compare name and seed/ },
    )
    await expectRefusal(
      { name: 'host-9' },
      { code: 'NOT_A_MEMBER', exit: 77, says: /no host of that name/, fix: /host record/ },
    )
  })

  it('with documents of another fleet, and with none', async () => {
    await expectRefusal(
      { trust: join(other.folder, 'trust') },
      { code: 'TRUST_UNREADABLE', exit: 78, says: /not this fleet's/, fix: /rootHash/ },
    )
    await expectRefusal(
      { trust: join(fleet.folder, 'no-such-folder') },
      { code: 'TRUST_UNREADABLE', exit: 78, says: /root\.cbor/, fix: /Copy the trust folder/ },
    )
  })

  it('over the data folder of another fleet', async () => {
    const theirs = other.host('host-1')
    const data = join(other.folder, 'used')
    cpSync(host.data, data, { recursive: true })
    cpSync(join(theirs.data, 'seed'), join(data, 'seed'))
    const file = join(other.folder, 'changed.json')
    writeFileSync(file, JSON.stringify({ ...theirs.config, data }))
    const before = await contentOf(join(data, 'db'))
    const found = await refused(file)
    expect(found).toMatchObject({ code: 'STORE_FOREIGN', exit: 78 })
    expect(found.message).toContain(fleet.trust.fleet)
    expect(found.fix).toMatch(/an empty state directory/)
    expect(await contentOf(join(data, 'db'))).toBe(before)
  })

  it('over a store of a newer format, and over one that is damaged', async () => {
    const data = join(fleet.folder, 'newer')
    cpSync(host.data, data, { recursive: true })
    const store = await openLevelStore(join(data, 'db'))
    await store.write([{ key: 'meta/format', value: utf8('2') }], { sync: true })
    await store.close()
    const before = await contentOf(join(data, 'db'))
    const newer = await refusedStart({ data })
    expect(newer).toMatchObject({ code: 'STORE_NEWER', exit: 78 })
    expect(newer.message).toContain('format 1 or older, found format 2')
    expect(newer.fix).toMatch(/Start the newer nixfleet/)
    expect(await contentOf(join(data, 'db'))).toBe(before)

    writeFileSync(join(data, 'db', 'CURRENT'), 'not a manifest\n')
    const damaged = await refusedStart({ data })
    expect(damaged).toMatchObject({ code: 'STORE_CORRUPT', exit: 74 })
    expect(damaged.fix).toMatch(/damaged store is replaced/)
  })

  it('with a configuration that it does not understand', async () => {
    await expectRefusal(
      { lisen: [] },
      { code: 'CONFIG_INVALID', exit: 78, says: /lisen/, fix: /correct the file/ },
    )
    const found = await refused(join(fleet.folder, 'nowhere.json'))
    expect(found).toMatchObject({ code: 'CONFIG_INVALID', exit: 78 })
  })

  it('in a generation that does not exist, on a host that runs none', async () => {
    const data = join(fleet.folder, 'fresh')
    mkdirSync(data, { mode: 0o700 })
    cpSync(join(host.data, 'seed'), join(data, 'seed'))
    const system = { ...(host.config['system'] as object), initial: join(fleet.folder, 'no-tree') }
    const found = await refusedStart({ data, system })
    expect(found.code, found.message).toBe('GENERATION_MISSING')
    expect(found.exit).toBe(66)
    expect(found.message).toContain('no-tree')
    expect(existsSync(join(data, 'system', 'running'))).toBe(false)
  })

  it('and starts well afterwards: nothing that was refused has left a trace', async () => {
    const before = await contentOf(join(host.data, 'db'))
    expect(before).not.toBe('')
    await fleet.start()
    const { facts } = await fleet.api('host-1').fleet()
    expect(facts).toBeGreaterThan(0)
    await fleet.stop('host-1')
  })
})
