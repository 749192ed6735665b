/** A node as a binary cache: where it takes a path from, what it passes on, and what it never says. */

import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Listening, listenTcp } from '../../../node/api/listen.ts'
import { createCacheApp } from '../../../node/substituter/cache-app.ts'
import { KnownPaths } from '../../../node/substituter/known-paths.ts'
import { FETCHES_MAX, UPSTREAM_REST_MS } from '../../../node/substituter/limits.ts'
import { Substituter } from '../../../node/substituter/substituter.ts'
import { HOP_HEADER } from '../../../node/substituter/upstream.ts'
import {
  fromHex,
  type Manifest,
  type ManifestPath,
  type Narinfo,
  parseNarinfo,
  parseNixSignature,
  parseStorePath,
  printNarinfo,
  printNixSignature,
  sha256,
  storeHashOf,
  storeNameOf,
  toHex,
} from '../../../protocol/index.ts'
import { VirtualClock } from '../../simulation/virtual-clock.ts'
import { recorder } from './fakes.ts'

const SIGNATURE = `cache-1:${Buffer.alloc(64, 1).toString('base64')}`
const OTHER = `cache-2:${Buffer.alloc(64, 2).toString('base64')}`
const NAR = Uint8Array.from({ length: 5000 }, (_, i) => i % 251)

function pathOf(name: string, changes: Partial<ManifestPath> = {}): ManifestPath {
  return {
    path: `/nix/store/${'0'.repeat(32)}-${name}`,
    narHash: toHex(sha256(NAR)),
    narSize: NAR.length,
    references: [],
    signatures: [SIGNATURE],
    ...changes,
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  readonly text: string
}

let folder: string
const opened: Promise<Listening>[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nixfleet-cache-'))
})
afterEach(async () => {
  for (const listening of opened.splice(0)) await (await listening).close()
  rmSync(folder, { recursive: true })
})

/** A node that holds what it is told to. */
class Subject {
  readonly clock = new VirtualClock()
  readonly log = recorder()
  manifests: Manifest[] = []
  caches: string[] = []
  isHeld = false
  isAtPeers = false
  fetched = 0
  /** What a peer gives; waits where a test says so. */
  fetch: () => AsyncIterable<Uint8Array> = () => pieces()

  #listening: Promise<Listening> | undefined

  #open(): Promise<Listening> {
    const cache = new Substituter({
      clock: this.clock,
      log: this.log,
      caches: this.caches,
      env: { PATH: '/nowhere' },
      known: new KnownPaths({ version: () => 1, manifests: () => this.manifests }),
      holdings: { has: async () => this.isAtPeers },
      held: async () => this.isHeld,
      own: async (_, from) => all(NAR.subarray(from)),
      fetch: () => {
        this.fetched++
        return this.fetch()
      },
    })
    const app = createCacheApp({ cache, log: this.log })
    const listening = listenTcp(app, { host: '127.0.0.1', port: 0 })
    opened.push(listening)
    return listening
  }

  release(paths: readonly ManifestPath[], caches: readonly string[] = []): void {
    this.manifests.push({ kind: 'nix', hosts: [], paths, caches })
  }

  /** One request on a connection of its own; resolves at the head of the answer. */
  async request(
    path: string,
    headers: Record<string, string> = {},
    method = 'GET',
  ): Promise<IncomingMessage> {
    this.#listening ??= this.#open()
    const { port } = new URL((await this.#listening).address)
    const all = { host: '127.0.0.1:7462', ...headers }
    return await new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port, path, method, headers: all, agent: false }
      request(options, resolve).once('error', reject).end()
    })
  }

  /** The whole answer. */
  async get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
    const answer = await this.request(path, headers, method)
    const chunks: Buffer[] = []
    for await (const chunk of answer) chunks.push(chunk as Buffer)
    const bytes = Buffer.concat(chunks)
    return { status: answer.statusCode ?? 0, headers: answer.headers, bytes, text: `${bytes}` }
  }

  async info(path: ManifestPath): Promise<Narinfo | undefined> {
    const storeHash = storeHashOf(storeNameOf(parseStorePath(path.path)))
    const answer = await this.get(`/${storeHash}.narinfo`)
    if (answer.status === 404) return undefined
    expect(answer.status).toBe(200)
    return parseNarinfo(new Uint8Array(answer.bytes), path.path)
  }
}

