/**
 * Getting in by ticket among real processes: the inviter waits and approves, the newcomer is killed at any
 * moment and goes on with one key, one request and one use, and the node that comes out of it runs.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { freePorts } from '../../cli/demo/ports.ts'
import { writeKeyFile } from '../../cli/key-file.ts'
import type { InviteRow, Page, RequestRow } from '../../node/index.ts'
import { type Daemon, startDaemon } from '../cli/daemon.ts'
import { runProgram } from '../cli/script.ts'
import { FleetProcesses, pause, until } from './fleet-processes.ts'

let fleet: FleetProcesses | undefined
let newcomers: Daemon[] = []
afterEach(async () => {
  await Promise.all(newcomers.map((one) => one.end()))
  newcomers = []
  await fleet?.destroy()
  fleet = undefined
})

async function started(): Promise<FleetProcesses> {
  const made = await FleetProcesses.create({ hosts: 3, voters: 3, label: 'enrol' })
  fleet = made
  writeKeyFile(adminKey(made), {
    ...{ role: 'admin', name: 'admin', fleet: made.trust.root.name, rootHash: made.rootHash },
    key: made.admin,
  })
  await made.start()
  return made
}

const adminKey = (made: FleetProcesses): string => made.keyFile('admin')
const envOf = (made: FleetProcesses): Record<string, string> => ({
  HOME: made.folder,
  PATH: process.env['PATH'] ?? '',
  TERM: 'dumb',
})

/** A command of the newcomer, in a folder of its own; `killAfterMs` ends it with SIGKILL. */
async function enroll(
  made: FleetProcesses,
  ticket: string,
  more: readonly string[] = [],
  killAfterMs?: number,
): Promise<{ exit: number | null; stdout: string; stderr: string }> {
  const cwd = join(made.folder, 'newcomer')
  mkdirSync(cwd, { recursive: true })
  const system = ['--system', 'portable', '--initial', join(made.folder, 'initial'), '--no-mdns']
  const args = [made.program, 'enroll', ticket, '--data', 'data', ...system, ...more]
  const child = spawn(process.execPath, args, {
    ...{ cwd, env: envOf(made), stdio: ['ignore', 'pipe', 'pipe'] },
  })
  let [stdout, stderr] = ['', '']
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  if (killAfterMs !== undefined) {
    await pause(killAfterMs)
    child.kill('SIGKILL')
  }
  return { exit: await ended, stdout, stderr }
}

async function invite(made: FleetProcesses, more: readonly string[] = []): Promise<string> {
  const args = ['invite', ...more, '--admin-key', adminKey(made)]
  const { exit, stdout, stderr } = await made.cli('host-1', 'alice', args)
  expect(exit, stderr).toBe(0)
  return stdout.trim()
}

const requests = async (made: FleetProcesses, at = 'host-2'): Promise<readonly RequestRow[]> =>
  (await made.api(at).get<Page<RequestRow>>('/api/v1/requests')).items

test('an inviter who waits lets a host in, whose node then runs and counts', async () => {
  const made = await started()
  const port = await freePorts(1, Math.random)
  const args = ['invite', '--wait', '--tag', 'role=db', '--admin-key', adminKey(made)]
  let printed = ''
  const inviter = runProgram(
    made.program,
    [...args, '--socket', made.host('host-1').socket, '--timeout', '120s'],
    {
      ...{ cwd: made.folder, env: envOf(made) },
      onStdout: (text) => {
        printed = text
      },
    },
  )
  await until(60_000, 'a ticket', () => printed.includes('\n'))
  const [ticket = ''] = printed.split('\n')
  const listen = `/ip4/127.0.0.1/tcp/${port}`
  const asked = await enroll(made, ticket, ['--name', 'new-1', '--listen', listen])
  expect(asked.exit, asked.stderr).toBe(0)
  expect(asked.stdout).toContain('new-1 is in: fleet site-a')
  const { exit, stdout, stderr } = await inviter
  expect(exit, stderr).toBe(0)
  expect(stdout).toContain('let in new-1 (host, key')
  const node = startDaemon(made.program, join(made.folder, 'newcomer', 'data'), envOf(made))
  newcomers.push(node)
  await node.answers()
  await until(60_000, 'new-1 is connected', async () => {
    const { hosts } = await made.api('host-2').fleet()
    const row = hosts.find(({ name }) => name === 'new-1')
    return row?.path === 'direct' && row.tags.includes('role=db')
  })
})

