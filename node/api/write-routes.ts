/**
 * The two routes that bring bytes in: one signed envelope, and the blobs that held facts name.
 *
 * Neither route gives authority: an envelope counts by its signature (D9), a blob by its hash.
 */
import type { Context, Hono } from 'hono'
import { concatBytes, createSha256, FACT_BYTES_MAX, toHex } from '../../protocol/index.ts'
import type { ApiBackend } from './backend.ts'
import { BLOB_PUTS_MAX } from './limits.ts'
import { ApiError } from './problem.ts'
import { stampedBody } from './read-routes.ts'
import type { WantedBlob } from './schema.ts'

/** A browser sends none of these without asking first, and no CORS answer allows it. */
const BODY_TYPES: ReadonlySet<string> = new Set(['application/cbor', 'application/octet-stream'])

/** Adds the writing routes to `api`, which is mounted at /api/v1. */
export function addWriteRoutes(api: Hono, backend: ApiBackend): void {
  let puts = 0
  api.post('/operations', async (c) => {
    assertBodyType(c)
    const bytes = await readBody(c, FACT_BYTES_MAX)
    return c.json(stampedBody(backend, 'Submitted', await backend.submit(bytes)), 202)
  })
  api.put('/blobs/:hash', async (c) => {
    assertBodyType(c)
    const wanted = await wantedBlob(backend, c.req.param('hash'))
    assertLength(c, wanted.bytesMax)
    if (puts >= BLOB_PUTS_MAX) {
      throw new ApiError(
        'NF-4011',
        `${puts} blobs are being sent to this node`,
        'try again when one has ended',
      )
    }
    puts += 1
    try {
      await backend.putBlob(wanted.hash, checkedBody(c, wanted))
    } finally {
      puts -= 1
    }
    return c.json(stampedBody(backend, 'Stored', { hash: wanted.hash }), 201)
  })
}

/** The bytes of `source`, which end with NF-4006 unless they hash to `blob.hash`, NF-4003 when they are too many. */
export async function* checkedBytes(
  source: AsyncIterable<Uint8Array>,
  blob: Pick<WantedBlob, 'hash' | 'bytesMax'>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createSha256()
  let count = 0
  for await (const chunk of source) {
    count += chunk.length
    if (count > blob.bytesMax) throw tooLarge(blob.bytesMax, count)
    hash.update(chunk)
    yield chunk
  }
  const got = toHex(hash.digest())
  if (got === blob.hash) return
  throw new ApiError(
    'NF-4006',
    `expected ${count} bytes that hash to ${blob.hash}, found ${got}`,
    'send the blob again',
  )
}

async function wantedBlob(backend: ApiBackend, hash: string): Promise<WantedBlob> {
  const wanted = await backend.takesBlob(hash)
  if (wanted !== undefined) return wanted
  throw new ApiError(
    'NF-4005',
    `no fact that this node holds names a missing blob ${hash.slice(0, 64)}`,
    'send the fact first; a blob that is already held needs no sending',
  )
}

/** Throws NF-4002 for a body that a browser could send without asking. */
export function assertBodyType(context: Context): void {
  const type = (context.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  if (BODY_TYPES.has(type)) return
  throw new ApiError(
    'NF-4002',
    `expected a body of type application/cbor or application/octet-stream, found ${type || 'none'}`,
    'set the content-type header',
  )
}

function assertLength(context: Context, bytesMax: number): void {
  const declared = Number(context.req.header('content-length') ?? 0)
  if (declared > bytesMax) throw tooLarge(bytesMax, declared)
}

async function* bodyOf(context: Context): AsyncGenerator<Uint8Array, void, undefined> {
  const { body } = context.req.raw
  if (body === null) return
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) yield chunk
}

function checkedBody(context: Context, blob: WantedBlob): AsyncIterable<Uint8Array> {
  return checkedBytes(bodyOf(context), blob)
}

/** The body, of at most `bytesMax`. Throws NF-4003. */
export async function readBody(context: Context, bytesMax: number): Promise<Uint8Array> {
  assertLength(context, bytesMax)
  const chunks: Uint8Array[] = []
  let count = 0
  for await (const chunk of bodyOf(context)) {
    count += chunk.length
    if (count > bytesMax) throw tooLarge(bytesMax, count)
    chunks.push(chunk)
  }
  return concatBytes(...chunks)
}

function tooLarge(max: number, found: number): ApiError {
  return new ApiError(
    'NF-4003',
    `expected at most ${max} bytes, found ${found} or more`,
    'nothing honest is this large: check what is being sent',
  )
}
