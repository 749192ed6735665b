/**
 * What a running daemon must refuse (issue "Bad input"): facts that are not signed, not canonical or
 * not of this fleet, outsiders who dial in, plans that ask for what is not there. Every refusal has a
 * code, a reason and something to do, and leaves digest, facts and log as they were.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { noise } from '@chainsafe/libp2p-noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { encode } from 'cborg'
import { createLibp2p } from 'libp2p'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { writeKeyFile } from '../../cli/key-file.ts'
import type { ForkRow } from '../../node/api/fork-schema.ts'
import type { FleetStatus, PeerRow, RolloutStatus } from '../../node/index.ts'
import { ASK_PROTOCOL } from '../../node/network/ask-protocol.ts'
import {
  decodeCanonical,
  encodeCanonical,
  FACT_BYTES_MAX,
  type KeyPair,
  keyPair,
  NO_FACT,
  sealFact,
  signEd25519,
  signedBytes,
  toHex,
  type WireValue,
} from '../../protocol/index.ts'
import { type Ran, runProgram } from '../cli/script.ts'
import { announce, baseOver, fresh, refusal, signed, signPlan, submitPlan } from './fleet-api.ts'
import { FleetProcesses, until } from './fleet-processes.ts'

const PATIENCE_MS = 30_000

let fleet: FleetProcesses
let release: string
let before: Standing

type Standing = Pick<FleetStatus, 'facts' | 'digest' | 'gateSlot'> & { readonly head: string }

beforeAll(async () => {
  fleet = await FleetProcesses.create({
    label: 'input',
    hosts: 1,
    voters: 1,
    // Nothing but what the tests do shall move the log.
    timing: { anchorMs: 3_600_000 },
  })
  await fleet.start()
  release = (await releaseOf('v1', 1)).id
  await until(PATIENCE_MS, 'the host has said how it is', async () => {
    return (await fleet.api('host-1').host('host-1')).state === 'healthy'
  })
}, 60_000)

beforeEach(async () => {
  before = await standing()
})

afterAll(async () => {
  await fleet?.destroy()
})

async function standing(): Promise<Standing> {
  const { facts, digest, gateSlot, head } = await fleet.api('host-1').fleet()
  return { facts, digest, gateSlot, head }
}

async function releaseOf(label: string, version: number): Promise<{ id: string }> {
  const from = { trust: fleet.trust, key: fleet.release, api: fleet.api('host-1') }
  return await announce(from, { folder: fleet.folder, label, version })
}

/** What holds of every refused envelope. */
async function expectRefused(
  bytes: Uint8Array,
  expected: { code: string; status: number; why: RegExp; fix: RegExp },
): Promise<void> {
  const { code, status, why, fix } = await refusal(fleet.api('host-1').post(bytes))
  expect({ code, status }, why).toEqual({ code: expected.code, status: expected.status })
  expect(why).toMatch(expected.why)
  expect(fix).toMatch(expected.fix)
  expect(await standing()).toEqual(before)
}

const HALT = { rollout: 'ab'.repeat(32), revert: true, why: 'test' }

function halt(key: KeyPair = fleet.operator(), fleetId: string = fleet.trust.fleet): Uint8Array {
  const session = toHex(fresh(16))
  const place = { session, seq: 0, prev: NO_FACT, epoch: 1, ts: Date.now() }
  return sealFact({ type: 'rollout.halt', body: HALT, ...place }, { fleet: fleetId, key }).bytes
}

function partsOf(envelope: Uint8Array): [Uint8Array, Uint8Array] {
  const [payload, signature] = decodeCanonical(envelope, FACT_BYTES_MAX, 'a fact') as [
    Uint8Array,
    Uint8Array,
  ]
  return [payload, signature]
}

/** Signs any payload bytes as the operator: the signature is good, whatever the bytes are. */
function envelopeOver(payload: Uint8Array): Uint8Array {
  const { seed } = fleet.operator()
  const message = signedBytes('rollout.halt', fleet.trust.fleet, payload)
  return encodeCanonical([payload, signEd25519({ seed, message })])
}