test('a newcomer that is killed again and again keeps one key, one request and one use', async () => {
  const made = await started()
  const ticket = await invite(made)
  const data = join(made.folder, 'newcomer', 'data')
  const terms = ['--name', 'new-1', '--listen', '/ip4/127.0.0.1/tcp/1', '--no-wait']
  const seeds = new Set<string>()
  const looked = (): void => {
    const seed = join(data, 'seed')
    if (existsSync(seed)) seeds.add(readFileSync(seed, 'utf8'))
  }
  for (let killAfterMs = 150; killAfterMs <= 1_500; killAfterMs += 150) {
    await enroll(made, ticket, terms, killAfterMs)
    looked()
  }
  const whole = await enroll(made, ticket, terms)
  expect(whole.exit, whole.stderr).toBe(0)
  looked()
  expect([...seeds].map((seed) => seed.length)).toEqual([65])
  await until(20_000, 'one request at every host', async () => {
    const all = await Promise.all(made.names.map((name) => requests(made, name)))
    return all.every((rows) => rows.length === 1 && rows[0]?.state === 'pending')
  })
  const approve = ['approve', 'new-1', '--admin-key', adminKey(made)]
  const approved = await made.cli('host-3', 'alice', approve)
  expect(approved.exit, approved.stderr).toBe(0)
  for (let killAfterMs = 300; killAfterMs <= 1_500; killAfterMs += 300) {
    await enroll(made, ticket, [], killAfterMs)
  }
  const done = await enroll(made, ticket)
  expect(done.exit, done.stderr).toBe(0)
  looked()
  expect(seeds.size).toBe(1)
  const rows = await requests(made)
  expect(rows.map(({ state }) => state)).toEqual(['admitted'])
  const { items } = await made.api('host-1').get<Page<InviteRow>>('/api/v1/invites')
  expect(items).toMatchObject([{ spent: 1, uses: 1, state: 'used-up' }])
})

test('a carried request comes in by a file, and one that was changed on the way does not', async () => {
  const made = await started()
  const ticket = await invite(made, ['--name', 'far-1'])
  const file = join(made.folder, 'far-1.request')
  const out = ['--request-out', file]
  const asked = await enroll(made, ticket, out)
  expect(asked.exit, asked.stderr).toBe(0)
  const good = readFileSync(file, 'utf8')
  const record = JSON.parse(good) as { request: string; rootHash: string }
  const bytes = Buffer.from(record.request, 'base64')
  bytes[60] = (bytes[60] ?? 0) ^ 1
  const approve = (path: string): Promise<{ exit: number; stdout: string; stderr: string }> =>
    made.cli('host-1', 'alice', [
      ...['approve', path, '--out', join(made.folder, 'joins'), '--admin-key', adminKey(made)],
    ])
  const bad: [string, object, string][] = [
    ['changed', { ...record, request: bytes.toString('base64') }, 'NF-1310'],
    ['foreign', { ...record, rootHash: 'ee'.repeat(32) }, 'NF-1305'],
    ['none', { kind: 'something else' }, 'NF-1004'],
  ]
  for (const [name, content, code] of bad) {
    const path = join(made.folder, `${name}.request`)
    writeFileSync(path, JSON.stringify(content))
    expect((await approve(path)).stderr, name).toContain(`error[${code}]`)
  }
  expect(await requests(made, 'host-1')).toEqual([])
  const approved = await approve(file)
  expect(approved.exit, approved.stderr).toBe(0)
  expect(approved.stdout).toContain('let in far-1 (host, key')
  const done = await enroll(made, ticket, ['--trust', join(made.folder, 'joins')])
  expect(done.exit, done.stderr).toBe(0)
  expect(done.stdout).toContain('far-1 is in: fleet site-a')
})
