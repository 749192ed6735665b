/**
 * One address, one way to ask it: a unix socket, or libp2p.
 *
 * A transport fails with `Unreachable`, which lets the client try another peer; whatever the peer
 * itself answers is a reply, also when it is an error.
 */
import type { ClientRequest } from 'node:http'
import { CliError } from './errors.ts'
import { plainGet } from './plain-get.ts'

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PUT'
  /** Path and query. */
  readonly path: string
  readonly body?: BlobSource | undefined
  /** Takes the answer's bytes, when it is a good one; the reply's text is then empty. */
  readonly save?: DownloadSink | undefined
}

/** Where a file goes that a peer sends. */
export interface DownloadSink {
  /** A file begins: what came before, from a peer that died, is forgotten. */
  readonly begin: () => Promise<void>
  readonly write: (chunk: Uint8Array) => Promise<void>
}

/** Bytes to send; `open` may be called again when another peer must be asked. */
export interface BlobSource {
  readonly size: number
  readonly open: () => AsyncIterable<Uint8Array>
}

export interface Reply {
  readonly status: number
  readonly text: string
}

export interface Transport {
  readonly address: string
  readonly ask: (ask: Ask, signal: AbortSignal) => Promise<Reply>
  readonly close: () => Promise<void>
}

/** The address did not answer. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/** From dialling to the first byte of an answer; a peer that is busy for longer is not a good one. */
export const ASK_TIMEOUT_MS: number = 10_000
/** Silence while a blob or a file travels. */
const BULK_STALL_MS = 60_000
/** One answer; the largest (a page of rows) is below 128 KiB, a fleet of 250 hosts about the same. */
const REPLY_BYTES_MAX = 4 * 1024 * 1024

/** The transport of an address. Throws NF-1102 for one that is none. */
export function transportOf(address: string, p2p: (address: string) => Transport): Transport {
  if (address.startsWith('unix:')) return socketTransport(address.slice(5))
  if (/^\/(ip4|ip6|dns|dns4|dns6|dnsaddr)\//.test(address)) {
    if (/\/p2p\/[1-9A-HJ-NP-Za-km-z]+$/.test(address)) return p2p(address)
    throw new CliError('NF-1102', `the address names no peer: ${address}`, {
      why: ['without /p2p/<id> at its end anybody could answer there'],
      fix: ['nixfleet peers --format wide, on a host of the fleet, prints whole addresses'],
    })
  }
  throw new CliError(
    'NF-1102',
    `expected unix:/path or a multiaddr, found ${address}`,
    /^https?:/.test(address)
      ? {
          why: ['over HTTP a node answers read tokens alone, and nothing is changed there'],
          fix: ['nixfleet peers --format wide, on a host of the fleet, prints whole addresses'],
        }
      : {},
  )
}

function socketTransport(path: string): Transport {
  return {
    address: `unix:${path}`,
    ask: (ask, signal) =>
      (ask.method === 'GET' && ask.save === undefined ? getAt : sendAt)(path, ask, signal),
    close: () => Promise.resolve(),
  }
}

async function getAt(socket: string, { path }: Ask, signal: AbortSignal): Promise<Reply> {
  const bounds = { signal, stallMs: ASK_TIMEOUT_MS, bytesMax: REPLY_BYTES_MAX }
  try {
    return await plainGet({ where: { path: socket }, host: 'localhost', path, ...bounds })
  } catch (error) {
    throw signal.aborted ? signal.reason : unreachable(error)
  }
}

async function sendAt(socketPath: string, ask: Ask, signal: AbortSignal): Promise<Reply> {
  const { request: httpRequest } = await import('node:http')
  const { method, path, body } = ask
  return await new Promise((resolve, reject) => {
    const headers: Record<string, string> = { accept: 'application/json' }
    if (body) {
      headers['content-type'] = 'application/octet-stream'
      headers['content-length'] = String(body.size)
    }
    const fail = (error: Error): void => reject(signal.aborted ? signal.reason : unreachable(error))
    const options = { socketPath, method, path, headers, signal, agent: false }
    const request = httpRequest(options, (response) => {
      const status = response.statusCode ?? 0
      const text = ask.save && status < 300 ? saveAll(response, ask.save) : readText(response)
      text.then((all) => resolve({ status, text: all }), fail)
    })
    const stall = method === 'PUT' || ask.save ? BULK_STALL_MS : ASK_TIMEOUT_MS
    request.setTimeout(stall, () =>
      request.destroy(new Error(`no answer within ${stall / 1000} s`)),
    )
    request.on('error', fail)
    send(request, body).catch((error: unknown) => {
      request.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
}

function unreachable(error: unknown): Unreachable {
  return new Unreachable(error instanceof Error ? error.message : String(error), { cause: error })
}

async function send(request: ClientRequest, body: BlobSource | undefined): Promise<void> {
  if (body) {
    for await (const chunk of body.open()) {
      if (request.destroyed) return
      if (!request.write(chunk)) {
        await new Promise<void>((resolve) => {
          request.once('drain', resolve)
          request.once('close', resolve)
        })
      }
    }
  }
  request.end()
}

async function saveAll(response: AsyncIterable<Uint8Array>, sink: DownloadSink): Promise<string> {
  await sink.begin()
  for await (const chunk of response) await sink.write(chunk)
  return ''
}

async function readText(response: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let count = 0
  for await (const chunk of response) {
    count += chunk.length
    if (count > REPLY_BYTES_MAX) throw new Error(`an answer of more than ${REPLY_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
