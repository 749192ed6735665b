/** The API on TCP: real sockets, real TLS, the shipped server; what is refused, and what a token opens. */
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ownCertificateFiles } from '../../node/api/certificate.ts'
import {
  CLIENT_BURST,
  REFUSED_COST,
  STREAMS_PER_TOKEN_MAX,
  TCP_CONNECTIONS_PER_CLIENT_MAX,
  TCP_HEADERS_TIMEOUT_MS,
  TLS_HANDSHAKE_MS,
} from '../../node/api/limits.ts'
import { makeCertificate } from '../../node/api/make-certificate.ts'
import { ROUTE_SCOPES, type TokenScope } from '../../node/api/scopes.ts'
import { createApi } from '../../node/api/server.ts'
import {
  type ApiTls,
  assertProtected,
  openTcpApi,
  type TcpListening,
} from '../../node/api/tcp-api.ts'
import { TokenWatch } from '../../node/api/token-watch.ts'
import { TokenStore } from '../../node/api/tokens.ts'
import { systemClock } from '../../node/clock.ts'
import type { Clock } from '../../node/ports.ts'
import { FakeBackend } from '../cli/fake-backend.ts'
import { found } from '../cli/found.ts'
import { ask, open, type TcpPlace } from './tcp-client.ts'
import { POLICY_LINES } from './token-policy.ts'

const founded = found(['web-01', 'web-02', 'db-01'])
const HOUR = 3_600_000
const HOSTS = ['localhost', '127.0.0.1', '[::1]']

/** Real timers; the clock of the rates stands still unless it is moved by hand, as the wall clock is. */
class MovedClock implements Clock {
  aheadMs = 0
  readonly #real = systemClock()
  bootMs = (): number => this.aheadMs
  wallMs = (): number => this.#real.wallMs() + this.aheadMs
  after = (ms: number, run: () => void) => this.#real.after(ms, run)
}

let data = ''
let clock = new MovedClock()
let told: string[] = []
const cleanUp: (() => unknown)[] = []

beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'nf-tcp-'))
  clock = new MovedClock()
  told = []
})
afterEach(async () => {
  for (const act of cleanUp.splice(0).reverse()) await act()
  rmSync(data, { recursive: true })
})

const tell = (_: object, message: string): void => void told.push(message)
const log = { info: tell, warn: tell, error: tell }

async function serve(
  tls?: ApiTls,
): Promise<{ place: TcpPlace; listening: TcpListening; backend: FakeBackend }> {
  const backend = new FakeBackend('web-01', founded.trust)
  const listening = await openTcpApi(
    { listen: { host: '127.0.0.1', port: 0 }, hosts: HOSTS, ...(tls === undefined ? {} : { tls }) },
    { name: 'web-01', data, api: { backend, log }, clock, log },
  )
  cleanUp.push(() => listening.close())
  const ca = tls === 'own' ? readFileSync(ownCertificateFiles(data).cert, 'utf8') : undefined
  return { place: { url: listening.address, ca }, listening, backend }
}

async function tokenFor(scopes: readonly TokenScope[], ttlMs = HOUR) {
  const world = {
    nowMs: clock.wallMs(),
    random: (count: number) => crypto.getRandomValues(new Uint8Array(count)),
  }
  return await new TokenStore(data).create({ name: 'a test', scopes, ttlMs }, world)
}

/** A path that the route answers, or at least looks for. */
function pathOf(route: string): string {
  const query: Readonly<Record<string, string>> = {
    '/api/v1/log/envelopes': `?author=${'a'.repeat(64)}&session=${'b'.repeat(32)}`,
    '/api/v1/log/body': `?hash=${'c'.repeat(64)}`,
  }
  const filled = route
    .replace(':name', 'web-01')
    .replace(':host', 'web-01')
    .replace(':hash', 'd'.repeat(64))
    .replace(/:id|:other/g, 'abcdef')
  return filled + (query[route] ?? '')
}

/** A raw connection that was opened, and what the server did to it. */
function raw(place: TcpPlace, from: string, first = ''): Promise<Socket> {
  const { port } = new URL(place.url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: Number(port), localAddress: from }, () => {
      if (first !== '') socket.write(first)
      resolve(socket)
    })
    socket.on('error', reject)
    socket.resume()
    cleanUp.push(() => socket.destroy())
  })
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed) resolve()
    else socket.once('close', () => resolve())
  })

