/**
 * One GET of HTTP/1.1 on a socket of its own: all that a command needs to ask a node.
 *
 * Node's client can do everything, and loading and starting it costs a light command more than all
 * of its own code. Uploads use that one (`transport.ts`).
 */
import { connect, type NetConnectOpts } from 'node:net'

/** An answer as it came. */
export interface PlainAnswer {
  readonly status: number
  readonly text: string
}

/** Where and how to ask. */
export interface PlainQuestion {
  readonly where: NetConnectOpts
  /** What the server is called in the request; names with a port carry it. */
  readonly host: string
  /** Path and query, encoded. */
  readonly path: string
  readonly signal: AbortSignal
  /** Silence before giving up, in ms. */
  readonly stallMs: number
  /** The longest answer, head included. */
  readonly bytesMax: number
}

/** Asks once. Rejects when the socket fails, the server is silent, or the answer is cut or none. */
export function plainGet(question: PlainQuestion): Promise<PlainAnswer> {
  const { where, host, path, signal, stallMs, bytesMax } = question
  if (!/^\/[\x21-\x7e]*$/.test(path)) throw new TypeError(`expected an encoded path, found ${path}`)
  return new Promise((resolve, reject) => {
    const socket = connect(where)
    const stop = (): void => void socket.destroy(new Error('asked no more'))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    const chunks: Uint8Array[] = []
    let count = 0
    socket.setTimeout(stallMs, () =>
      socket.destroy(new Error(`no answer within ${stallMs / 1000} s`)),
    )
    socket.on('error', reject)
    socket.on('data', (chunk: Buffer) => {
      count += chunk.length
      chunks.push(chunk)
      if (count > bytesMax) socket.destroy(new Error(`an answer of more than ${bytesMax} bytes`))
    })
    socket.on('end', () => {
      try {
        resolve(readAnswer(Buffer.concat(chunks)))
      } catch (error) {
        reject(error)
      }
    })
    socket.on('close', () => {
      signal.removeEventListener('abort', stop)
      // Before the end, closing is a failure; after it, this changes nothing.
      reject(new Error('the connection was closed'))
    })
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: ${host}\r\naccept: application/json\r\nconnection: close\r\n\r\n`,
    )
  })
}

/** Reads a whole answer. Throws Error when it is cut short or is no HTTP. */
export function readAnswer(bytes: Buffer): PlainAnswer {
  const end = bytes.indexOf('\r\n\r\n')
  const [first = '', ...lines] = bytes.toString('latin1', 0, Math.max(0, end)).split('\r\n')
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1]
  if (end < 0 || status === undefined) throw new Error('expected an answer in HTTP, found none')
  const headers = new Map(lines.map(headerOf))
  const body = bytes.subarray(end + 4)
  const whole = /\bchunked$/i.test(headers.get('transfer-encoding') ?? '')
    ? joinChunks(body)
    : cutBody(body, headers.get('content-length'))
  return { status: Number(status), text: whole.toString('utf8') }
}

function headerOf(line: string): [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
}

function cutBody(body: Buffer, length: string | undefined): Buffer {
  if (length === undefined) return body
  if (!/^\d{1,10}$/.test(length) || body.length < Number(length)) throw cutShort()
  return body.subarray(0, Number(length))
}

function joinChunks(body: Buffer): Buffer {
  const chunks: Buffer[] = []
  for (let at = 0; ; ) {
    const lineEnd = body.indexOf('\r\n', at)
    const size = /^([0-9a-f]{1,8})(;|$)/i.exec(body.toString('latin1', at, Math.max(at, lineEnd)))
    if (lineEnd < 0 || size?.[1] === undefined) throw cutShort()
    const length = Number.parseInt(size[1], 16)
    if (length === 0) return Buffer.concat(chunks)
    const next = lineEnd + 2 + length
    if (body.toString('latin1', next, next + 2) !== '\r\n') throw cutShort()
    chunks.push(body.subarray(lineEnd + 2, next))
    at = next + 2
  }
}

function cutShort(): Error {
  return new Error('the answer was cut short')
}
