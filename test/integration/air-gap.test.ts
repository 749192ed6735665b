/**
 * A site without a way out: three daemons in three network namespaces on one switch, which know the
 * fleet's root, their own keys, and no address at all. A fourth host of the group, the outside, is
 * never connected with them: between the two sides files are carried.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Doctor, FleetStatus, PeerRow } from '../../node/index.ts'
import { peerIdOfKey } from '../../node/network/peer-book.ts'
import { suiteNeeds } from '../require.ts'
import { fresh } from './fleet-api.ts'
import { FleetProcesses, pause, until } from './fleet-processes.ts'
import { labIsPossible, NetworkLab } from './network-lab.ts'

const SITE = ['host-1', 'host-2', 'host-3']
const OUTSIDE = 'host-4'
const PATIENCE_MS = 90_000
/** From the moment that all three daemons answer until each is connected with both others. */
const FOUND_MS = 5_000
/** Longer than a window of observation: whoever watches has had its say. */
const REST_MS = 4_000
/** Large enough that an import can be killed in its midst. */
const BULK_BYTES = 24 * 1024 * 1024

let lab: NetworkLab
let fleet: FleetProcesses

/** Runs a command that must end well; gives its JSON. */
async function ok<T>(at: string, args: readonly string[]): Promise<T> {
  const ran = await fleet.cli(at, 'alice', [...args, '--json'])
  expect(ran.exit, `${args.join(' ')}\n${ran.stdout}${ran.stderr}`).toBe(0)
  return JSON.parse(ran.stdout) as T
}

/** What a host runs, read from its disk. */
function runs(host: string): string {
  return basename(readlinkSync(join(fleet.host(host).data, 'system', 'running')))
}

async function connected(host: string): Promise<readonly string[]> {
  const { items } = await fleet.api(host).get<{ items: PeerRow[] }>('/api/v1/peers')
  return items.filter((row) => row.state === 'connected').map((row) => row.name)
}

async function allConnected(): Promise<boolean> {
  const all = await Promise.all(SITE.map(connected))
  return all.every((names) => names.length === SITE.length - 1)
}

/** A release for the site, made outside and carried in as a file. */
async function releaseAsFile(label: string, bulk = 0): Promise<string> {
  const tree = join(fleet.folder, label)
  mkdirSync(join(tree, 'bin'), { recursive: true })
  writeFileSync(join(tree, 'label'), `${label}\n`)
  if (bulk > 0) writeFileSync(join(tree, 'bulk'), fresh(bulk))
  const script = '#!/bin/sh\nexit 0\n'
  writeFileSync(join(tree, 'bin', 'switch-to-configuration'), script, { mode: 0o755 })
  const hosts = SITE.flatMap((host) => ['--host', `${host}=${tree}`])
  const key = ['--release-key', fleet.keyFile('release'), '--name', label]
  await ok(OUTSIDE, ['release', 'create', '--portable', ...hosts, ...key])
  return await carry('host-1', OUTSIDE, label)
}

/** A bundle made at `from` of what `to` lacks. */
async function carry(to: string, from: string, label: string): Promise<string> {
  const vector = join(fleet.folder, `${label}.vector`)
  const bundle = join(fleet.folder, `${label}.bundle`)
  await ok(to, ['bundle', 'vector', '--out', vector])
  await ok(from, ['bundle', 'export', '--since', vector, '--closures', '--out', bundle])
  const pinned = ['--root-hash', fleet.rootHash]
  await ok(from, ['bundle', 'verify', bundle, ...pinned])
  return bundle
}