describe('a fact is refused', () => {
  const SIGNATURE = { code: 'NF-4007', status: 422, why: /BAD_SIGNATURE/, fix: /key belongs to/ }
  const FORM = { code: 'NF-4007', status: 422, why: /NOT_CANONICAL/, fix: /same version/ }

  it('without a signature, with a foreign one, and with one that was moved', async () => {
    const [payload, signature] = partsOf(halt())
    await expectRefused(encodeCanonical([payload, new Uint8Array(64)]), SIGNATURE)
    const [, foreign] = partsOf(halt(keyPair(fresh(32))))
    await expectRefused(encodeCanonical([payload, foreign]), SIGNATURE)
    const changed = payload.slice()
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    const found = await refusal(fleet.api('host-1').post(encodeCanonical([changed, signature])))
    expect(found.code).toBe('NF-4007')
    const unsigned = { ...SIGNATURE, why: /BAD_SHAPE.*64-byte signature/, fix: /same version/ }
    await expectRefused(encodeCanonical([payload]), unsigned)
  })

  it('encoded anew: unsorted keys, long integers, trailing bytes, though the signature is good', async () => {
    const [payload] = partsOf(halt())
    const fields = decodeCanonical(payload, FACT_BYTES_MAX, 'a payload') as Record<
      string,
      WireValue
    >
    const unsorted = encode(Object.fromEntries(Object.entries(fields).reverse()), {
      mapSorter: () => 0,
    })
    expect(unsorted).not.toEqual(payload)
    await expectRefused(envelopeOver(new Uint8Array(unsorted)), FORM)
    const long = Buffer.concat([
      Buffer.of(0xb8, payload[0] === undefined ? 0 : payload[0] & 0x1f),
      payload.subarray(1),
    ])
    await expectRefused(envelopeOver(new Uint8Array(long)), FORM)
    await expectRefused(new Uint8Array([...halt(), 0]), FORM)
    await expectRefused(new TextEncoder().encode('no CBOR at all'), FORM)
  })

  it('of another fleet, of a key that nobody named, and larger than any honest one', async () => {
    await expectRefused(halt(fleet.operator(), 'ef'.repeat(16)), SIGNATURE)
    await expectRefused(halt(keyPair(fresh(32))), {
      code: 'NF-4008',
      status: 403,
      why: /UNKNOWN_AUTHOR/,
      fix: /have an admin add the key/,
    })
    await expectRefused(new Uint8Array(FACT_BYTES_MAX + 1), {
      code: 'NF-4003',
      status: 413,
      why: /expected at most \d+ bytes/,
      fix: /honest/,
    })
  })

  it('that leaves a gap in its feed, or stands where another one stands', async () => {
    const session = toHex(fresh(16))
    const at = { fleet: fleet.trust.fleet, key: fleet.operator() }
    const common = { type: 'rollout.halt', body: HALT, session, epoch: 1, ts: 1 } as const
    const far = sealFact({ ...common, seq: 3, prev: 'cd'.repeat(32) }, at)
    await expectRefused(far.bytes, {
      code: 'NF-4007',
      status: 422,
      why: /BAD_CHAIN: expected sequence 0/,
      fix: /run the command again/,
    })
    const first = sealFact({ ...common, seq: 0, prev: NO_FACT }, at)
    expect((await fleet.api('host-1').post(first.bytes)).state).toBe('accepted')
    expect((await fleet.api('host-1').post(first.bytes)).state).toBe('known')
    const rival = sealFact({ ...common, ts: 2, seq: 0, prev: NO_FACT }, at)
    const found = await refusal(fleet.api('host-1').post(rival.bytes))
    expect(found).toMatchObject({ code: 'NF-4007', status: 422 })
    expect(found.fix).toMatch(/a fresh session.*revoke it/)
    // Nothing of the rival counts but what it proves: that its key contradicted itself.
    const ids = [first.id, rival.id].sort()
    const proven = async (host: string): Promise<boolean> => {
      const { items } = await fleet
        .api(host)
        .get<{ items: readonly ForkRow[] }>('/api/v1/peers/forks')
      return items.some(
        (row) => row.kind === 'feed' && row.first === ids[0] && row.second === ids[1],
      )
    }
    for (const host of fleet.names)
      await until(PATIENCE_MS, `${host} holds the proof`, () => proven(host))
    // Which of the two it meant nobody can know: neither is taken any more.
    for (const { bytes } of [first, rival])
      expect(await refusal(fleet.api('host-1').post(bytes))).toMatchObject({ code: 'NF-4007' })
  })

  it('whose plan body or manifest is not what its hash says', async () => {
    // Its body never arrives, so it must be one that no other plan has.
    const policy = { soakMs: 12_345 }
    const wish = { release, base: fleet.trust.genesis, waves: [['host-1']], policy }
    const plan = signPlan(fleet.trust, fleet.operator(), wish)
    await fleet.api('host-1').post(plan.fact.bytes)
    before = await standing()
    const other = new Uint8Array(plan.blob.bytes.length)
    const wrong = await refusal(fleet.api('host-1').put(plan.blob.hash, other))
    expect(wrong).toMatchObject({ code: 'NF-4006', status: 422 })
    const stray = await refusal(fleet.api('host-1').put('cd'.repeat(32), other))
    expect(stray).toMatchObject({ code: 'NF-4005', status: 409 })
    expect(await standing()).toEqual(before)
  })
})

