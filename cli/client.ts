/**
 * Asks a peer, and goes on with another one when it dies.
 *
 * Any peer serves any command (there is no server), so the client learns the others from the first
 * answer. Repeating is harmless: reads change nothing, and a signed fact that arrives twice is one fact.
 */
import type { Page, PeerRow, Problem, Stamped } from '../node/index.ts'
import { CATALOGUE } from './catalogue.ts'
import { CliError } from './errors.ts'
import {
  type Ask,
  type BlobSource,
  type DownloadSink,
  type Reply,
  type Transport,
  Unreachable,
} from './transport.ts'

/** What a client needs of its surroundings. */
export interface ClientOptions {
  /** In the order in which they are tried. */
  readonly addresses: readonly string[]
  /** More addresses that may be tried once one has answered, as the sockets of a demo. */
  readonly spare: () => readonly string[]
  readonly transport: (address: string) => Transport
  readonly note: (text: string) => void
  readonly verbose: boolean
  readonly signal: AbortSignal
  readonly sleep: (ms: number) => Promise<void>
}

/** A client of the fleet. */
export interface Client {
  /** The address that answered last. */
  readonly address: () => string
  /** How often it moved to another peer: whoever needs what a peer was told compares this. */
  readonly moves: () => number
  readonly get: <Body>(path: string) => Promise<Body>
  /** Every row of a list, page by page, in one document without cursor. */
  readonly all: <Row>(path: string) => Promise<Stamped<string, Page<Row>>>
  readonly post: <Body>(path: string, bytes: Uint8Array) => Promise<Body>
  readonly put: (path: string, blob: BlobSource) => Promise<void>
  /** A file that the peer makes; with a body it is asked for by POST. */
  readonly download: (path: string, save: DownloadSink, body?: Uint8Array) => Promise<void>
  /** Learns the addresses of the other peers, for a command that will stay. Never fails. */
  readonly learn: () => Promise<void>
  /** Rounds over all peers before giving up; a waiting command has patience. */
  readonly setPatience: (rounds: number) => void
  readonly close: () => Promise<void>
}

/** Between two rounds over all peers. */
const ROUND_PAUSE_MS = 1000
/** Peers that a client keeps in mind: more than will ever be needed at once. */
const ADDRESSES_MAX = 64

/** A client that has not asked anybody yet. */
export function createClient(options: ClientOptions): Client {
  const known: string[] = [...options.addresses]
  let current: Transport | undefined
  let moves = 0
  let rounds = 1

  /** Makes `next` the current transport; tells when it replaces one that was lost. */
  const settle = async (next: Transport): Promise<void> => {
    if (next === current) return
    const lost = current
    current = next
    if (lost === undefined) return
    moves += 1
    options.note(`peer ${lost.address} does not answer; going on with ${next.address}`)
    await lost.close().catch(() => undefined)
  }

  /** One attempt at one address: a reply, or why there is none. */
  const askAt = async (address: string, question: Ask): Promise<Reply | string> => {
    const transport = current?.address === address ? current : options.transport(address)
    const outcome = await attempt(transport, question, options)
    if (typeof outcome !== 'string') await settle(transport)
    else if (transport !== current) await transport.close().catch(() => undefined)
    return outcome
  }

  /** Asks the current peer, then each other one, for as many rounds as patience has. */
  const ask = async (question: Ask): Promise<Reply> => {
    const failures = new Map<string, string>()
    for (let round = 0; round < rounds; round++) {
      if (round > 0) await options.sleep(ROUND_PAUSE_MS)
      for (const address of order(known, current?.address, options.spare())) {
        options.signal.throwIfAborted()
        const outcome = await askAt(address, question)
        if (typeof outcome !== 'string') return outcome
        failures.set(address, outcome)
      }
    }
    throw unreachable(failures)
  }

  const json = async <Body>(question: Ask): Promise<Body> => parseReply<Body>(await ask(question))

  const client: Client = {
    address: () => current?.address ?? '',
    moves: () => moves,
    get: (path) => json({ method: 'GET', path }),
    all: (path) => allPages(client, path),
    post: (path, bytes) => json({ method: 'POST', path, body: blobSource(bytes) }),
    put: async (path, blob) => {
      await json({ method: 'PUT', path, body: blob })
    },
    download: async (path, save, body) => {
      const asked = body && blobSource(body)
      const reply = await ask({ method: asked ? 'POST' : 'GET', path, save, body: asked })
      if (reply.status >= 400) throw problemError(reply)
    },
    learn: async () => {
      const peers = await client.all<PeerRow>('/api/v1/peers').catch(() => undefined)
      for (const address of peers?.items.flatMap((peer) => peer.api) ?? []) {
        if (!known.includes(address) && known.length < ADDRESSES_MAX) known.push(address)
      }
    },
    setPatience: (count) => {
      rounds = count
    },
    close: async () => {
      await current?.close()
    },
  }
  return client
}

