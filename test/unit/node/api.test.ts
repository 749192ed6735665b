/** The API over a fake node: every route keeps its contract, and nothing passes without its proof. */
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { decodeApiReply, encodeApiAsk, handleApiAsk } from '../../../node/api/ask.ts'
import { CACHE_LIST } from '../../../node/api/cache-schema.ts'
import { INVITE_ROW, REQUEST_ROW } from '../../../node/api/enrol-schema.ts'
import { FORK_ROW } from '../../../node/api/fork-schema.ts'
import { listenUnix } from '../../../node/api/listen.ts'
import * as logSchema from '../../../node/api/log-schema.ts'
import * as schema from '../../../node/api/schema.ts'
import { createApi } from '../../../node/api/server.ts'
import { checkedBytes } from '../../../node/api/write-routes.ts'
import {
  blobOf,
  deriveHostKeys,
  FACT_BYTES_MAX,
  type FactBodies,
  keyPair,
  manifestBlob,
  NO_FACT,
  planBlob,
  sealFact,
  signEnroll,
  toHex,
} from '../../../protocol/index.ts'
import { FakeBackend } from '../../cli/fake-backend.ts'
import { found } from '../../cli/found.ts'

const founded = found(['web-01', 'web-02', 'db-01'])
const quiet = { warn: () => undefined, error: () => undefined }
const cbor = { 'content-type': 'application/cbor' }
let backend: FakeBackend
let api: ReturnType<typeof createApi>

beforeEach(() => {
  backend = new FakeBackend('web-01', founded.trust)
  api = createApi({ backend, log: quiet })
})

const nar = blobOf(new Uint8Array(300).fill(7))
const manifest = manifestBlob({
  kind: 'portable',
  hosts: ['db-01', 'web-01', 'web-02'].map((host) => ({
    host,
    generation: 'aaaa-v1',
    closure: ['aaaa-v1'],
    checks: [],
  })),
  paths: [
    {
      path: 'aaaa-v1',
      narHash: nar.hash,
      narSize: nar.bytes.length,
      references: [],
      signatures: [],
    },
  ],
  caches: [],
})

function announce(session = '00'.repeat(16)) {
  const body = {
    name: 'v1',
    channel: 'stable',
    version: 1,
    minVersion: 0,
    manifest: manifest.hash,
    manifestBytes: manifest.bytes.length,
    notRevertable: [],
  }
  return sealFact(
    { type: 'release.announce', body, session, seq: 0, prev: NO_FACT, epoch: 1, ts: 1 },
    { fleet: founded.fleet, key: founded.release },
  )
}

function planOf(release: string) {
  const blob = planBlob({
    release,
    kind: 'forward',
    groups: [{ group: 'main', base: 'b'.repeat(64), waves: [['web-01'], ['web-02', 'db-01']] }],
    policy: {
      soakMs: 1000,
      confirmMs: 1000,
      startTimeoutMs: 1000,
      budget: { kind: 'count', count: 0 },
      onFailure: 'halt',
      maxInFlight: [],
    },
    supersedes: [],
    strategy: 'canary',
    reason: '',
  })
  const body = { plan: blob.hash, planBytes: blob.bytes.length, release, groups: ['main'] }
  const fact = sealFact(
    {
      type: 'rollout.plan',
      body,
      session: '11'.repeat(16),
      seq: 0,
      prev: NO_FACT,
      epoch: 1,
      ts: 1,
    },
    { fleet: founded.fleet, key: founded.operator },
  )
  return { blob, fact }
}

const post = (bytes: Uint8Array, headers: Record<string, string> = cbor) =>
  api.request('/api/v1/operations', { method: 'POST', body: Uint8Array.from(bytes), headers })
const put = (hash: string, bytes: Uint8Array) =>
  api.request(`/api/v1/blobs/${hash}`, {
    method: 'PUT',
    body: Uint8Array.from(bytes),
    headers: cbor,
  })

async function fill(): Promise<{ release: string; rollout: string }> {
  const release = announce()
  const { blob, fact } = planOf(release.id)
  for (const bytes of [release.bytes, fact.bytes]) expect((await post(bytes)).status).toBe(202)
  for (const one of [manifest, blob, nar]) expect((await put(one.hash, one.bytes)).status).toBe(201)
  return { release: release.id, rollout: fact.id }
}

