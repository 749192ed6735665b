/**
 * The API of one node as a Hono app: routes, limits, stamps and errors over an `ApiBackend`.
 *
 * The same app answers on a unix socket, on TCP, and over libp2p (`ask.ts`). No transport gives
 * authority: whoever reaches it may read and relay, and only signatures change anything (D9).
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
import { addWriteRoutes } from './write-routes.ts'

export interface ApiOptions {
  readonly backend: ApiBackend
  readonly log: Pick<Logger, 'warn' | 'error'>
  /**
   * Host names (without port) that TCP requests may ask for: a page of another name that resolves to
   * this address must not reach it. Absent for a unix socket and for libp2p, which browsers cannot dial.
   */
  readonly hosts?: readonly string[] | undefined
  /** False over libp2p, which has one answer to one question: clients poll with a cursor there. */
  readonly streams?: boolean | undefined
  /** False while the node still reads its disk: it listens already, and has no answers yet. */
  readonly started?: (() => boolean) | undefined
}

/** The API as an app. */
export function createApi(options: ApiOptions): Hono {
  const { backend, log } = options
  const app = new Hono()
  app.use('*', guard(options.hosts))
  app.onError((error, c) => answerError(c, error, log))
  app.notFound((c) => {
    const why = `${c.req.method} ${c.req.path.slice(0, 200)}`
    return answerError(c, new ApiError('NF-4001', `no route for ${why}`, 'nixfleet help api'), log)
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

function guard(hosts: readonly string[] | undefined) {
  return async (c: Context, next: Next): Promise<void> => {
    if (c.req.url.length > URL_CHARS_MAX) {
      throw new ApiError(
        'NF-4003',
        `expected a URL of at most ${URL_CHARS_MAX} characters`,
        'ask for less',
      )
    }
    if (hosts !== undefined) assertNames(c, hosts)
    await next()
    c.header('x-content-type-options', 'nosniff')
    c.header('cache-control', 'no-store')
    if (!c.res.headers.has('content-security-policy')) {
      c.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    }
  }
}

/** The host asked for, and the origin of the page that asks, must be names of this node. */
function assertNames(context: Context, hosts: readonly string[]): void {
  const origin = context.req.header('origin')
  const asked = [nameOf(`http://${context.req.header('host') ?? ''}`)]
  if (origin !== undefined) asked.push(nameOf(origin))
  for (const name of asked) {
    if (name !== undefined && hosts.includes(name)) continue
    throw new ApiError(
      'NF-4004',
      `expected one of ${hosts.join(', ')}, found ${name ?? 'nothing'}`,
      "add the name to api.hosts in the node's configuration",
    )
  }
}

function nameOf(url: string): string | undefined {
  try {
    return new URL(url).hostname
  } catch {
    return undefined
  }
}

function answerError(context: Context, error: unknown, log: ApiOptions['log']): Response {
  const problem = problemOf(error)
  if (problem.status >= 500) log.error({ err: error, path: context.req.path }, problem.title)
  return context.body(JSON.stringify(problem), problem.status as 400, {
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
    open += 1
    return streamSSE(c, async (stream) => {
      const ended = new AbortController()
      stream.onAbort(() => ended.abort())
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
        open -= 1
      }
    })
  })
}