async function ended(response: IncomingMessage): Promise<'ended'> {
  response.on('error', () => undefined)
  response.resume()
  await new Promise((resolve) => response.once('close', resolve))
  return 'ended'
}

describe('the policy of tokens', () => {
  it('has a line for every route that is shipped, and no other', () => {
    const backend = new FakeBackend('web-01', founded.trust)
    const shipped = createApi({ backend, log })
      .routes.filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path}`)
    expect(shipped.length).toBeGreaterThan(25)
    expect(POLICY_LINES.map(({ method, route }) => `${method} ${route}`).sort()).toEqual(
      shipped.sort(),
    )
    // Metrics are a scope before there are any, so that a scraper's token need not be made anew.
    const unknown = Object.keys(ROUTE_SCOPES).filter(
      (route) => !POLICY_LINES.some((line) => line.route === route),
    )
    expect(unknown).toEqual(['/metrics'])
  })

  const SCOPES: readonly (readonly TokenScope[])[] = [
    ['status'],
    ['audit'],
    ['metrics'],
    ['status', 'audit'],
  ]
  it.each(SCOPES.map((scopes) => [scopes.join('+'), scopes] as const))(
    'is what the server does for a token of %s: valid, expired, revoked, forged, and none',
    async (_, scopes) => {
      const { place } = await serve('own')
      const [good, short, dead] = [
        await tokenFor(scopes),
        await tokenFor(scopes, 60_000),
        await tokenFor(scopes),
      ]
      await new TokenStore(data).revoke(dead.record.id, clock.wallMs())
      clock.aheadMs += 61_000
      const forged = `${good.token.slice(0, -1)}${good.token.endsWith('0') ? '1' : '0'}`
      const states = { valid: good.token, expired: short.token, revoked: dead.token, forged }
      const cells: string[] = []
      const wanted: string[] = []
      for (const { method, route, readers } of POLICY_LINES) {
        for (const [state, token] of [...Object.entries(states), ['none', undefined] as const]) {
          // Nobody is asked to wait here: how often a client may ask is shown elsewhere.
          clock.aheadMs += 1_000
          const head = await open(place, { method, path: pathOf(route), token })
          head.destroy()
          const actual = { 401: 'no', 403: 'no' }[head.statusCode ?? 0] ?? 'yes'
          const forAll = readers.includes('everybody')
          const inScope = scopes.some((scope) => readers.includes(scope))
          const expected = forAll || (state === 'valid' && inScope) ? 'yes' : 'no'
          cells.push(`${method} ${route} ${state} ${actual}`)
          wanted.push(`${method} ${route} ${state} ${expected}`)
        }
      }
      expect(cells.length).toBe(POLICY_LINES.length * 5)
      expect(cells).toEqual(wanted)
    },
  )

  it('lets no token and nobody write, whatever the method, and takes no byte of it', async () => {
    const { place, backend } = await serve()
    const { token } = await tokenFor(['status', 'audit', 'metrics'])
    const headers = { 'content-type': 'application/cbor' }
    const body = new Uint8Array(100)
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      for (const one of [token, undefined]) {
        clock.aheadMs += 1_000
        const path = '/api/v1/operations'
        const answer = await ask(place, { method, path, token: one, headers, body })
        expect([answer.status, answer.code], method).toEqual([403, 'NF-4022'])
      }
    }
    expect(backend.facts).toEqual([])
  })
})

describe('a token', () => {
  it('is kept as a hash alone, in a file that nobody else can read', async () => {
    const { token, record } = await tokenFor(['status'])
    expect(token).toMatch(/^nfread-[0-9a-f]{12}-[0-9a-f]{64}$/)
    const folder = join(data, 'tokens')
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(readdirSync(folder)).toEqual([`${record.id}.json`])
    const path = join(folder, `${record.id}.json`)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, 'utf8')).not.toContain(token.slice(20))
  })

  it('that is revoked opens nothing more, and what it had open ends', async () => {
    const { place } = await serve('own')
    const { token, record } = await tokenFor(['status'])
    const { token: other } = await tokenFor(['status'])
    const stream = await open(place, { path: '/api/v1/stream', token })
    const kept = await open(place, { path: '/api/v1/stream', token: other })
    expect([stream.statusCode, kept.statusCode]).toEqual([200, 200])
    await new TokenStore(data).revoke(record.id, clock.wallMs())
    expect((await ask(place, { path: '/api/v1/fleet', token })).code).toBe('NF-4021')
    expect(await ended(stream)).toBe('ended')
    expect(kept.destroyed).toBe(false)
    kept.destroy()
    expect(told).toContain('a read token was revoked')
  })

  it('that expires while its stream is open ends it', async () => {
    const { place } = await serve()
    const { token } = await tokenFor(['audit'], 60_000)
    const stream = await open(place, { path: '/api/v1/stream', token })
    expect(stream.statusCode).toBe(200)
    clock.aheadMs += 61_000
    expect(await ended(stream)).toBe('ended')
    expect(told).toContain('a read token has expired')
  })

  it('that ended is cut off from a reader that takes nothing, at the second look', async () => {
    const store = new TokenStore(data)
    const watch = new TokenWatch(store, { clock, log })
    const { record } = await tokenFor(['status'])
    let cuts = 0
    const held = watch.hold(record.id, () => void cuts++)
    await watch.look()
    expect([held.signal.aborted, cuts]).toEqual([false, 0])
    await store.revoke(record.id, clock.wallMs())
    await watch.look()
    expect([held.signal.aborted, cuts]).toEqual([true, 0])
    await watch.look()
    expect(cuts).toBe(1)
  })

  it('of a folder that cannot be read counts no more', async () => {
    const { place } = await serve()
    const { token, record } = await tokenFor(['status'])
    const stream = await open(place, { path: '/api/v1/stream', token })
    const path = join(data, 'tokens', `${record.id}.json`)
    const text = readFileSync(path, 'utf8')
    for (const torn of ['', '{', text.replace(/"id": "\w+"/, '"id": "x"'), text.slice(0, -20)]) {
      writeFileSync(path, torn)
      expect((await ask(place, { path: '/api/v1/fleet', token })).status, torn).toBe(401)
    }
    rmSync(join(data, 'tokens'), { recursive: true })
    writeFileSync(join(data, 'tokens'), 'a file, where there was a folder')
    expect(await ended(stream)).toBe('ended')
    expect((await ask(place, { path: '/api/v1/fleet', token })).status).toBe(500)
    await until(async () => told.includes('the read tokens cannot be read'))
  })

  it('has a bounded number of streams, and gives back the place of one that ended', async () => {
    const { place } = await serve()
    const { token } = await tokenFor(['status'])
    const path = '/api/v1/stream'
    const streams = await Promise.all(
      Array.from({ length: STREAMS_PER_TOKEN_MAX }, () => open(place, { path, token })),
    )
    const over = await ask(place, { path, token })
    expect([over.status, over.code]).toEqual([429, 'NF-4011'])
    expect(over.headers['retry-after']).toBe('5')
    streams[0]?.destroy()
    await until(async () => {
      const again = await open(place, { path, token })
      again.destroy()
      return again.statusCode === 200
    })
    for (const stream of streams) stream.destroy()
  })

  it('in the address, in a cookie or under another scheme opens nothing', async () => {
    const { place } = await serve()
    const { token } = await tokenFor(['status'])
    const basic = Buffer.from(`:${token}`).toString('base64')
    for (const question of [
      { path: `/api/v1/fleet?token=${token}` },
      { path: '/api/v1/fleet', headers: { cookie: `token=${token}` } },
      { path: '/api/v1/fleet', headers: { authorization: `Basic ${basic}` } },
      { path: '/api/v1/fleet', headers: { authorization: token } },
      { path: '/api/v1/fleet', token: `../../${token}` },
    ]) {
      const answer = await ask(place, question)
      expect([answer.status, answer.code], JSON.stringify(question)).toEqual([401, 'NF-4021'])
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer/)
    }
  })
})

describe('a page of somebody else', () => {
  it('reaches nothing: 421 for its host name and for its origin, and no answer allows it', async () => {
    const { place } = await serve()
    const { token } = await tokenFor(['status'])
    const asked = async (headers: Record<string, string>) =>
      await ask(place, { path: '/api/v1/fleet', token, headers })
    const own = new URL(place.url)
    expect((await asked({ origin: own.origin })).status).toBe(200)
    for (const headers of [
      { host: 'evil.example' },
      { host: `evil.example:${own.port}`, origin: `http://evil.example:${own.port}` },
      { origin: 'http://evil.example' },
      { origin: 'null' },
      // Another program of this machine is not this node.
      { origin: 'http://127.0.0.1:3000' },
    ]) {
      const answer = await asked(headers)
      expect([answer.status, answer.code], JSON.stringify(headers)).toEqual([421, 'NF-4004'])
    }
    for (const answer of [await asked({}), await asked({ host: 'evil.example' })]) {
      expect(answer.headers['content-security-policy']).toMatch(/default-src 'none'/)
      expect(answer.headers['x-content-type-options']).toBe('nosniff')
      expect(answer.headers['cache-control']).toBe('no-store')
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-'))).toEqual([])
    }
  })
})