/** An invite by an admin, and a host that asks by it. */
async function invite(): Promise<{ invite: string; request: string }> {
  const { fleet, admin } = founded
  const ticket = keyPair(new Uint8Array(32).fill(77))
  const say = async <T extends 'invite.open' | 'enroll.request'>(
    type: T,
    body: FactBodies[T],
    session: string,
  ): Promise<string> => {
    const draft = { type, body, session, seq: 0, prev: NO_FACT, epoch: 1, ts: 1 }
    const fact = sealFact(draft, { fleet, key: admin })
    expect((await post(fact.bytes)).status).toBe(202)
    return fact.id
  }
  const id = await say(
    'invite.open',
    {
      ...{ group: 'main', key: ticket.publicKey, role: 'host', tags: ['role=web'], groups: [] },
      ...{ channels: [], expires: 0, uses: 2, notAfter: 9, why: 'a rack' },
    },
    '22'.repeat(16),
  )
  const { fact, transport, cosign } = deriveHostKeys(new Uint8Array(32).fill(78))
  const host = { transport: transport.publicKey, cosign: cosign.publicKey, addresses: [] }
  const body = { invite: id, name: 'web-09', host }
  const request = signEnroll(body, { fleet, key: fact, ticket })
  await say('enroll.request', { request: toHex(request.bytes) }, '33'.repeat(16))
  return { invite: id, request: request.id }
}

async function problemOf(response: Response): Promise<schema.Problem> {
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  return schema.PROBLEM.parse(await response.json())
}

describe('every reading route', () => {
  const list = <Row>(row: z.ZodType<Row>) => schema.pageOf(row)
  const routes: readonly (readonly [string, string, z.ZodType<unknown>])[] = [
    ['/fleet', 'FleetStatus', schema.FLEET_STATUS],
    ['/hosts', 'HostList', list(schema.HOST_ROW)],
    ['/hosts/web-01', 'HostDetail', schema.HOST_DETAIL],
    ['/caches', 'CacheList', CACHE_LIST],
    ['/log/feeds', 'FeedList', list(logSchema.FEED_ROW)],
    [
      `/log/envelopes?author=${'a'.repeat(64)}&session=${'b'.repeat(32)}`,
      'EnvelopePage',
      logSchema.ENVELOPE_PAGE,
    ],
    ['/log/blocks?epoch=1&view=3', 'BlockPage', logSchema.BLOCK_PAGE],
    ['/log/bodies', 'BodyList', list(logSchema.BODY_ROW)],
    [`/log/body?hash=${manifest.hash}`, 'BodyPage', logSchema.BODY_PAGE],
    ['/log/checkpoints', 'CheckpointPage', logSchema.CHECKPOINT_PAGE],
    ['/rollouts', 'RolloutList', list(schema.ROLLOUT_ROW)],
    ['/rollouts/<rollout>', 'RolloutStatus', schema.ROLLOUT_STATUS],
    ['/rollouts/<rollout>/why/web-02', 'WhyHost', schema.WHY_HOST],
    ['/releases', 'ReleaseList', list(schema.RELEASE_ROW)],
    ['/releases/<release>', 'ReleaseDetail', schema.RELEASE_DETAIL],
    ['/releases/<release>/diff/<release>', 'ReleaseDiff', schema.RELEASE_DIFF],
    ['/events', 'EventList', list(schema.EVENT_ROW)],
    ['/audit', 'AuditLog', list(schema.AUDIT_ROW)],
    ['/peers', 'PeerList', list(schema.PEER_ROW)],
    ['/peers/forks', 'ForkList', list(FORK_ROW)],
    ['/invites', 'InviteList', list(INVITE_ROW)],
    ['/requests', 'RequestList', list(REQUEST_ROW)],
    ['/doctor', 'Doctor', schema.DOCTOR],
    ['/base', 'PlanBase', schema.PLAN_BASE],
    ['/documents', 'Documents', schema.DOCUMENTS],
    ['/blobs', 'WantedList', list(schema.WANTED_BLOB)],
  ]

  it.each(routes)(
    '%s answers a %s of the contract, over HTTP and over libp2p',
    async (path, kind, body) => {
      const ids = await fill()
      const full = `/api/v1${path.replaceAll('<rollout>', ids.rollout.slice(0, 8)).replaceAll('<release>', ids.release)}`
      const response = await api.request(full)
      expect(response.status).toBe(200)
      const answer: unknown = await response.json()
      schema.stamped(kind, body).parse(answer)
      const asked = decodeApiReply(
        await handleApiAsk(api, encodeApiAsk({ method: 'GET', path: full })),
      )
      expect(asked.status).toBe(200)
      schema.stamped(kind, body).parse(JSON.parse(Buffer.from(asked.body).toString()))
    },
  )

  it('lists who is invited and who asks, with the bytes that were signed', async () => {
    const { invite: id, request } = await invite()
    const invites = await (await api.request('/api/v1/invites')).json()
    const requests = await (await api.request('/api/v1/requests')).json()
    schema.stamped('InviteList', list(INVITE_ROW)).parse(invites)
    schema.stamped('RequestList', list(REQUEST_ROW)).parse(requests)
    expect(invites).toMatchObject({ items: [{ id, state: 'ended', spent: 1, uses: 2 }] })
    expect(requests).toMatchObject({
      items: [{ id: request, invite: id, name: 'web-09', role: 'host', state: 'pending' }],
    })
  })

  it('says whose view it is and how old', async () => {
    const answer = (await (await api.request('/api/v1/fleet')).json()) as schema.ViewStamp
    expect(answer).toMatchObject({ fleet: 'acme', observedBy: 'web-01', viewAgeMs: 1200 })
  })

  it('says that the node starts instead of answering with half of it', async () => {
    let runs = false
    const starting = createApi({ backend, log: quiet, started: () => runs })
    for (const path of ['/api/v1/fleet', '/readyz']) {
      expect((await starting.request(path)).status, path).toBe(503)
    }
    runs = true
    expect((await starting.request('/api/v1/fleet')).status).toBe(200)
  })

  it('refuses what it does not understand instead of ignoring it', async () => {
    for (const path of [
      '/hosts?limit=0',
      '/hosts?colour=red',
      '/hosts?cursor=nobody',
      '/fleet?hosts=maybe',
      '/rollouts/xyz',
    ]) {
      expect((await problemOf(await api.request(`/api/v1${path}`))).code, path).toBe('NF-4002')
    }
    for (const path of ['/hosts/nobody', '/rollouts/0123', '/nothing', '/base?group=other']) {
      expect((await problemOf(await api.request(`/api/v1${path}`))).code, path).toBe('NF-4001')
    }
  })
})

