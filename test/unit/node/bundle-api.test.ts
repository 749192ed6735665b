/** The bundle routes over a fake node: files that verify, and bodies that are refused. */
import { beforeEach, describe, expect, it } from 'vitest'
import { decodeApiReply, encodeApiAsk, handleApiAsk } from '../../../node/api/ask.ts'
import * as schema from '../../../node/api/schema.ts'
import { createApi } from '../../../node/api/server.ts'
import {
  checkBundle,
  encodeCanonical,
  encodeSyncQuestion,
  NO_FACT,
  readBundleRecords,
  readVectorFile,
  sealFact,
} from '../../../protocol/index.ts'
import { FakeBackend } from '../../cli/fake-backend.ts'
import { found } from '../../cli/found.ts'

const founded = found(['web-01', 'web-02', 'db-01'])
const quiet = { warn: () => undefined, error: () => undefined }
const octets = { 'content-type': 'application/octet-stream' }
let backend: FakeBackend
let api: ReturnType<typeof createApi>

beforeEach(() => {
  backend = new FakeBackend('web-01', founded.trust)
  api = createApi({ backend, log: quiet })
})

function halt(session: string): Uint8Array {
  const body = { rollout: 'ab'.repeat(32), revert: false, why: 'test' }
  const place = { session: session.repeat(16), seq: 0, prev: NO_FACT, epoch: 1, ts: 1 }
  return sealFact(
    { type: 'rollout.halt', body, ...place },
    { fleet: founded.fleet, key: founded.operator },
  ).bytes
}

const post = (path: string, bytes: Uint8Array, headers: Record<string, string> = octets) =>
  api.request(`/api/v1/bundle/${path}`, {
    method: 'POST',
    body: Uint8Array.from(bytes),
    headers,
  })

async function bytesOf(response: Response): Promise<Uint8Array> {
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('application/octet-stream')
  return new Uint8Array(await response.arrayBuffer())
}

async function problemOf(response: Response): Promise<schema.Problem> {
  return schema.PROBLEM.parse(await response.json())
}

describe('the bundle routes', () => {
  it('take facts and the log, and say what became of them', async () => {
    const facts = encodeSyncQuestion({ kind: 'give', facts: [halt('01'), halt('02')] })
    const taken = schema.stamped('BundleTaken', schema.BUNDLE_TAKEN)
    expect(taken.parse(await (await post('facts', facts)).json())).toMatchObject({ taken: 2 })
    expect(taken.parse(await (await post('facts', facts)).json())).toMatchObject({
      taken: 0,
      known: 2,
    })
    const gate = await post('gate', encodeCanonical([]))
    schema.stamped('BundleGate', schema.BUNDLE_GATE).parse(await gate.json())
  })

  it('send a bundle that verifies, whole or from a vector file on', async () => {
    await post('facts', encodeSyncQuestion({ kind: 'give', facts: [halt('01')] }))
    const vector = await bytesOf(await api.request('/api/v1/bundle/vector'))
    expect((await readVectorFile([vector], founded.trust.rootHash)).feeds.size).toBe(1)
    await post('facts', encodeSyncQuestion({ kind: 'give', facts: [halt('02')] }))
    const factsIn = async (since: Uint8Array): Promise<number> => {
      const bytes = await bytesOf(await post('export', since))
      const { rootHash } = founded.trust
      let facts = 0
      for await (const item of checkBundle(readBundleRecords('bundle', [bytes]), { rootHash }))
        if (item.kind === 'fact') facts++
      return facts
    }
    expect(await factsIn(new Uint8Array(0))).toBe(2)
    expect(await factsIn(vector)).toBe(1)
  })

  it('refuse a vector file that is none, a body of another type, and one that is too large', async () => {
    const torn = await problemOf(await post('export', new Uint8Array(30)))
    expect(torn).toMatchObject({ code: 'NF-4007', status: 422 })
    expect(torn.why).toContain('at byte 0, record 0: expected the first bytes of a vector')
    const html = await problemOf(await post('facts', halt('01'), { 'content-type': 'text/html' }))
    expect(html.code).toBe('NF-4002')
    const large = await problemOf(await post('facts', new Uint8Array(200_000)))
    expect(large.code).toBe('NF-4003')
    const query = await problemOf(await post('export?closures=maybe', new Uint8Array(0)))
    expect(query.code).toBe('NF-4002')
    expect(backend.facts).toEqual([])
  })

  it('send no files over libp2p, and say where to ask', async () => {
    const remote = createApi({ backend, log: quiet, streams: false })
    const question = encodeApiAsk({ method: 'GET', path: '/api/v1/bundle/vector' })
    const { status, body } = decodeApiReply(await handleApiAsk(remote, question))
    expect(status).toBe(405)
    expect(Buffer.from(body).toString()).toContain('NF-4012')
  })

  it('cut a file that cannot be finished, so that nobody takes it for whole', async () => {
    backend.exportBundle = async () =>
      (async function* () {
        yield new Uint8Array(10)
        throw new Error('the disk is gone')
      })()
    const response = await post('export', new Uint8Array(0))
    await expect(response.arrayBuffer()).rejects.toThrow()
  })
})
