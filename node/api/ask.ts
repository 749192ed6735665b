/**
 * The API over libp2p: one small CBOR question, one answer, through the same app as HTTP.
 *
 * There are no streams and no large uploads here: lists come in pages, watching polls with a cursor,
 * and a blob above one question goes to a socket.
 */
import type { Hono } from 'hono'
import {
  ASK_BYTES_MAX,
  bytes,
  decodeCanonical,
  encodeCanonical,
  oneOf,
  optional,
  type Schema,
  shape,
  text,
  uint,
} from '../../protocol/index.ts'
import { URL_CHARS_MAX } from './limits.ts'
import { ApiError, problemOf } from './problem.ts'

/** Room for the keys and the other fields around a body. */
const FRAME_BYTES = 4096
/** The largest body of one question or answer. */
export const ASK_BODY_BYTES_MAX: number = ASK_BYTES_MAX - FRAME_BYTES

export interface ApiQuestion {
  readonly method: 'GET' | 'POST' | 'PUT'
  /** Path and query, from the first slash. */
  readonly path: string
  readonly body?: Uint8Array | undefined
}

export interface ApiReply {
  readonly status: number
  readonly type: string
  readonly body: Uint8Array
}

const QUESTION: Schema<ApiQuestion> = shape<ApiQuestion>({
  method: oneOf('GET', 'POST', 'PUT'),
  path: text(URL_CHARS_MAX, /^\/[\x21-\x7e]*$/),
  body: optional(bytes(ASK_BODY_BYTES_MAX)),
})
const REPLY: Schema<ApiReply> = shape<ApiReply>({
  status: uint(599, 100),
  type: text(128, /^[\x20-\x7e]*$/),
  body: bytes(ASK_BODY_BYTES_MAX),
})

/** The bytes that ask `question`. */
export function encodeApiAsk(question: ApiQuestion): Uint8Array {
  return encodeCanonical(QUESTION.encode(question))
}

/** The reply in `source`. Throws ProtocolError. */
export function decodeApiReply(source: Uint8Array): ApiReply {
  return REPLY.decode(decodeCanonical(source, ASK_BYTES_MAX, 'an API reply'), 'reply')
}

/** Answers one question. Never throws: what is wrong with the question is the answer. */
export async function handleApiAsk(app: Hono, source: Uint8Array): Promise<Uint8Array> {
  try {
    const decoded = decodeCanonical(source, ASK_BYTES_MAX, 'an API question')
    return encodeReply(await replyTo(app, QUESTION.decode(decoded, 'question')))
  } catch (error) {
    return encodeReply(problemReply(error))
  }
}

async function replyTo(app: Hono, question: ApiQuestion): Promise<ApiReply> {
  const init: RequestInit = { method: question.method }
  if (question.body !== undefined) {
    init.body = Uint8Array.from(question.body)
    init.headers = { 'content-type': 'application/octet-stream' }
  }
  const response = await app.request(question.path, init)
  const body = new Uint8Array(await response.arrayBuffer())
  if (body.length > ASK_BODY_BYTES_MAX) {
    throw new ApiError(
      'NF-4003',
      `the answer has ${body.length} bytes, and one over libp2p at most ${ASK_BODY_BYTES_MAX}`,
      "ask for a list in pages, or ask on the node's socket",
    )
  }
  return { status: response.status, type: response.headers.get('content-type') ?? '', body }
}

function problemReply(error: unknown): ApiReply {
  const problem = problemOf(error)
  const body = new TextEncoder().encode(JSON.stringify(problem))
  return { status: problem.status, type: 'application/problem+json', body }
}

function encodeReply(reply: ApiReply): Uint8Array {
  return encodeCanonical(REPLY.encode(reply))
}
