/** The small parts below the adapters: checks, built generations, detached jobs, Nix's own words. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer as createHttp, type Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCheck } from '../../../node/system/checks.ts'
import { readPortableGeneration } from '../../../node/system/generation.ts'
import { systemdRunArguments } from '../../../node/system/launch.ts'
import { manifestFault } from '../../../node/system/nix.ts'
import { parsePathInfo } from '../../../node/system/nix-info.ts'
import { runProgram } from '../../../node/system/program.ts'
import { withoutStalls } from '../../../node/system/stall.ts'
import type { HealthCheck } from '../../../protocol/index.ts'
import { buildPortable } from '../../portable-build.ts'

const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin' }
const inside = { address: '127.0.0.1', env }

let root: string
const servers: (Server | HttpServer)[] = []
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'nixfleet-parts-'))
})
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
  rmSync(root, { recursive: true, force: true })
})

describe('an http check', () => {
  it.each([
    [200, undefined, true],
    [204, undefined, true],
    [301, undefined, false],
    [500, undefined, false],
    [503, 503, true],
    [200, 204, false],
  ])('of status %i, expecting %s, is ok: %s', async (answer, status, ok) => {
    const port = await serveHttp(answer)
    const outcome = await runCheck(http(`http://{host}:${port}/`, { status }), inside)
    expect(outcome.ok).toBe(ok)
    if (!ok) expect(outcome.why).toContain(`found ${answer}`)
  })

  it('of a server that never answers ends with its timeout', async () => {
    const port = await serveTcp()
    const outcome = await runCheck(http(`http://{host}:${port}/`, { timeoutMs: 100 }), inside)
    expect(outcome).toMatchObject({ ok: false, why: expect.stringContaining('within 100 ms') })
  })

  it('of no server, and of no URL, is not ok and says why', async () => {
    const closed = await freePort()
    for (const target of [`http://{host}:${closed}/`, 'nonsense', 'ftp://{host}/']) {
      const outcome = await runCheck(http(target), inside)
      expect(outcome.ok).toBe(false)
      expect(outcome.why).not.toBe('')
    }
  })
})

describe('a tcp check', () => {
  it('is ok where something listens, from outside as from inside', async () => {
    const port = await serveTcp()
    expect(await runCheck(tcp(`{host}:${port}`), inside)).toEqual({ name: 'it', ok: true })
    const outside = { address: '127.0.0.1' }
    expect(await runCheck(tcp(`{host}:${port}`), outside)).toEqual({ name: 'it', ok: true })
  })

  it('puts an IPv6 address into brackets', async () => {
    const port = await serveTcp('::1')
    const outside = { address: '::1' }
    expect(await runCheck(tcp(`{host}:${port}`), outside)).toEqual({ name: 'it', ok: true })
  })

  it('is not ok where nothing listens, nor without a port', async () => {
    expect((await runCheck(tcp(`{host}:${await freePort()}`), inside)).ok).toBe(false)
    expect((await runCheck(tcp('{host}'), inside)).ok).toBe(false)
    expect((await runCheck(tcp('{host}:0'), inside)).ok).toBe(false)
  })
})

describe('a command check', () => {
  it('is ok when it ends well, and tells why it does not', async () => {
    expect((await runCheck(command('test 1 = 1'), inside)).ok).toBe(true)
    const failed = await runCheck(command('echo broken >&2; exit 3'), inside)
    expect(failed).toEqual({ name: 'it', ok: false, why: 'exit code 3: broken' })
  })

  it('ends with its timeout, and all that it started with it', async () => {
    const started = Date.now()
    const outcome = await runCheck(command('sleep 600 & sleep 600', 200), inside)
    expect(outcome).toMatchObject({ ok: false, why: 'no end within 200 ms' })
    expect(Date.now() - started).toBeLessThan(5_000)
  })

  it('and a unit check never run for a peer', async () => {
    for (const check of [command('touch /nonexistent/x'), unit('x.service')]) {
      const outcome = await runCheck(check, { address: '127.0.0.1' })
      expect(outcome).toMatchObject({ ok: false, why: expect.stringContaining('host itself') })
    }
  })
})

describe('a unit check', () => {
  it('asks systemctl, and takes the name for a name', async () => {
    const program = join(root, 'systemctl')
    writeFileSync(program, '#!/bin/sh\n[ "$*" = "is-active -- good.service" ] && echo active\n')
    chmodSync(program, 0o755)
    const surroundings = { address: '127.0.0.1', env: { PATH: `${root}:${env.PATH}` } }
    expect((await runCheck(unit('good.service'), surroundings)).ok).toBe(true)
    expect((await runCheck(unit('--help'), surroundings)).ok).toBe(false)
  })
})

describe('a built portable generation', () => {
  it('has one path, named by its contents', async () => {
    const one = await buildPortable(join(root, 'a'), 'web')
    const same = await buildPortable(join(root, 'b'), 'web')
    expect(one.generation).toMatch(/^[0-9a-z]{32}-web$/)
    expect(one.closure).toEqual([one.generation])
    expect(same.paths).toEqual(one.paths)
    const named = await readPortableGeneration(join(root, 'a', 'web'), { name: 'web-2' })
    expect(named.generation).toMatch(/-web-2$/)
    expect(named.generation.slice(0, 32)).not.toBe(one.generation.slice(0, 32))
  })

  it.each([
    ['no switch', (tree: string) => rmSync(join(tree, 'bin', 'switch-to-configuration'))],
    [
      'a switch that cannot run',
      (tree: string) => chmodSync(join(tree, 'bin', 'switch-to-configuration'), 0o644),
    ],
    ['an absolute link', (tree: string) => symlinkSync('/etc/passwd', join(tree, 'link'))],
    ['a link outside', (tree: string) => symlinkSync('../../x', join(tree, 'bin', 'link'))],
    [
      'its own path in a file',
      (tree: string) => writeFileSync(join(tree, 'config'), `root=${tree}/etc`),
    ],
    [
      'a path of the store',
      (tree: string) => writeFileSync(join(tree, 'config'), 'x /srv/node/store/abc'),
    ],
  ])('is refused with %s', async (_, spoil) => {
    await buildPortable(root, 'web')
    const tree = join(root, 'web')
    const build = { forbidden: ['/srv/node/store'] }
    await readPortableGeneration(tree, build)
    spoil(tree)
    const reading = readPortableGeneration(tree, build)
    await expect(reading).rejects.toMatchObject({ code: 'SYSTEM_FAILED' })
  })

  it('is searched across the borders of its chunks', async () => {
    await buildPortable(root, 'web')
    const tree = join(root, 'web')
    for (const before of [65_536 - 3, 65_536 - 15, 131_072 - 1]) {
      writeFileSync(join(tree, 'data'), `${'x'.repeat(before)}/srv/node/store${'y'.repeat(100)}`)
      const reading = readPortableGeneration(tree, { forbidden: ['/srv/node/store'] })
      await expect(reading).rejects.toThrow('data')
    }
  })

  it('may have links inside', async () => {
    await buildPortable(root, 'web')
    mkdirSync(join(root, 'web', 'lib'))
    symlinkSync('../etc/label', join(root, 'web', 'lib', 'label'))
    expect((await readPortableGeneration(join(root, 'web'))).paths).toHaveLength(1)
  })
})

describe('a transient unit', () => {
  it('is started with its environment and its own arguments behind a border', () => {
    const job = {
      unit: 'nixfleet-deadman-r1',
      argv: ['sh', '/x/deadman.sh', '--collect'] as const,
      env: { PATH: '/bin' },
      properties: ['Restart=on-failure'],
    }
    expect(
      systemdRunArguments({ ...job, argv: ['sh', '/x/deadman.sh', '--odd'] }, ['--wait']),
    ).toEqual([
      '--quiet',
      '--collect',
      '--unit=nixfleet-deadman-r1',
      '--service-type=exec',
      '--wait',
      '--property=Restart=on-failure',
      '--setenv=PATH=/bin',
      '--',
      'sh',
      '/x/deadman.sh',
      '--odd',
    ])
  })
})

describe('what nix path-info says', () => {
  const path = '/nix/store/00000000000000000000000000000000-x'
  const other = '/nix/store/11111111111111111111111111111111-y'
  const narHash = `sha256-${Buffer.alloc(32, 7).toString('base64')}`
  const facts = { narHash, narSize: 120, references: [path], signatures: ['k:AA=='] }
  const read = {
    path,
    narHash: '07'.repeat(32),
    narSize: 120,
    references: [path],
    signatures: ['k:AA=='],
  }

  it('is read in both shapes', () => {
    expect(parsePathInfo(JSON.stringify([{ path, ...facts }]))).toEqual([read])
    expect(parsePathInfo(JSON.stringify({ [path]: facts }))).toEqual([read])
  })

  it.each([
    ['no JSON', 'nonsense'],
    ['a path that is not valid, new', JSON.stringify({ [path]: null })],
    ['a path that is not valid, old', JSON.stringify([{ path, valid: false }])],
    ['a path elsewhere', JSON.stringify({ '/etc/passwd': facts })],
    ['a hash of another kind', JSON.stringify({ [path]: { ...facts, narHash: 'md5:00' } })],
    ['no references', JSON.stringify({ [path]: { ...facts, references: undefined } })],
    ['a list of texts', JSON.stringify(['x'])],
  ])('is refused: %s', (_, text) => {
    expect(() => parsePathInfo(text)).toThrow()
  })

  it('must be what the manifest says, path by path', () => {
    expect(manifestFault([read], [read])).toBe(undefined)
    expect(manifestFault([read], [])).toContain('nothing')
    expect(manifestFault([read], [{ ...read, narSize: 128 }])).toContain('128')
    expect(manifestFault([read], [{ ...read, narHash: '08'.repeat(32) }])).toContain('0808')
    expect(manifestFault([read], [{ ...read, references: [path, other] }])).toContain(other)
  })
})

describe('a program', () => {
  it('that is not there is a failure like any other', async () => {
    const result = await runProgram('nixfleet-no-such-program', [], { env, timeoutMs: 1_000 })
    expect(result.ok).toBe(false)
    expect(result.detail).toContain('ENOENT')
  })

  it('sees its own environment only', async () => {
    const result = await runProgram('sh', ['-c', 'printenv HOME || echo none'], {
      env,
      timeoutMs: 5_000,
    })
    expect(result).toMatchObject({ ok: true, stdout: 'none\n' })
  })
})

describe('a stream', () => {
  it('that falls silent is given up', async () => {
    async function* silent(): AsyncGenerator<number> {
      yield 1
      await new Promise(() => undefined)
    }
    const seen: number[] = []
    const reading = (async () => {
      for await (const item of withoutStalls(silent(), 50)) seen.push(item)
    })()
    await expect(reading).rejects.toThrow('within 50 ms')
    expect(seen).toEqual([1])
  })
})

function http(target: string, changes: Partial<HealthCheck> = {}): HealthCheck {
  return { name: 'it', kind: 'http', from: 'both', target, timeoutMs: 5_000, ...changes }
}

function tcp(target: string): HealthCheck {
  return { name: 'it', kind: 'tcp', from: 'both', target, timeoutMs: 5_000 }
}

function unit(target: string): HealthCheck {
  return { name: 'it', kind: 'unit', from: 'inside', target, timeoutMs: 5_000 }
}

function command(target: string, timeoutMs: number = 5_000): HealthCheck {
  return { name: 'it', kind: 'command', from: 'inside', target, timeoutMs }
}

function serveHttp(status: number): Promise<number> {
  const server = createHttp((_, response) => {
    response.statusCode = status
    response.setHeader('location', '/elsewhere')
    response.end()
  })
  return listening(server, '127.0.0.1')
}

/** Listens and never says a word. */
function serveTcp(host: string = '127.0.0.1'): Promise<number> {
  return listening(createServer(), host)
}

async function listening(server: Server | HttpServer, host: string): Promise<number> {
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, host, done))
  return portOf(server)
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const port = portOf(server)
  await new Promise((done) => server.close(done))
  return port
}

function portOf(server: Server | HttpServer): number {
  return (server.address() as AddressInfo).port
}
