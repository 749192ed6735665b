/**
 * Bundles over the API: two files out, and the parts of one in.
 *
 * A file is read and verified by whoever sends its parts; the node believes nothing of that and judges
 * each part the ordinary way. Files are streams, so that they need a socket or HTTP, not libp2p.
 */
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { ASK_BODY_BYTES_MAX } from './ask.ts'
import type { ApiBackend } from './backend.ts'
import { BUNDLE_EXPORTS_MAX, VECTOR_FILE_BYTES_MAX } from './limits.ts'
import { ApiError } from './problem.ts'
import { queryOf, stampedBody } from './read-routes.ts'
import { assertBodyType, readBody } from './write-routes.ts'

const EXPORT_QUERY = z.strictObject({ closures: z.enum(['yes', 'no']).default('no') })

/** Adds the bundle routes to `api`, which is mounted at /api/v1. */
export function addBundleRoutes(
  api: Hono,
  backend: ApiBackend,
  options: { streams: boolean; log: { error: (fields: object, message: string) => void } },
): void {
  let exports = 0
  const send = async (c: Context, make: () => Promise<AsyncIterable<Uint8Array>>) => {
    if (!options.streams) {
      throw new ApiError('NF-4012', 'no files over this transport', 'ask on the node’s socket')
    }
    if (exports >= BUNDLE_EXPORTS_MAX) {
      throw new ApiError('NF-4011', `${exports} files are being made`, 'try again in a moment')
    }
    exports += 1
    try {
      const body = streamOf(await make(), {
        failed: (error) => options.log.error({ err: error }, 'a bundle could not be finished'),
        ended: () => void exports--,
      })
      return c.body(body, 200, { 'content-type': 'application/octet-stream' })
    } catch (error) {
      exports -= 1
      throw error
    }
  }
  api.get('/bundle/vector', async (c) => await send(c, () => Promise.resolve(backend.vectorFile())))
  api.post('/bundle/export', async (c) => {
    assertBodyType(c)
    const closures = queryOf(c, EXPORT_QUERY).closures === 'yes'
    const since = await readBody(c, VECTOR_FILE_BYTES_MAX)
    const given = since.length > 0 ? since : undefined
    return await send(c, () => Promise.resolve(backend.exportBundle(given, { closures })))
  })
  api.post('/bundle/facts', async (c) => {
    assertBodyType(c)
    const bytes = await readBody(c, ASK_BODY_BYTES_MAX)
    return c.json(stampedBody(backend, 'BundleTaken', await backend.takeBundleFacts(bytes)), 202)
  })
  api.post('/bundle/gate', async (c) => {
    assertBodyType(c)
    const bytes = await readBody(c, ASK_BODY_BYTES_MAX)
    return c.json(stampedBody(backend, 'BundleGate', await backend.takeBundleGate(bytes)), 202)
  })
}

/**
 * Chunks as the reader takes them. What cannot be finished is cut, so that its reader sees an error and
 * not an end.
 */
function streamOf(
  chunks: AsyncIterable<Uint8Array>,
  told: { failed: (error: unknown) => void; ended: () => void },
): ReadableStream<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      try {
        const next = await source.next()
        if (!next.done) return controller.enqueue(next.value)
        controller.close()
      } catch (error) {
        told.failed(error)
        controller.error(error)
      }
      told.ended()
    },
    cancel: async () => {
      told.ended()
      await source.return?.()
    },
  })
}