describe('the operations route', () => {
  it('takes a signed fact once and knows it the second time', async () => {
    const { bytes, id } = announce()
    const first: unknown = await (await post(bytes)).json()
    schema.stamped('Submitted', schema.SUBMITTED).parse(first)
    expect(first).toMatchObject({ id, state: 'accepted' })
    expect(await (await post(bytes)).json()).toMatchObject({ id, state: 'known' })
  })

  it('refuses any envelope with one changed byte', async () => {
    const { bytes } = announce()
    await fc.assert(
      fc.asyncProperty(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, change) => {
          const bad = Uint8Array.from(bytes)
          bad[at] = (bad[at] ?? 0) ^ change
          expect((await post(bad)).status).toBe(422)
        },
      ),
      { numRuns: 60 },
    )
    expect(backend.facts).toEqual([])
  })

  it('refuses more bytes than a fact has, declared or not', async () => {
    expect((await problemOf(await post(new Uint8Array(FACT_BYTES_MAX + 1)))).code).toBe('NF-4003')
  })

  it('refuses the content types that a browser sends without asking', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      expect((await problemOf(await post(announce().bytes, { 'content-type': type }))).code).toBe(
        'NF-4002',
      )
    }
  })

  it('is the only way to change anything but blobs', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      for (const path of ['/hosts', '/rollouts', '/fleet', '/documents', '/releases']) {
        expect((await api.request(`/api/v1${path}`, { method, headers: cbor })).status).toBe(404)
      }
    }
  })
})

describe('the blob route', () => {
  it('takes only what a held fact names and what is missing', async () => {
    expect((await problemOf(await put(manifest.hash, manifest.bytes))).code).toBe('NF-4005')
    await post(announce().bytes)
    expect((await put(manifest.hash, manifest.bytes)).status).toBe(201)
    expect((await problemOf(await put(manifest.hash, manifest.bytes))).code).toBe('NF-4005')
  })

  it('keeps no bytes that do not hash to the name, and none beyond the bound', async () => {
    await post(announce().bytes)
    const bad = Uint8Array.from(manifest.bytes)
    bad[0] = (bad[0] ?? 0) ^ 1
    expect((await problemOf(await put(manifest.hash, bad))).code).toBe('NF-4006')
    const long = new Uint8Array(manifest.bytes.length + 1)
    expect((await problemOf(await put(manifest.hash, long))).code).toBe('NF-4003')
    expect(backend.blobs.size).toBe(0)
  })

  it('passes good bytes through unchanged, however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }),
        async (chunks) => {
          const blob = blobOf(new Uint8Array(Buffer.concat(chunks)))
          const source = async function* () {
            yield* chunks
          }
          const seen: Uint8Array[] = []
          const limits = { hash: blob.hash, bytesMax: blob.bytes.length }
          for await (const chunk of checkedBytes(source(), limits)) seen.push(chunk)
          expect(new Uint8Array(Buffer.concat(seen))).toEqual(blob.bytes)
        },
      ),
    )
  })
})