async function* all(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** As a swarm gives them: signs of life, then bytes. */
async function* pieces(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(0)
  for (let at = 0; at < NAR.length; at += 700) yield NAR.subarray(at, at + 700)
}

/** A cache on the disk with one path, as its own narinfo says. */
function plantCache(name: string, info: Narinfo): string {
  const cache = join(folder, name)
  mkdirSync(join(cache, 'nar'), { recursive: true })
  writeFileSync(join(cache, 'nix-cache-info'), 'StoreDir: /nix/store\n')
  const storeHash = storeHashOf(storeNameOf(info.storePath))
  writeFileSync(join(cache, `${storeHash}.narinfo`), printNarinfo(info))
  writeFileSync(join(cache, info.url), 'compressed')
  return `file://${cache}`
}

function infoIn(path: ManifestPath, changes: Partial<Narinfo> = {}): Narinfo {
  return {
    storePath: parseStorePath(path.path),
    url: 'nar/one.nar.zst',
    compression: 'zstd',
    narHash: fromHex(path.narHash),
    narSize: path.narSize,
    references: [],
    signatures: [parseNixSignature(OTHER)],
    ...changes,
  }
}

describe('a narinfo', () => {
  it('says of a path of a release what is signed, under the signatures of the manifest alone', async () => {
    const subject = new Subject()
    const path = pathOf('a', { references: [`/nix/store/${'1'.repeat(32)}-needed`] })
    subject.release([path])
    subject.isHeld = true
    const info = await subject.info(path)
    expect(info).toMatchObject({ compression: 'none', url: `nar/${path.narHash}.nar` })
    expect(info?.references).toEqual([`${'1'.repeat(32)}-needed`])
    expect(info?.signatures.map(printNixSignature)).toEqual([SIGNATURE])
  })

  it('leaves out what is no signature, and adds none', async () => {
    const subject = new Subject()
    const path = pathOf('a', { signatures: ['cache-1:AAAA', 'nonsense'] })
    subject.release([path])
    subject.isHeld = true
    expect((await subject.info(path))?.signatures).toEqual([])
  })

  it('joins the signatures of releases that mean the same, and keeps others apart', async () => {
    const subject = new Subject()
    const newest = pathOf('a')
    subject.release([newest])
    subject.release([pathOf('a', { signatures: [OTHER] })])
    subject.release([pathOf('a', { narHash: 'f'.repeat(64), signatures: ['cache-3:AAAA'] })])
    subject.isAtPeers = true
    const info = await subject.info(newest)
    expect(toHex(info?.narHash ?? NAR)).toBe(newest.narHash)
    expect(info?.signatures.map(printNixSignature)).toEqual([SIGNATURE, OTHER])
  })

  it('is refused while nobody has the path, and given once somebody does', async () => {
    const subject = new Subject()
    const path = pathOf('a')
    subject.release([path])
    expect(await subject.info(path)).toBeUndefined()
    subject.isAtPeers = true
    expect(await subject.info(path)).toBeDefined()
  })

  it('survives a release with a path that no store could have', async () => {
    const subject = new Subject()
    subject.release([pathOf('b', { path: '../../etc/passwd' }), pathOf('a')])
    subject.isHeld = true
    expect(await subject.info(pathOf('a'))).toBeDefined()
  })
})

describe('an upstream cache', () => {
  it('is asked after host and peers, and its file goes out as it is', async () => {
    const subject = new Subject()
    const path = pathOf('a')
    subject.release([path], [plantCache('up', infoIn(path))])
    const info = await subject.info(path)
    expect(info?.compression).toBe('zstd')
    expect(info?.signatures.map(printNixSignature)).toEqual([SIGNATURE, OTHER])
    expect((await subject.get(`/${info?.url}`)).text).toBe('compressed')
    subject.isHeld = true
    expect((await subject.info(path))?.compression).toBe('none')
  })

  it('is passed on for paths of no release, under its own signatures', async () => {
    const subject = new Subject()
    const path = pathOf('stranger')
    subject.caches = [plantCache('up', infoIn(path))]
    const info = await subject.info(path)
    expect(info?.signatures.map(printNixSignature)).toEqual([OTHER])
    expect((await subject.get(`/${info?.url}`)).text).toBe('compressed')
  })

  it.each([
    ['bytes', { narHash: sha256(Uint8Array.of(1)) }],
    ['a size', { narSize: 7 }],
    ['needs', { references: [storeNameOf(parseStorePath(`/nix/store/${'2'.repeat(32)}-more`))] }],
  ])('that has other %s for a path than the release is not passed on', async (_, changes) => {
    const subject = new Subject()
    const path = pathOf('a')
    const wrong = plantCache('wrong', infoIn(path, changes))
    subject.release([path], [wrong])
    expect(await subject.info(path)).toBeUndefined()
    expect(subject.log.lines.join()).toContain('other contents')
    const right = new Subject()
    right.release([path], [wrong, plantCache('right', infoIn(path))])
    expect(await right.info(path)).toBeDefined()
  })

  it('that cannot be asked holds up nothing, and is asked again when it has rested', async () => {
    const subject = new Subject()
    const path = pathOf('a')
    const missing = join(folder, 'later')
    subject.caches = [`file://${missing}`, plantCache('up', infoIn(path))]
    expect(await subject.info(path)).toBeDefined()
    expect(subject.log.lines.filter((line) => line.startsWith('warn'))).toHaveLength(1)
    plantCache('later', infoIn(path, { url: 'nar/two.nar.zst' }))
    expect((await subject.info(path))?.url).toContain('one')
    await subject.clock.advance(UPSTREAM_REST_MS + 1)
    expect((await subject.info(path))?.url).toContain('two')
  })

  it('over http gets its ranges as they were asked, and no request that came from a node', async () => {
    const path = pathOf('a')
    const seen: { url: string; range: string | undefined; hop: unknown }[] = []
    const server = createServer(({ url = '', headers }, response) => {
      seen.push({ url, range: headers.range, hop: headers[HOP_HEADER] })
      if (url.endsWith('.narinfo')) return response.end(printNarinfo(infoIn(path)))
      response.writeHead(206, { 'content-range': 'bytes 3-9/10', 'content-length': 7 })
      return response.end('pressed')
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    try {
      const subject = new Subject()
      subject.caches = [`http://127.0.0.1:${(server.address() as AddressInfo).port}/`]
      const info = await subject.info(path)
      const answer = await subject.get(`/${info?.url}`, { range: 'bytes=3-' })
      expect([answer.status, answer.headers['content-range']]).toEqual([206, 'bytes 3-9/10'])
      expect(answer.text).toBe('pressed')
      expect(seen.map(({ url, range }) => [url, range])).toEqual([
        [`/${'0'.repeat(32)}.narinfo`, undefined],
        ['/nar/one.nar.zst', 'bytes=3-'],
      ])
      expect(seen.every(({ hop }) => hop === '1')).toBe(true)
      const storeHash = '0'.repeat(32)
      expect((await subject.get(`/${storeHash}.narinfo`, { [HOP_HEADER]: '1' })).status).toBe(404)
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

describe('a NAR', () => {
  const ends = fc.option(fc.integer({ min: 0, max: NAR.length + 20 }), { nil: undefined })

  it.each(['host', 'peers'])('of the %s comes in any range that is asked for', async (where) => {
    const subject = new Subject()
    const path = pathOf('a')
    subject.release([path])
    subject.isHeld = where === 'host'
    subject.isAtPeers = true
    await fc.assert(
      fc.asyncProperty(ends, ends, async (from, to) => {
        const range = `bytes=${from ?? ''}-${to ?? ''}`
        const answer = await subject.get(`/nar/${path.narHash}.nar`, { range })
        const { status, bytes } = twinOf(from, to)
        expect(answer.status).toBe(status)
        expect(answer.bytes.equals(bytes)).toBe(true)
        if (status !== 416) expect(answer.headers['content-length']).toBe(`${bytes.length}`)
      }),
    )
  })

  it('that no release names is not served, whatever its hash', async () => {
    const subject = new Subject()
    subject.isHeld = true
    expect((await subject.get(`/nar/${'a'.repeat(64)}.nar`)).status).toBe(404)
  })

  it('is told of by HEAD without being fetched', async () => {
    const subject = new Subject()
    const path = pathOf('a')
    subject.release([path])
    subject.isAtPeers = true
    const answer = await subject.get(`/nar/${path.narHash}.nar`, {}, 'HEAD')
    expect([answer.status, answer.headers['content-length']]).toEqual([200, `${NAR.length}`])
    expect(answer.text).toBe('')
    expect(subject.log.lines).toEqual([])
  })

  it('that breaks off is no whole answer', async () => {
    const subject = new Subject()
    const path = pathOf('a')
    subject.release([path])
    subject.isAtPeers = true
    subject.fetch = async function* () {
      yield NAR.subarray(0, 100)
      throw new Error('the peer went away')
    }
    await expect(subject.get(`/nar/${path.narHash}.nar`)).rejects.toThrow('aborted')
    expect(subject.log.lines.join()).toContain('could not be sent whole')
  })

  it('waits for its turn where too many are brought in at once', async () => {
    const subject = new Subject()
    const path = pathOf('a')
    subject.release([path])
    subject.isAtPeers = true
    let release = (): void => undefined
    const left = new Promise<void>((resolve) => {
      release = resolve
    })
    subject.fetch = async function* () {
      yield NAR.subarray(0, 100)
      await left
    }
    const readers = await Promise.all(
      Array.from({ length: FETCHES_MAX }, async () => {
        const answer = await subject.request(`/nar/${path.narHash}.nar`)
        await once(answer, 'data')
        return answer
      }),
    )
    expect(readers).toHaveLength(FETCHES_MAX)
    const late = await subject.get(`/nar/${path.narHash}.nar`)
    expect([late.status, late.headers['retry-after']]).toEqual([503, '5'])
    // Whoever leaves makes room.
    for (const reader of readers) reader.destroy()
    release()
    await expect
      .poll(async () => (await subject.get(`/nar/${path.narHash}.nar`, {}, 'HEAD')).status)
      .toBe(200)
  })
})

describe('the door', () => {
  it.each([
    ['evil.example', 403],
    ['127.0.0.1.evil.example:7462', 403],
    ['10.0.0.1', 403],
    ['localhost:7462', 200],
    ['127.0.0.9', 200],
    ['[::1]:7462', 200],
  ])('asked as %j answers %i', async (host, status) => {
    expect((await new Subject().get('/nix-cache-info', { host })).status).toBe(status)
  })

  it('gives nothing outside of what a cache has', async () => {
    const subject = new Subject()
    const path = pathOf('a')
    subject.caches = [plantCache('up', infoIn(path))]
    writeFileSync(join(folder, 'secret'), 'secret')
    const info = await subject.info(path)
    const base = `/${info?.url}`.replace('nar/one.nar.zst', '')
    for (const name of ['..%2fsecret', '%2e%2e/secret', 'nar/..%2f..%2fsecret', '', 'nar']) {
      const answer = await subject.get(`${base}${name}`)
      expect([name, answer.status]).toEqual([name, 404])
    }
  })

  it('says what kind of cache it is', async () => {
    const { text } = await new Subject().get('/nix-cache-info')
    expect(text).toBe('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n')
  })
})

/** The RFC byte by byte: which of all bytes a range names. */
function twinOf(
  from: number | undefined,
  to: number | undefined,
): { status: number; bytes: Uint8Array } {
  const whole = { status: 200, bytes: NAR }
  if (from === undefined && to === undefined) return whole
  if (from !== undefined && to !== undefined && to < from) return whole
  const named = NAR.filter((_, at) => {
    if (from === undefined) return at >= NAR.length - (to ?? 0)
    return at >= from && (to === undefined || at <= to)
  })
  return named.length === 0 ? { status: 416, bytes: named } : { status: 206, bytes: named }
}
