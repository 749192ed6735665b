/**
 * Upstream binary caches, as a node passes them on: what they say of a path, and the file behind it.
 *
 * Nothing here judges: signatures pass through as they are, and Nix checks them, the hash and the size.
 */
import { createReadStream } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NARINFO_BYTES_MAX, type Narinfo, parseNarinfo } from '../../protocol/index.ts'
import { NAR_CHUNK_BYTES } from '../limits.ts'
import { errorCode } from '../system/durable.ts'
import { askedRange } from './byte-range.ts'
import { UPSTREAM_MS_MAX, UPSTREAM_STALL_MS_MAX } from './limits.ts'

/** The answer to a request for a file. */
export interface FileReply {
  readonly status: 200 | 206 | 404 | 416 | 503
  readonly headers: Readonly<Record<string, string>>
  /** A chunk is good until the next is asked for. */
  readonly body?: AsyncIterable<Uint8Array> | undefined
}

/** A file that a client asks for, and the range of it, as the request has it. */
export interface FileRequest {
  readonly range?: string | undefined
  /** Ends what is under way. */
  readonly signal: AbortSignal
}

/** A cache whose files can be had as they are. */
export interface Upstream {
  readonly url: string
  /** What it says of the path with this store hash; undefined when it has none. Throws when it cannot be asked. */
  info(storeHash: string): Promise<Narinfo | undefined>
  /** A file that one of its narinfos names. Throws when it cannot be asked. */
  file(name: string, request: FileRequest): Promise<FileReply>
}

/** An upstream wants a password, which Nix has in its `netrc` and this node has not. */
export class PasswordWanted extends Error {
  override readonly name = 'PasswordWanted'
}

/** Marks a node's own requests, so that a cache that is a node's substituter never goes in circles. */
export const HOP_HEADER = 'x-nixfleet-substituter'

const NOT_FOUND: FileReply = { status: 404, headers: {} }

/** The cache at `url`; undefined where only Nix itself can read it (s3://, ssh://, …). */
export function openUpstream(url: string): Upstream | undefined {
  if (/^https?:\/\//.test(url)) return new HttpUpstream(url)
  if (url.startsWith('file://')) return new FileUpstream(url)
  return undefined
}

class HttpUpstream implements Upstream {
  readonly url: string
  readonly #base: string

  constructor(url: string) {
    this.url = url
    this.#base = withoutQuery(url).replace(/\/+$/, '')
  }

  async info(storeHash: string): Promise<Narinfo | undefined> {
    const signal = AbortSignal.timeout(UPSTREAM_MS_MAX)
    const answer = await this.#fetch(`${storeHash}.narinfo`, { signal })
    // S3 and some others forbid to look for what is not there.
    if (answer.status === 404 || answer.status === 403) return undefined
    if (answer.status === 401) throw new PasswordWanted(`${this.url} wants a password`)
    if (answer.status !== 200) throw new Error(`${this.url} answered ${answer.status}`)
    return parseNarinfo(await readShort(answer), this.url)
  }

  async file(name: string, { range, signal }: FileRequest): Promise<FileReply> {
    const opening = new AbortController()
    const timer = setTimeout(() => opening.abort(new Error('no answer')), UPSTREAM_MS_MAX)
    const either = AbortSignal.any([signal, opening.signal])
    try {
      const headers = range === undefined ? {} : { range }
      const answer = await this.#fetch(name, { signal: either, headers })
      const { status } = answer
      if (status === 404 || status === 403) return NOT_FOUND
      if (status !== 200 && status !== 206 && status !== 416) {
        throw new Error(`${this.url} answered ${status}`)
      }
      const passed = passedHeaders(answer)
      if (answer.body === null || status === 416) return { status, headers: passed }
      return { status, headers: passed, body: chunksOf(answer.body, opening) }
    } finally {
      clearTimeout(timer)
    }
  }

  #fetch(
    name: string,
    options: { signal: AbortSignal; headers?: Record<string, string> },
  ): Promise<Response> {
    // Compressed on the way, its length would not be that of the file.
    const headers = { 'accept-encoding': 'identity', [HOP_HEADER]: '1', ...options.headers }
    return fetch(`${this.#base}/${name}`, { signal: options.signal, headers })
  }
}

class FileUpstream implements Upstream {
  readonly url: string
  readonly #folder: string

  constructor(url: string) {
    this.url = url
    this.#folder = fileURLToPath(withoutQuery(url))
  }

  async info(storeHash: string): Promise<Narinfo | undefined> {
    // Told apart from a path that it lacks: a medium that is not mounted.
    await stat(join(this.#folder, 'nix-cache-info'))
    const path = join(this.#folder, `${storeHash}.narinfo`)
    try {
      const { size } = await stat(path)
      if (size > NARINFO_BYTES_MAX) throw new Error(`${path} is no narinfo: ${size} bytes`)
      return parseNarinfo(await readFile(path), path)
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async file(name: string, { range }: FileRequest): Promise<FileReply> {
    // parseNarinfo has seen the name: it cannot leave the folder.
    const path = join(this.#folder, name)
    const size = await sizeOf(path)
    if (size === undefined) return NOT_FOUND
    return rangedReply({ size, range, read: (from, to) => readFileRange(path, from, to) })
  }
}

/** What a request for (a part of) `size` bytes is answered, that `read` gives. */
export function rangedReply(file: {
  readonly size: number
  readonly range: string | undefined
  /** Bytes `from` to `to` (excluded). */
  read(from: number, to: number): AsyncIterable<Uint8Array>
}): FileReply {
  const { size } = file
  const asked = askedRange(file.range, size)
  const headers = { 'accept-ranges': 'bytes' }
  if (asked === 'outside') {
    return { status: 416, headers: { ...headers, 'content-range': `bytes */${size}` } }
  }
  const { from, to } = asked === 'none' ? { from: 0, to: size } : asked
  const body = file.read(from, to)
  const length = { 'content-length': String(to - from) }
  if (asked === 'none') return { status: 200, headers: { ...headers, ...length }, body }
  const range = { 'content-range': `bytes ${from}-${to - 1}/${size}` }
  return { status: 206, headers: { ...headers, ...length, ...range }, body }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const file = await open(path, 'r')
    try {
      const status = await file.stat()
      return status.isFile() ? status.size : undefined
    } finally {
      await file.close()
    }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

async function* readFileRange(path: string, from: number, to: number): AsyncGenerator<Uint8Array> {
  if (from >= to) return
  yield* createReadStream(path, { start: from, end: to - 1, highWaterMark: NAR_CHUNK_BYTES })
}

/** The chunks of a body; silence for long ends it with an error, so that its reader sees no end. */
async function* chunksOf(
  body: ReadableStream<Uint8Array>,
  stop: AbortController,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader()
  try {
    for (;;) {
      const timer = setTimeout(() => stop.abort(new Error('silence')), UPSTREAM_STALL_MS_MAX)
      const next = await reader.read().finally(() => clearTimeout(timer))
      if (next.done) return
      yield next.value
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

async function readShort(answer: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body ?? []) {
    size += chunk.length
    if (size > NARINFO_BYTES_MAX) throw new Error('expected a narinfo, found a longer file')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function passedHeaders(answer: Response): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const name of ['content-length', 'content-range', 'accept-ranges']) {
    const value = answer.headers.get(name)
    if (value !== null) passed[name] = value
  }
  return passed
}

function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/, '')
}