describe('a flood', () => {
  it('of requests is told to wait, by client, and goes on after that', async () => {
    const { place } = await serve()
    const { token } = await tokenFor(['status'])
    const path = '/healthz'
    const answers = []
    for (let i = 0; i <= CLIENT_BURST; i++) answers.push(await ask(place, { path }))
    const last = answers.pop()
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect([last?.status, last?.code]).toEqual([429, 'NF-4023'])
    expect(Number(last?.headers['retry-after'])).toBeGreaterThan(0)
    const other = { path: '/api/v1/fleet', token, from: '127.0.0.2' }
    expect((await ask(place, other)).status).toBe(200)
    clock.aheadMs += 1_000 * Number(last?.headers['retry-after'])
    expect((await ask(place, { path })).status).toBe(200)
  })

  it('of guessed tokens is slower still', async () => {
    const { place } = await serve()
    const token = `nfread-${'0'.repeat(12)}-${'0'.repeat(64)}`
    const codes: string[] = []
    const guesses = CLIENT_BURST / REFUSED_COST
    for (let i = 0; i < 2 * guesses; i++)
      codes.push((await ask(place, { path: '/api/v1/fleet', token })).code)
    const expected = codes.map((_, i) => (i < guesses ? 'NF-4021' : 'NF-4023'))
    expect(codes).toEqual(expected)
  })

  it('of connections by one client leaves room for another', async () => {
    const { place } = await serve()
    const { token } = await tokenFor(['status'])
    const held = []
    for (let i = 0; i < TCP_CONNECTIONS_PER_CLIENT_MAX; i++)
      held.push(await raw(place, '127.0.0.3'))
    // The next one is hung up on before it says anything.
    await closed(await raw(place, '127.0.0.3'))
    const answer = await ask(place, { path: '/api/v1/fleet', token, from: '127.0.0.4' })
    expect(answer.status).toBe(200)
    for (const socket of held) socket.destroy()
  })

  it('of bytes is refused at its size: headers, addresses, and bodies that nobody reads', async () => {
    const { place } = await serve()
    const { token } = await tokenFor(['status'])
    const big = await ask(place, { path: '/api/v1/fleet', headers: { x: 'x'.repeat(20_000) } })
    expect(big.status).toBe(431)
    const long = await ask(place, { path: `/api/v1/fleet?x=${'x'.repeat(3_000)}`, token })
    expect([long.status, long.code]).toEqual([413, 'NF-4003'])
    const head = `POST /api/v1/operations HTTP/1.1\r\nhost: ${new URL(place.url).host}\r\ncontent-length: 1000000000\r\n\r\n`
    const body = await raw(place, '127.0.0.1', head)
    const answer = await new Promise<string>((resolve) =>
      body.once('data', (bytes: Buffer) => resolve(bytes.toString())),
    )
    expect(answer).toMatch(/^HTTP\/1\.1 403/)
  })

  it('of slow beginnings is cut off: half a request, half a handshake, silence', async () => {
    const [plain, secure] = [(await serve()).place, (await serve('own')).place]
    const begun = performance.now()
    const slow = await raw(plain, '127.0.0.1', 'GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n')
    // One byte a second keeps no request alive that has to be there by now.
    const drip = setInterval(() => slow.destroyed || slow.write('x'), 500)
    cleanUp.push(() => clearInterval(drip))
    const silent = await raw(plain, '127.0.0.1')
    const handshake = await raw(secure, '127.0.0.1', '\x16\x03\x01\x02\x00')
    await Promise.all([slow, silent, handshake].map(closed))
    const longest = Math.max(TCP_HEADERS_TIMEOUT_MS, TLS_HANDSHAKE_MS)
    expect(performance.now() - begun).toBeLessThan(4 * longest)
  })
})