/** Bytes in memory as a source. */
export function blobSource(bytes: Uint8Array): BlobSource {
  return {
    size: bytes.length,
    open: async function* () {
      yield bytes
    },
  }
}

/** The current address first, then the known ones; once one has answered, also the spare ones. */
function order(
  known: readonly string[],
  current: string | undefined,
  spare: readonly string[],
): readonly string[] {
  if (current === undefined) return [...new Set(known)]
  return [...new Set([current, ...known, ...spare])]
}

/** The reply, or why there is none. */
async function attempt(
  transport: Transport,
  question: Ask,
  options: ClientOptions,
): Promise<Reply | string> {
  try {
    if (options.verbose)
      options.note(`asking ${transport.address}: ${question.method} ${question.path}`)
    const reply = await transport.ask(question, options.signal)
    return reply.status === 503 ? `not ready: ${problemIn(reply.text)?.why ?? reply.text}` : reply
  } catch (error) {
    if (error instanceof Unreachable) return error.message
    throw error
  }
}

async function allPages<Row>(client: Client, path: string): Promise<Stamped<string, Page<Row>>> {
  const items: Row[] = []
  let cursor: string | null = null
  for (;;) {
    const query: string =
      cursor === null ? '' : `${path.includes('?') ? '&' : '?'}cursor=${encodeURIComponent(cursor)}`
    const page: Stamped<string, Page<Row>> = await client.get(`${path}${query}`)
    items.push(...page.items)
    cursor = page.next
    if (cursor === null) return { ...page, items, next: null }
  }
}

function parseReply<Body>(reply: Reply): Body {
  if (reply.status >= 400) throw problemError(reply)
  try {
    return JSON.parse(reply.text) as Body
  } catch (error) {
    throw new CliError(
      'NF-1103',
      `the peer answered ${reply.status} with something that is not JSON`,
      {
        cause: error,
      },
    )
  }
}

function problemError(reply: Reply): CliError {
  const problem = problemIn(reply.text)
  if (problem === undefined)
    return new CliError('NF-1103', `the peer answered with status ${reply.status}`)
  const known = Object.hasOwn(CATALOGUE, problem.code)
  return new CliError(known ? problem.code : 'NF-1103', problem.title, {
    why: [problem.why],
    fix: [problem.fix],
  })
}

function problemIn(text: string): Problem | undefined {
  try {
    const value = JSON.parse(text) as Partial<Problem>
    const { code, title, why, fix } = value
    if ([code, title, why, fix].every((part) => typeof part === 'string')) return value as Problem
  } catch {
    return undefined
  }
  return undefined
}

function unreachable(failures: ReadonlyMap<string, string>): CliError {
  const why = [...failures].map(([address, reason]) => `${address}: ${reason}`)
  return new CliError('NF-1101', 'no peer could be reached', {
    why: why.length > 0 ? why : ['no address is known'],
  })
}