describe('an outsider who dials in', () => {
  let stop: (() => Promise<void>) | undefined
  afterEach(async () => {
    await stop?.()
    stop = undefined
  })

  async function multiaddrOf(host: string): Promise<string> {
    const { items } = await fleet.api(host).get<{ items: PeerRow[] }>('/api/v1/peers')
    return items[0]?.api[0] ?? ''
  }

  it('is cut off before it can ask anything', async () => {
    const address = multiaddr(await multiaddrOf('host-1'))
    const node = await createLibp2p({
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { ping: ping() },
      connectionMonitor: { enabled: false },
    })
    stop = async () => await node.stop()
    const attempt = async (): Promise<unknown> => {
      const signal = AbortSignal.timeout(5_000)
      const connection = await node.dial(address, { signal })
      const stream = await connection.newStream(ASK_PROTOCOL, { signal })
      stream.send(Uint8Array.of(1))
      for await (const chunk of stream) return chunk
      throw new Error('closed without an answer')
    }
    await expect(attempt()).rejects.toBeDefined()
    await expect(node.services.ping.ping(address)).rejects.toBeDefined()
    await until(PATIENCE_MS, 'the connection is gone', () => node.getConnections().length === 0)
    expect(await standing()).toEqual(before)
  })

  it('with a key file of its own gets a code and is told what to do', async () => {
    const key = keyPair(fresh(32))
    const file = join(fleet.folder, 'eve.key')
    writeKeyFile(file, { role: 'operator', name: 'eve', fleet: 'x', rootHash: fleet.rootHash, key })
    const peer = await multiaddrOf('host-1')
    const ran = await cli(['status', '--peer', peer, '--identity', file, '--json'])
    expect(ran.exit, ran.stderr).toBe(69)
    expect(errorOf(ran)).toMatchObject({
      code: 'NF-1101',
      fix: [expect.stringMatching(/--peer|--socket/)],
    })
    const good = await cli([
      'status',
      '--peer',
      peer,
      '--identity',
      fleet.keyFile('alice'),
      '--json',
    ])
    expect(good.exit, good.stderr).toBe(0)
  })
})

interface ErrorDocument {
  readonly code: string
  readonly message: string
  readonly why: readonly string[]
  readonly fix: readonly string[]
}

async function cli(args: readonly string[]): Promise<Ran> {
  const env = { HOME: fleet.folder, PATH: process.env['PATH'] ?? '', TERM: 'dumb' }
  return await runProgram(fleet.program, args, { cwd: fleet.folder, env })
}

function errorOf(ran: Ran): ErrorDocument {
  return JSON.parse(ran.stderr.trim().split('\n').at(-1) ?? '') as ErrorDocument
}

/** A command of the operator at the daemon's socket, which must fail this way and change nothing. */
async function expectFails(
  args: readonly string[],
  expected: { exit: number; code: string; says: RegExp; fix: RegExp },
): Promise<void> {
  const ran = await fleet.cli('host-1', 'alice', [...args, '--json'])
  const error = errorOf(ran)
  expect(error.code, ran.stderr).toBe(expected.code)
  expect(ran.exit, ran.stderr).toBe(expected.exit)
  expect([error.message, ...error.why].join('\n')).toMatch(expected.says)
  expect(error.fix.join('\n')).toMatch(expected.fix)
  expect(await standing()).toEqual(before)
}