describe('TLS', () => {
  it('by a certificate of the node’s own is there from the first start, and stays the same', async () => {
    const first = await serve('own')
    const { token } = await tokenFor(['status'])
    expect((await ask(first.place, { path: '/api/v1/fleet', token })).status).toBe(200)
    await first.listening.close()
    const second = await serve('own')
    expect(second.listening.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
    expect(second.listening.fingerprint).toBe(first.listening.fingerprint)
    expect(statSync(ownCertificateFiles(data).key).mode & 0o777).toBe(0o600)
    const stranger = { url: second.place.url }
    await expect(ask(stranger, { path: '/healthz' })).rejects.toThrow(/self-signed/)
    expect(told.filter((line) => line.includes('certificate'))).toEqual([])
  })

  it('is not left: plain HTTP and old versions get no answer', async () => {
    const { place } = await serve('own')
    const plain = { url: place.url.replace('https:', 'http:') }
    await expect(ask(plain, { path: '/healthz' })).rejects.toThrow()
    const { port } = new URL(place.url)
    const old = connectTls({
      host: '127.0.0.1',
      port: Number(port),
      ca: place.ca,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT:@SECLEVEL=0',
    })
    cleanUp.push(() => old.destroy())
    await expect(
      new Promise((resolve, reject) => {
        old.once('secureConnect', resolve)
        old.once('error', reject)
      }),
    ).rejects.toThrow(/version|protocol/i)
  })

  it('takes files that somebody else made, and says which of them is wrong', async () => {
    const cert = join(data, 'cert.pem')
    const key = join(data, 'key.pem')
    writePair(cert, key)
    const { listening } = await serve({ cert, key })
    expect(listening.address).toMatch(/^https:/)
    expect(told).toEqual([expect.stringMatching(/does not name localhost, 127\.0\.0\.1, ::1/)])
    chmodSync(key, 0o640)
    await expect(serve({ cert, key })).rejects.toMatchObject({ code: 'KEY_EXPOSED' })
    chmodSync(key, 0o600)
    writePair(join(data, 'other.pem'), key)
    await expect(serve({ cert, key })).rejects.toMatchObject({ code: 'CERTIFICATE_INVALID' })
    writeFileSync(cert, 'no certificate')
    await expect(serve({ cert, key })).rejects.toMatchObject({ code: 'CERTIFICATE_INVALID' })
    rmSync(cert)
    await expect(serve({ cert, key })).rejects.toMatchObject({ code: 'KEY_UNREADABLE' })
  })

  it('is demanded wherever the address is not loopback', () => {
    const at = (host: string) => ({ listen: { host, port: 7461 } })
    for (const host of ['127.0.0.1', '127.1.2.3', 'localhost', '::1'])
      expect(() => assertProtected(at(host)), host).not.toThrow()
    for (const host of ['0.0.0.0', '::', '10.0.0.1', 'web-01', '127.0.0.1.evil.example', '']) {
      expect(() => assertProtected(at(host)), host).toThrow(/expected TLS/)
      expect(() => assertProtected({ ...at(host), tls: 'own' }), host).not.toThrow()
    }
  })
})

function writePair(cert: string, key: string): void {
  const made = makeCertificate({ name: 'elsewhere', hosts: [], nowMs: Date.now() })
  writeFileSync(cert, made.cert)
  writeFileSync(key, made.key, { mode: 0o600 })
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error('not within 20 s')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