/** Starts an import and kills it, as a stick that is pulled out. */
async function importAndKill(at: string, bundle: string, afterMs: number): Promise<void> {
  const args = ['bundle', 'import', bundle, '--socket', fleet.host(at).socket]
  const child = spawn(process.execPath, [fleet.program, ...args], { stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await pause(afterMs)
  child.kill('SIGKILL')
  await ended
}

/** Everything that is said on the LAN by multicast for some seconds, as one text. */
function overheard(host: string, ms: number): string {
  const listen = `
    const socket = require('node:dgram').createSocket({ type: 'udp4', reuseAddr: true })
    socket.on('message', (bytes) => process.stdout.write(bytes.toString('latin1')))
    socket.bind(5353, () => socket.addMembership('224.0.0.251', '${lab.ip(host)}'))
    setTimeout(() => process.exit(0), ${ms})`
  const [command = '', ...args] = [...lab.command(host), process.execPath, '-e', listen]
  return execFileSync(command, args, { encoding: 'latin1' })
}

async function untilAllRun(changed: (host: string) => boolean, what: string): Promise<void> {
  await until(PATIENCE_MS, what, () => SITE.every(changed))
}

async function standing(host: string): Promise<string> {
  const { digest, head, facts, gateSlot } = await fleet
    .api(host)
    .get<FleetStatus & { head: string }>('/api/v1/fleet?hosts=no')
  return `digest ${digest} head ${head}, ${facts} facts, slot ${gateSlot}`
}

/** The site holds one state, and has had nothing to say for some seconds. */
async function untilAtRest(): Promise<void> {
  let before = ''
  let since = performance.now()
  await until(PATIENCE_MS, 'the site holds one state and rests', async () => {
    const [first = '', ...others] = await Promise.all(SITE.map(standing))
    if (first !== before || others.some((one) => one !== first)) since = performance.now()
    before = first
    return performance.now() - since > REST_MS
  })
}

const suite = suiteNeeds('root, ip and nft', labIsPossible)

suite('a site of three without a way out', () => {
  beforeAll(async () => {
    lab = new NetworkLab(SITE)
    fleet = await FleetProcesses.create({
      label: 'gap',
      hosts: 4,
      voters: 3,
      timing: { probeMs: 500, failRounds: 6, windowMs: 1_000 },
      onLan: SITE,
      addressOf: (host) => (SITE.includes(host) ? '/ip4/0.0.0.0/tcp/7460' : '/ip4/127.0.0.1/tcp/0'),
      commandOf: (host) => (SITE.includes(host) ? lab.command(host) : []),
    })
    await fleet.start()
  }, 120_000)

  afterAll(async () => {
    await fleet?.destroy()
    lab?.destroy()
  })

  it('finds itself by multicast, with nothing but the root and its keys', async () => {
    const startedAt = performance.now()
    for (const { addresses } of fleet.trust.config.hosts.slice(0, 3)) expect(addresses).toEqual([])
    await until(FOUND_MS, 'each is connected with both others', allConnected)
    const seconds = (performance.now() - startedAt) / 1000
    const { items } = await fleet.api('host-1').get<{ items: PeerRow[] }>('/api/v1/peers')
    expect(items.find((row) => row.name === 'host-2')?.address).toBe(lab.ip('host-2'))
    expect(await connected(OUTSIDE)).toEqual([])
    process.stdout.write(`air gap: found ${seconds.toFixed(1)} s after all answered\n`)
  }, 60_000)

  it('says its peer ids and addresses on the LAN, and nothing else', () => {
    const heard = overheard('host-2', 5_000)
    for (const name of SITE) {
      const id = peerIdOfKey(fleet.host(name).keys.transport.publicKey).toString()
      expect(heard).toContain(`dnsaddr=${lab.address(name)}/p2p/${id}`)
    }
    const { fleet: id, root } = fleet.trust
    for (const secret of [id.slice(0, 8), root.name, fleet.rootHash.slice(0, 8), ...SITE]) {
      expect(heard).not.toContain(secret)
    }
  })

  it('rolls out a release that came in a file, goes back by itself, and sends its log out', async () => {
    const initial = SITE.map(runs)
    const bundle = await releaseAsFile('v1', BULK_BYTES)
    await importAndKill('host-1', bundle, 350)
    await fleet.kill('host-1')
    await fleet.start('host-1')
    const done = await ok<{ facts: { taken: number; known: number } }>('host-1', [
      ...['bundle', 'import', bundle],
    ])
    expect(done.facts.taken + done.facts.known).toBeGreaterThan(0)
    const again = await ok<{ facts: { taken: number }; nars: number }>('host-1', [
      ...['bundle', 'import', bundle],
    ])
    expect(again).toMatchObject({ facts: { taken: 0 }, nars: 0 })

    const soak = ['--soak', '4s', '--confirm-within', '30s', '--yes']
    const deployed = await fleet.cli('host-2', 'alice', [
      'deploy',
      '--wait',
      '--timeout',
      '90s',
      ...soak,
    ])
    expect(deployed.exit, deployed.stdout + deployed.stderr).toBe(0)
    const now = runs('host-1')
    expect(initial).not.toContain(now)
    await untilAllRun((host) => runs(host) === now, 'all three run what came in the file')
    expect(existsSync(join(fleet.host('host-3').data, 'system', 'running', 'bulk'))).toBe(true)

    await ok('host-3', ['rollback', '--all', '--yes'])
    await untilAllRun((host) => initial.includes(runs(host)), 'all three are back')

    await untilAtRest()
    for (let round = 0; ; round++) {
      const both = `${await standing('host-2')}\n${await standing(OUTSIDE)}`
      expect(round, `rounds of files until both sides are equal\n${both}`).toBeLessThan(5)
      const out = await carry(OUTSIDE, 'host-2', `out-${round}`)
      await ok(OUTSIDE, ['bundle', 'import', out])
      const back = await carry('host-2', OUTSIDE, `back-${round}`)
      await ok('host-2', ['bundle', 'import', back])
      await pause(1_000)
      if ((await standing('host-2')) === (await standing(OUTSIDE))) break
    }
  }, 240_000)

  it('takes a host in full that can only dial out, by the addresses in its own configuration', async () => {
    const bundle = await releaseAsFile('v2')
    await fleet.stop('host-3')
    const host = fleet.host('host-3')
    const peers = ['host-1', 'host-2'].map((name) => {
      const id = peerIdOfKey(fleet.host(name).keys.transport.publicKey)
      return `${lab.address(name)}/p2p/${id}`
    })
    writeFileSync(host.configFile, JSON.stringify({ ...host.config, mdns: false, peers }))
    lab.closeInbound('host-3')
    await fleet.start('host-3')
    await until(PATIENCE_MS, 'host-3 is connected by its own dials', allConnected)
    await ok('host-3', ['bundle', 'import', bundle])
    const before = runs('host-3')
    await until(PATIENCE_MS, 'host-1 knows the release', async () => {
      const { items } = await fleet
        .api('host-1')
        .get<{ items: { name: string; hosts: number | null }[] }>('/api/v1/releases')
      return items.some((row) => row.name === 'v2' && row.hosts !== null)
    })
    const wait = ['--wait', '--timeout', '90s', '--soak', '4s', '--confirm-within', '30s', '--yes']
    const last = (await fleet.api('host-1').base()).hosts.flatMap((row) => row.last ?? [])
    const supersede = [...new Set(last)].flatMap((id) => ['--supersede', id])
    const deployed = await fleet.cli('host-1', 'alice', ['deploy', ...supersede, ...wait])
    expect(deployed.exit, deployed.stdout + deployed.stderr).toBe(0)
    await untilAllRun((name) => runs(name) !== before && runs(name) === runs('host-1'), 'v2 runs')
  }, 240_000)

  it('says of a host that is not found where it looked and what it found', async () => {
    await fleet.stop('host-2')
    await pause(6_000)
    const ran = await fleet.cli('host-1', 'alice', ['doctor', '--json'])
    const { checks } = JSON.parse(ran.stdout) as Doctor
    const found = (name: string): string =>
      checks.find((check) => check.name === name)?.found ?? `no check ${name}`
    expect(ran.exit).toBe(1)
    expect(found('member host-2')).toMatch(/its machine answers, and nobody listens there/)
    expect(found('member host-2')).toContain(lab.address('host-2'))
    expect(checks.find((check) => check.name === 'member host-4')?.state).toBe('fail')
    await fleet.start('host-2')
    await until(PATIENCE_MS, 'host-2 is back', allConnected)
  }, 120_000)
})