/** Waits until the voters have said no to a plan. */
async function untilRejected(id: string): Promise<RolloutStatus> {
  let status = await fleet.api('host-1').rollout(id)
  await until(PATIENCE_MS, 'the plan is decided', async () => {
    status = await fleet.api('host-1').rollout(id)
    return status.state !== 'proposed'
  })
  expect(status.state).toBe('rejected')
  return status
}

describe('a command fails', () => {
  it('with a key that the fleet does not name, that others can read, or that is not there', async () => {
    const key = keyPair(fresh(32))
    const file = join(fleet.folder, 'mallory.key')
    writeKeyFile(file, {
      role: 'operator',
      name: 'mallory',
      fleet: 'x',
      rootHash: fleet.rootHash,
      key,
    })
    const socket = ['--socket', fleet.host('host-1').socket]
    const halted = await cli([
      'rollback',
      '--all',
      '--yes',
      '--identity',
      file,
      ...socket,
      '--json',
    ])
    expect(halted.exit, halted.stderr).toBe(77)
    expect(errorOf(halted)).toMatchObject({ code: 'NF-1203' })
    expect(errorOf(halted).why.join()).toMatch(/the root does not name the key/)

    writeFileSync(join(fleet.folder, 'open.key'), '{}', { mode: 0o644 })
    const args = ['rollback', '--all', '--yes', '--identity', 'open.key', ...socket, '--json']
    const exposed = await cli(args)
    expect(exposed.exit, exposed.stderr).toBe(77)
    expect(errorOf(exposed)).toMatchObject({ code: 'NF-1201' })
    expect(errorOf(exposed).fix.join()).toMatch(/chmod 600/)

    const missing = await cli([
      'rollback',
      '--all',
      '--yes',
      '--identity',
      'no.key',
      ...socket,
      '--json',
    ])
    expect(missing.exit, missing.stderr).toBe(66)
    expect(errorOf(missing)).toMatchObject({ code: 'NF-1202' })
    expect(errorOf(missing).why.join()).toMatch(/no\.key: not there/)
    expect(await standing()).toEqual(before)
  })

  it('for a host that the group does not have', async () => {
    await expectFails(['deploy', release, '--host', 'host-9'], {
      exit: 66,
      code: 'NF-2110',
      says: /host-9: not in group main\n.*host-1/,
      fix: /nixfleet hosts list/,
    })
  })

  it('on a head that the log has left behind', async () => {
    await expectFails(['deploy', release, '--if-head', 'deadbeef'], {
      exit: 75,
      code: 'NF-2107',
      says: /head is [0-9a-f]{8}, not deadbeef/,
      fix: /Look at nixfleet status again/,
    })
  })

  it('for a store path, a folder or a release that does not exist', async () => {
    const keys = ['--release-key', fleet.keyFile('release')]
    const create = ['release', 'create', ...keys]
    await expectFails([...create, '--portable', '--all', join(fleet.folder, 'no-such-tree')], {
      exit: 66,
      code: 'NF-5002',
      says: /GENERATION_MISSING.*no-such-tree/,
      fix: /\w/,
    })
    const path = '/nix/store/00000000000000000000000000000000-no-such-system'
    await expectFails([...create, '--nix', `host-1=${path}`], {
      exit: 66,
      code: 'NF-5002',
      says: /GENERATION_MISSING.*no-such-system/,
      fix: /\w/,
    })
    await expectFails(['deploy', 'deadbeef'], {
      exit: 66,
      code: 'NF-4001',
      says: /deadbeef/,
      fix: /\w/,
    })
  })

  it('for a tree that is no generation, and for one that would miss its own path elsewhere', async () => {
    const keys = ['--release-key', fleet.keyFile('release')]
    const tree = join(fleet.folder, 'no-generation')
    mkdirSync(tree)
    await expectFails(['release', 'create', ...keys, '--portable', '--all', tree], {
      exit: 1,
      code: 'NF-5002',
      says: /SYSTEM_FAILED.*bin\/switch-to-configuration/,
      fix: /Build the generation/,
    })
    mkdirSync(join(tree, 'bin'))
    const program = join(tree, 'bin', 'switch-to-configuration')
    writeFileSync(program, `#!/bin/sh\nexec ${tree}/bin/real\n`, { mode: 0o755 })
    await expectFails(['release', 'create', ...keys, '--portable', '--all', tree], {
      exit: 1,
      code: 'NF-5002',
      says: /SYSTEM_FAILED.*no path of this machine/,
      fix: /stands on its own/,
    })
  })
})

