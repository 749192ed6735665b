/**
 * The binary cache over HTTP, for clients on this machine: `nix-cache-info`, narinfo, NARs with ranges.
 *
 * It only reads. It answers under the names of loopback alone, so that no web page reaches it by a
 * trick of name resolution, and not to another node, so that two never send each other in circles.
 */
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import type { Logger } from '../ports.ts'
import { CACHE_INFO, type Substituter } from './substituter.ts'
import { type FileReply, type FileRequest, HOP_HEADER } from './upstream.ts'

export interface CacheAppOptions {
  readonly cache: Pick<Substituter, 'narinfo' | 'nar' | 'passed'>
  readonly log: Pick<Logger, 'warn' | 'error'>
}

type Served = { readonly Bindings: HttpBindings }
type Outgoing = HttpBindings['outgoing']

const LOOPBACK = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/
/** Relative, of plain segments: what a narinfo may name. */
const FILE_NAME = /^(?!\.+(\/|$))[0-9A-Za-z+\-._?=&]+(\/(?!\.+(\/|$))[0-9A-Za-z+\-._?=&]+)*$/

/** The binary cache as an app. */
export function createCacheApp({ cache, log }: CacheAppOptions): Hono<Served> {
  const app = new Hono<Served>()
  app.use('*', async (c, next) => {
    if (!LOOPBACK.test(hostOf(c))) return c.text('this cache is for this machine alone\n', 403)
    if (c.req.header(HOP_HEADER) !== undefined) return c.notFound()
    return await next()
  })
  app.onError((error, c) => {
    log.error({ err: error, path: c.req.path }, 'the substituter failed')
    return c.text('internal error\n', 500)
  })
  app.get('/nix-cache-info', (c) =>
    c.body(CACHE_INFO, 200, { 'content-type': 'text/x-nix-cache-info' }),
  )
  app.get('/:file{[0-9a-z]{32}\\.narinfo}', async (c) => {
    const text = await cache.narinfo(c.req.param('file').slice(0, 32))
    if (text === undefined) return c.notFound()
    return c.body(text, 200, { 'content-type': 'text/x-nix-narinfo' })
  })
  app.get('/nar/:file{[0-9a-f]{64}\\.nar}', (c) =>
    send(c, log, (request) => cache.nar(c.req.param('file').slice(0, 64), request)),
  )
  app.get('/upstream/:id{[0-9a-f]{16}}/*', async (c) => {
    const { pathname, search } = new URL(c.req.url)
    const name = `${pathname}${search}`.split('/').slice(3).join('/')
    if (!FILE_NAME.test(name)) return c.notFound()
    return await send(c, log, (request) => cache.passed(c.req.param('id'), name, request))
  })
  return app
}

function hostOf(c: Context<Served>): string {
  try {
    return new URL(`http://${c.req.header('host') ?? ''}`).hostname
  } catch {
    return ''
  }
}

/** Answers with a file, straight onto the connection: bytes that pass through web streams cost twice as much. */
async function send(
  c: Context<Served>,
  log: CacheAppOptions['log'],
  open: (request: FileRequest) => Promise<FileReply>,
): Promise<Response> {
  const { outgoing } = c.env
  const over = new AbortController()
  const reply = await open({ range: c.req.header('range'), signal: over.signal })
  outgoing.once('close', () => over.abort())
  outgoing.writeHead(reply.status, { 'content-type': 'application/x-nix-nar', ...reply.headers })
  const body = c.req.method === 'HEAD' ? undefined : reply.body
  try {
    if (body !== undefined) await pour(body, outgoing)
    else over.abort()
    outgoing.end()
  } catch (error) {
    // Cut, so that the client sees an error and not an end.
    outgoing.destroy()
    if (!over.signal.aborted) {
      log.warn({ path: c.req.path, error: String(error) }, 'a NAR could not be sent whole')
    }
  }
  return RESPONSE_ALREADY_SENT
}

/** Writes each chunk and waits until it has left: its memory is used again for the next. Ends quietly when the client leaves. */
async function pour(chunks: AsyncIterable<Uint8Array>, outgoing: Outgoing): Promise<void> {
  for await (const chunk of chunks) {
    if (outgoing.destroyed) return
    if (chunk.length > 0) await written(chunk, outgoing)
  }
}

/** Resolves when the connection has taken all of it, or nobody is there any more who reads. */
function written(chunk: Uint8Array, outgoing: Outgoing): Promise<void> {
  return new Promise((resolve) => {
    outgoing.once('close', resolve)
    outgoing.write(chunk, () => {
      outgoing.off('close', resolve)
      resolve()
    })
  })
}
