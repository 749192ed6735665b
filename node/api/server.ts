/**
 * The API of one node as a Hono app: routes, limits, stamps and errors over an `ApiBackend`.
 *
 * The same app answers on a unix socket, on TCP, and over libp2p (`ask.ts`). No transport gives
 * authority: whoever reaches it may read and relay, and only signatures change anything (D9). On TCP
 * nothing is answered without a token, and nothing is relayed at all (`token-gate.ts`).
 */
import { type Context, Hono, type Next } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { Logger } from '../ports.ts'
import type { ApiBackend } from './backend.ts'
import { addBundleRoutes } from './bundle-routes.ts'
import { STREAM_BEAT_MS, STREAMS_MAX, URL_CHARS_MAX } from './limits.ts'
import { addLogPullRoutes } from './log-routes.ts'
import { ApiError, problemOf } from './problem.ts'
import { addReadRoutes, stampedBody } from './read-routes.ts'
import type { TokenGate } from './token-gate.ts'
import { addWriteRoutes } from './write-routes.ts'

export interface ApiOptions {
  readonly backend: ApiBackend
  readonly log: Pick<Logger, 'warn' | 'error'>
  /**
   * Host names (without port) that TCP requests may ask for: a page of another name that resolves to
   * this address must not reach it. Absent for a unix socket and for libp2p, which browsers cannot dial.
   */
  readonly hosts?: readonly string[] | undefined
  /** On TCP: who may ask, how often, and for what. */
  readonly gate?: TokenGate | undefined
  /** False over libp2p, which has one answer to one question: clients poll with a cursor there. */
  readonly streams?: boolean | undefined
  /** False while the node still reads its disk: it listens already, and has no answers yet. */
  readonly started?: (() => boolean) | undefined
}

/** The API as an app. */
export function createApi(options: ApiOptions): Hono {
  const { backend, log } = options
  const app = new Hono()
  app.use('*', guard(options))
  app.onError((error, c) => answerError(c, error, log))
  app.notFound((c) => {
    const why = `${c.req.method} ${c.req.path.slice(0, 200)}`
    return answerError(c, new ApiError('NF-4001', `no route for ${why}`, ROUTES_FIX), log)
  })
  app.get('/healthz', (c) => c.json({ alive: true }))
  const started = options.started ?? (() => true)
  app.get('/readyz', async (c) => {
    const state = started() ? await backend.ready() : { ready: false, why: 'it is starting' }
    return c.json(state, state.ready ? 200 : 503)
  })
  const api = new Hono()
  api.use('*', async (_, next) => {
    if (!started()) throw new ApiError('NF-4010', 'it is starting', 'try again in a moment')
    await next()
  })
  addReadRoutes(api, backend)
  addLogPullRoutes(api, backend)
  addWriteRoutes(api, backend)
  addBundleRoutes(api, backend, { streams: options.streams !== false, log })
  addStream(api, options)
  app.route('/api/v1', api)
  return app
}

const ROUTES_FIX = 'the operator guide lists the routes: Dashboards and scrapers'
const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz'])

/** What every answer carries, also a refusal; then what must hold of every request. */
function guard({ hosts, gate }: ApiOptions) {
  const assertGood = (c: Context): void => {
    gate?.countRequest(c)
    if (c.req.url.length > URL_CHARS_MAX) {
      throw new ApiError(
        'NF-4003',
        `expected a URL of at most ${URL_CHARS_MAX} characters`,
        'ask for less',
      )
    }
    if (hosts !== undefined) assertNames(c, hosts)
    // A route that streams would begin, and nobody would ever read it to its end.
    if (c.req.method === 'HEAD' && !PROBES.has(c.req.path))
      throw new ApiError('NF-4012', 'HEAD is for /healthz and /readyz alone', 'use GET')
  }
  return async (c: Context, next: Next): Promise<void> => {
    c.header('x-content-type-options', 'nosniff')
    c.header('cache-control', 'no-store')
    c.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    assertGood(c)
    await (gate?.admit(c, next) ?? next())
  }
}

/** The host asked for must be a name of this node, and a page that asks must come from that very host. */
function assertNames(context: Context, hosts: readonly string[]): void {
  const asked = urlOf(`http://${context.req.header('host') ?? ''}`)
  const origin = context.req.header('origin')
  const page = origin === undefined ? asked : urlOf(origin)
  const good = asked !== undefined && hosts.includes(asked.hostname)
  if (good && page?.host === asked.host) return
  const found = (good ? (origin ?? '') : (asked?.hostname ?? 'nothing')).slice(0, 253)
  throw new ApiError(
    'NF-4004',
    good
      ? `expected no page of another origin, found ${found}`
      : `expected one of ${hosts.join(', ')}, found ${found}`,
    "add the name to api.hosts in the node's configuration",
  )
}

function urlOf(url: string): URL | undefined {
  try {
    return new URL(url)
  } catch {
    return undefined
  }
}

function answerError(context: Context, error: unknown, log: ApiOptions['log']): Response {
  const problem = problemOf(error)
  if (problem.status >= 500) log.error({ err: error, path: context.req.path }, problem.title)
  const headers = error instanceof ApiError ? error.headers : {}
  return context.body(JSON.stringify(problem), problem.status as 400, {
    ...headers,
    'content-type': 'application/problem+json',
  })
}

function addStream(api: Hono, options: ApiOptions): void {
  const { backend, log } = options
  let open = 0
  api.get('/stream', (c) => {
    if (options.streams === false) {
      throw new ApiError(
        'NF-4012',
        'no streams over this transport',
        'poll /api/v1/events with a cursor',
      )
    }
    if (open >= STREAMS_MAX) {
      throw new ApiError('NF-4011', `${open} streams are open`, 'close one, or ask another peer')
    }
    const held = options.gate?.holdStream(c)
    open += 1
    return streamSSE(c, async (stream) => {
      const ended = new AbortController()
      stream.onAbort(() => ended.abort())
      held?.signal.addEventListener('abort', () => ended.abort(), { once: true })
      const beat = setInterval(() => void stream.write(': still here\n\n'), STREAM_BEAT_MS)
      try {
        await stream.writeSSE({
          event: 'stamp',
          data: JSON.stringify(stampedBody(backend, 'Stamp', {})),
        })
        const since = c.req.header('last-event-id') ?? c.req.query('since')
        for await (const event of backend.events(since, ended.signal)) {
          await stream.writeSSE({ id: event.id, event: 'event', data: JSON.stringify(event) })
        }
      } catch (error) {
        if (!ended.signal.aborted) log.warn({ err: error }, 'event stream ended')
      } finally {
        clearInterval(beat)
        held?.release()
        open -= 1
      }
    })
  })
}
