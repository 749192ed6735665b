/**
 * A host whose firewall lets nothing in, in a group where it is the only voter and the only one that
 * has the release: everything that the others need of it, they need over connections that it made.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { FleetStatus, PeerRow } from '../../node/index.ts'
import { openFact } from '../../protocol/index.ts'
import { suiteNeeds } from '../require.ts'
import { fresh } from './fleet-api.ts'
import { FleetProcesses, pause, until } from './fleet-processes.ts'
import { labIsPossible, NetworkLab } from './network-lab.ts'

const CLOSED = 'host-1'
const OPEN = ['host-2', 'host-3'] as const
const NAMES = [CLOSED, ...OPEN]
const PATIENCE_MS = 90_000
const BULK_BYTES = 12 * 1024 * 1024

let lab: NetworkLab
let fleet: FleetProcesses

async function ok(at: string, args: readonly string[]): Promise<string> {
  const ran = await fleet.cli(at, 'alice', args)
  expect(ran.exit, `${args.join(' ')}\n${ran.stdout}${ran.stderr}\n${fleet.logOf(CLOSED)}`).toBe(0)
  return ran.stdout
}

function runs(host: string): string {
  return basename(readlinkSync(join(fleet.host(host).data, 'system', 'running')))
}

async function peersOf(host: string): Promise<readonly PeerRow[]> {
  const { items } = await fleet.api(host).get<{ items: PeerRow[] }>('/api/v1/peers')
  return items.filter((row) => row.state === 'connected')
}

/** Whether a TCP connection from one host to the other's port comes up. */
function isReachable(from: string, to: string): boolean {
  const script = `
    const socket = require('node:net').connect(7460, '${lab.ip(to)}')
    socket.on('connect', () => process.exit(0)).on('error', () => process.exit(1))
    setTimeout(() => process.exit(1), 1500)`
  const [command = '', ...args] = [...lab.command(from), process.execPath, '-e', script]
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** A pull of the whole log at `host`, verified; gives the folder. */
async function pull(host: string): Promise<string> {
  const folder = join(fleet.folder, `pull-of-${host}`)
  await ok(host, ['audit', 'pull', '--out', folder])
  verify(folder)
  return folder
}

/** Offline; throws unless it is clean, and agrees with the other one. */
function verify(...pulls: readonly string[]): void {
  const args = ['audit', 'verify', ...pulls, '--root-hash', fleet.rootHash]
  execFileSync(process.execPath, [fleet.program, ...args], { stdio: 'pipe' })
}

/** Which member attested whom, as the signed facts on a host say. */
async function attestations(host: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  const nameOf = (key: string): string =>
    fleet.trust.config.hosts.find((one) => one.fact === key)?.name ?? '?'
  interface Feed {
    readonly author: string
    readonly session: string
  }
  const { items } = await fleet.api(host).get<{ items: Feed[] }>('/api/v1/log/feeds')
  for (const { author, session } of items) {
    const page = await fleet
      .api(host)
      .get<{ items: string[] }>(`/api/v1/log/envelopes?author=${author}&session=${session}&from=0`)
    for (const envelope of page.items) {
      const given = { fleet: fleet.trust.fleet, whose: 'the log' }
      const fact = openFact(new Uint8Array(Buffer.from(envelope, 'base64')), given)
      if (fact.type !== 'obs.attest') continue
      for (const one of fact.body.subjects) {
        if (one.verdict === 'ok') found.add(`${nameOf(fact.author)} saw ${one.host}`)
      }
    }
  }
  return found
}

const suite = suiteNeeds('root, ip and nft', labIsPossible)

suite('a host that lets nobody in', () => {
  beforeAll(async () => {
    lab = new NetworkLab(NAMES)
    lab.closeInbound(CLOSED)
    fleet = await FleetProcesses.create({
      label: 'closed',
      hosts: NAMES.length,
      voters: 1,
      timing: { probeMs: 500, failRounds: 10, windowMs: 1_000 },
      addressOf: (host) => lab.address(host),
      commandOf: (host) => lab.command(host),
    })
    await fleet.start()
    await until(PATIENCE_MS, 'the closed host has dialled both others', async () => {
      return (await peersOf(CLOSED)).length === OPEN.length
    })
  }, 120_000)

  afterAll(async () => {
    await fleet?.destroy()
    lab?.destroy()
  })

  it('cannot be dialled by anybody, and can dial', () => {
    for (const other of OPEN) {
      expect(isReachable(other, CLOSED), `${other} to ${CLOSED}`).toBe(false)
      expect(isReachable(CLOSED, other), `${CLOSED} to ${other}`).toBe(true)
    }
  })

  it('decides, permits, gives every piece, observes and is observed, and changes itself', async () => {
    const before = new Map(NAMES.map((name) => [name, runs(name)]))
    const tree = join(fleet.folder, 'v1')
    mkdirSync(join(tree, 'bin'), { recursive: true })
    writeFileSync(join(tree, 'bulk'), fresh(BULK_BYTES))
    const script = '#!/bin/sh\nexit 0\n'
    writeFileSync(join(tree, 'bin', 'switch-to-configuration'), script, { mode: 0o755 })
    const sent = lab.sentBytes(CLOSED)
    const hosts = NAMES.flatMap((host) => ['--host', `${host}=${tree}`])
    const key = ['--release-key', fleet.keyFile('release'), '--name', 'v1']
    await ok(CLOSED, ['release', 'create', '--portable', ...hosts, ...key])
    await until(PATIENCE_MS, 'host-2 knows the release', async () => {
      const { items } = await fleet
        .api('host-2')
        .get<{ items: { hosts: number | null }[] }>('/api/v1/releases')
      return items.some((row) => row.hosts !== null)
    })
    const wait = ['--wait', '--timeout', '120s', '--soak', '4s', '--confirm-within', '30s', '--yes']
    await ok('host-2', ['deploy', '--waves', '1,100%', ...wait])
    const now = new Set(NAMES.map(runs))
    expect(now.size).toBe(1)
    for (const name of NAMES) expect(before.get(name)).not.toBe([...now][0])

    const gone = lab.sentBytes(CLOSED) - sent
    expect(gone, 'the others had it from nowhere else').toBeGreaterThan(BULK_BYTES)
    const parts = OPEN.map((host) => readdirSync(join(fleet.host(host).data, 'swarm', 'lists')))
    expect(
      parts.every((lists) => lists.length > 0),
      'it came in pieces',
    ).toBe(true)

    const seen = await attestations('host-3')
    for (const other of OPEN) {
      expect(seen).toContain(`${CLOSED} saw ${other}`)
      expect(seen).toContain(`${other} saw ${CLOSED}`)
    }
    process.stdout.write(
      `closed inbound: ${(gone / BULK_BYTES).toFixed(2)} × the release left the closed host\n`,
    )
  }, 240_000)

  it('goes back when told elsewhere, and gives the same log as everybody', async () => {
    const before = new Set(NAMES.map(runs))
    await ok('host-3', ['rollback', '--all', '--yes'])
    await until(PATIENCE_MS, 'all three are back', () => NAMES.every((it) => !before.has(runs(it))))
    const same = async (): Promise<boolean> => {
      const all = await Promise.all(NAMES.map((it) => fleet.api(it).fleet()))
      return (
        new Set(all.map(({ digest, head }: FleetStatus & { head: string }) => `${digest} ${head}`))
          .size === 1
      )
    }
    await until(PATIENCE_MS, 'all digests and heads are equal', same)
    await pause(3_000)
    await until(PATIENCE_MS, 'and stay so', same)
    const [one, other] = [await pull(CLOSED), await pull('host-2')]
    verify(one, other)
  }, 240_000)
})
