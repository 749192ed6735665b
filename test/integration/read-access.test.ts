/**
 * Read access to a real daemon over TLS, as an operator gives and takes it: the shipped program makes
 * the tokens, the daemon that runs takes notice by itself.
 */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePorts } from '../../cli/demo/ports.ts'
import { ask, open, type TcpPlace } from '../contract/tcp-client.ts'
import { signed } from './fleet-api.ts'
import { type FleetHost, FleetProcesses, until } from './fleet-processes.ts'

const PATIENCE_MS = 20_000

let fleet: FleetProcesses
let host: FleetHost
let place: TcpPlace

beforeAll(async () => {
  fleet = await FleetProcesses.create({ label: 'read', hosts: 1, voters: 1 })
  host = fleet.host('host-1')
  const port = await freePorts(1, Math.random)
  // Every address, of which loopback is one: what only TLS may serve.
  const api = { listen: { host: '0.0.0.0', port }, tls: 'own' }
  writeFileSync(host.configFile, JSON.stringify({ ...host.config, api }))
  await fleet.start()
  const ca = readFileSync(join(host.data, 'api-tls', 'cert.pem'), 'utf8')
  place = { url: `https://127.0.0.1:${port}`, ca }
}, 60_000)

afterAll(async () => {
  await fleet?.destroy()
})

interface Made {
  readonly token: string
  readonly id: string
  readonly api: { readonly url: string; readonly fingerprint: string }
}

async function create(...args: readonly string[]): Promise<Made> {
  const words = ['tokens', 'create', '--data', host.data, '--json', ...args]
  const ran = await fleet.cli('host-1', 'alice', words)
  expect(ran.exit, ran.stderr).toBe(0)
  return JSON.parse(ran.stdout) as Made
}

async function ended(response: IncomingMessage): Promise<void> {
  response.on('error', () => undefined)
  response.resume()
  await new Promise((resolve) => response.once('close', resolve))
}

describe('a token of a daemon that runs', () => {
  it('reads what its scope names, over the certificate whose fingerprint was printed', async () => {
    const { token, api } = await create('--scope', 'status')
    expect(api.url).toMatch(/^https:\/\/0\.0\.0\.0:/)
    const answer = await open(place, { path: '/api/v1/fleet', token })
    const { fingerprint256 } = (
      answer.socket as unknown as { getPeerCertificate(): { fingerprint256: string } }
    ).getPeerCertificate()
    expect(answer.statusCode).toBe(200)
    expect(fingerprint256).toBe(api.fingerprint)
    answer.destroy()
    const audit = await ask(place, { path: '/api/v1/audit', token })
    expect([audit.status, audit.code]).toEqual([403, 'NF-4022'])
    expect((await ask(place, { path: '/api/v1/fleet' })).code).toBe('NF-4021')
    // As `node init` leaves it.
    copyFileSync(fleet.record('host-1').file, join(host.data, 'host.json'))
    const { stderr } = await fleet.cli('host-1', 'alice', ['node', 'id', '--data', host.data])
    expect(stderr).toContain(api.fingerprint)
  })

  it('brings in no fact, though it is signed and would be taken on the socket', async () => {
    const { token } = await create()
    const fact = signed(fleet.trust, fleet.release, 'release.announce', {
      name: 'v1',
      channel: 'stable',
      version: 1,
      minVersion: 0,
      manifest: 'a'.repeat(64),
      manifestBytes: 100,
      notRevertable: [],
    })
    const question = {
      method: 'POST',
      path: '/api/v1/operations',
      headers: { 'content-type': 'application/cbor' },
      body: fact.bytes,
    }
    const before = (await fleet.api('host-1').fleet()).facts
    for (const one of [token, undefined]) {
      const answer = await ask(place, { ...question, token: one })
      expect([answer.status, answer.code]).toEqual([403, 'NF-4022'])
    }
    expect((await fleet.api('host-1').fleet()).facts).toBe(before)
  })

  it('is told to the log, and its revocation ends what it has open', async () => {
    const { token, id } = await create('--name', 'wall')
    await until(PATIENCE_MS, 'the log tells of the token', () => says(id, 'was made'))
    const stream = await open(place, { path: '/api/v1/stream', token })
    expect(stream.statusCode).toBe(200)
    const over = ended(stream)
    const ran = await fleet.cli('host-1', 'alice', ['tokens', 'revoke', id, '--data', host.data])
    expect(ran.exit, ran.stderr).toBe(0)
    expect((await ask(place, { path: '/api/v1/fleet', token })).code).toBe('NF-4021')
    await over
    await until(PATIENCE_MS, 'the log tells of the revocation', () => says(id, 'was revoked'))
    expect(says(id, 'is used')).toBe(true)
    expect(fleet.logOf('host-1')).not.toContain(token)
  })
})

function says(id: string, what: string): boolean {
  const lines = fleet.logOf('host-1').split('\n')
  return lines.some((line) => line.includes(id) && line.includes(what))
}