describe('a name that is not ours', () => {
  it('reaches nothing over TCP, as host and as origin', async () => {
    const tcp = createApi({ backend, log: quiet, hosts: ['localhost'] })
    const ask = (headers: Record<string, string>) => tcp.request('/api/v1/fleet', { headers })
    expect((await ask({ host: 'localhost:7461' })).status).toBe(200)
    expect((await problemOf(await ask({ host: 'evil.example' }))).code).toBe('NF-4004')
    expect((await problemOf(await ask({}))).code).toBe('NF-4004')
    const evil = await ask({ host: 'localhost', origin: 'http://evil.example' })
    expect((await problemOf(evil)).code).toBe('NF-4004')
  })
})

describe('the event stream', () => {
  it('goes on after the last event that the client saw', async () => {
    await fill()
    const response = await api.request('/api/v1/stream', { headers: { 'last-event-id': '1' } })
    const text = await readUntil(response, 'id: 2')
    expect(text).toContain('event: stamp')
    expect(text).not.toContain('id: 1\n')
  })

  it('is begun by no HEAD, which would never end it; the probes take one', async () => {
    for (const path of ['/api/v1/stream', '/api/v1/bundle/vector', '/api/v1/fleet'])
      expect((await api.request(path, { method: 'HEAD' })).status, path).toBe(405)
    for (const path of ['/healthz', '/readyz'])
      expect((await api.request(path, { method: 'HEAD' })).status, path).toBe(200)
  })

  it('is not offered over libp2p', async () => {
    const remote = createApi({ backend, log: quiet, streams: false })
    const bytes = await handleApiAsk(
      remote,
      encodeApiAsk({ method: 'GET', path: '/api/v1/stream' }),
    )
    expect(decodeApiReply(bytes).status).toBe(405)
  })
})

describe('a question over libp2p', () => {
  it('is answered with a problem whatever its bytes are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        expect(decodeApiReply(await handleApiAsk(api, bytes)).status).toBeGreaterThanOrEqual(400)
      }),
    )
  })

  it('carries a signed fact as HTTP does', async () => {
    const { bytes, id } = announce()
    const asked = encodeApiAsk({ method: 'POST', path: '/api/v1/operations', body: bytes })
    expect(decodeApiReply(await handleApiAsk(api, asked)).status).toBe(202)
    expect(backend.facts.map((fact) => fact.id)).toEqual([id])
  })
})

describe('the unix socket', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'nf-api-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('has mode 0660 and is gone after closing', async () => {
    const path = join(folder, 'sub', 'api.sock')
    const listening = await listenUnix(api, path)
    expect(statSync(path).mode & 0o777).toBe(0o660)
    await listening.close()
    expect(existsSync(path)).toBe(false)
  })

  it('takes the place of a dead one, never of a living one', async () => {
    const path = join(folder, 'api.sock')
    const first = await listenUnix(api, path)
    await expect(listenUnix(api, path)).rejects.toMatchObject({ code: 'PORT_IN_USE' })
    await first.close()
    await leaveDead(path)
    await (await listenUnix(api, path)).close()
  })

  it('never removes a file that is no socket', async () => {
    const path = join(folder, 'api.sock')
    writeFileSync(path, 'precious')
    await expect(listenUnix(api, path)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect(existsSync(path)).toBe(true)
  })

  it('refuses a path that the kernel would cut', async () => {
    const path = join(folder, 'x'.repeat(108))
    await expect(listenUnix(api, path)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

/** A socket file whose owner is gone: made under another name, because closing removes that one. */
async function leaveDead(path: string): Promise<void> {
  const { renameSync } = await import('node:fs')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(`${path}.x`, resolve))
  renameSync(`${path}.x`, path)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  expect(existsSync(path)).toBe(true)
}

async function readUntil(response: Response, wanted: string): Promise<string> {
  const reader = response.body?.getReader()
  let text = ''
  while (reader !== undefined && !text.includes(wanted)) {
    const { value, done } = await reader.read()
    if (done) break
    text += new TextDecoder().decode(value)
  }
  await reader?.cancel()
  return text
}