describe('a plan is rejected by the voters', () => {
  it('for a host that the group does not have', async () => {
    const wish = { release, base: fleet.trust.genesis, waves: [['host-1', 'host-9']] }
    const id = await submitPlan(fleet.api('host-1'), signPlan(fleet.trust, fleet.operator(), wish))
    const { rejected } = await untilRejected(id)
    expect(rejected?.why).toBe('host-9 is no host of group main')
    const { head, gateSlot } = await standing()
    expect({ head, gateSlot }).toEqual({ head: before.head, gateSlot: before.gateSlot })
  })

  it('by a key that may not deploy, though nobody fetches its body', async () => {
    const wish = { release, base: fleet.trust.genesis, waves: [['host-1']] }
    const plan = signPlan(fleet.trust, fleet.release, wish)
    const { rejected } = await untilRejected(await submitPlan(fleet.api('host-1'), plan))
    expect(rejected).toMatchObject({
      code: 'scope',
      why: 'the author is no operator of this fleet',
    })
  })

  it('over hosts that another rollout has, and the command line says which', async () => {
    const base = baseOver(await fleet.api('host-1').base(), ['host-1'])
    const wish = { release, base, waves: [['host-1']], policy: { soakMs: 30_000 } }
    const api = fleet.api('host-1')
    const open = await submitPlan(api, signPlan(fleet.trust, fleet.operator(), wish))
    await until(PATIENCE_MS, 'it is admitted', async () => {
      return (await api.rollout(open)).state === 'wave'
    })
    const rival = await submitPlan(api, signPlan(fleet.trust, fleet.operator(), wish))
    const { rejected } = await untilRejected(rival)
    expect(rejected).toMatchObject({ code: 'conflict', winner: open })
    expect(rejected?.why).toMatch(new RegExp(`host-1 belongs to ${open.slice(0, 12)} since slot`))

    const { head, gateSlot } = await standing()
    const ran = await fleet.cli('host-1', 'alice', ['deploy', release, '--json'])
    expect(ran.exit, ran.stderr).toBe(75)
    expect(errorOf(ran)).toMatchObject({ code: 'NF-2108' })
    expect(errorOf(ran).why.join()).toContain(open.slice(0, 8))
    expect(errorOf(ran).fix.join()).toMatch(/--supersede/)
    expect(await standing()).toMatchObject({ head, gateSlot })

    const body = { rollout: open, revert: true, why: 'the end of the test' }
    await api.post(signed(fleet.trust, fleet.operator(), 'rollout.halt', body).bytes)
    await until(PATIENCE_MS, 'it is closed', async () => (await api.rollout(open)).closed)
  })

  it('of an older version than the channel has seen, or on a base that has moved', async () => {
    const api = fleet.api('host-1')
    const last = (await api.base()).hosts[0]?.last ?? ''
    const wish = { base: fleet.trust.genesis, waves: [['host-1']], supersedes: [last] }
    const stale = signPlan(fleet.trust, fleet.operator(), { ...wish, release })
    const { rejected } = await untilRejected(await submitPlan(api, stale))
    expect(rejected).toMatchObject({ code: 'stale-base', winner: last })

    const older = (await releaseOf('v0', 0)).id
    const base = baseOver(await api.base(), ['host-1'])
    const down = signPlan(fleet.trust, fleet.operator(), { ...wish, base, release: older })
    const answer = await untilRejected(await submitPlan(api, down))
    expect(answer.rejected).toMatchObject({ code: 'downgrade' })
    expect(answer.rejected?.why).toMatch(/expected version 1 or newer/)
  })
})
