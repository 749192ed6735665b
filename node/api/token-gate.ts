/**
 * What stands before the API on TCP: how often a client asks, that it only reads, and with which token.
 *
 * A token opens the routes of its scopes and gives no other right. The routes that take bytes refuse
 * every token, and without one nothing is answered at all, so that over TCP nobody changes anything.
 */
import type { Context, Next } from 'hono'
import { matchedRoutes } from 'hono/route'
import { clientOf } from '../client-address.ts'
import type { Clock, Logger } from '../ports.ts'
import { ClientRates } from './client-rates.ts'
import { REFUSED_COST } from './limits.ts'
import { ApiError } from './problem.ts'
import { mayRead } from './scopes.ts'
import type { Held, TokenWatch } from './token-watch.ts'
import { type TokenRecord, type TokenStore, tokenState } from './tokens.ts'

const BEARER = /^Bearer ([\x21-\x7e]{1,256})$/i
/** Says that the process lives, and nothing else; who asks that often has no token. */
const OPEN_ROUTE = '/healthz'
/** Pairs of token and client that were told to the log; then it begins anew. */
const TOLD_MAX = 1024

/** The connection of a request, as the server gives it to the app. */
interface Connected {
  readonly incoming?: { readonly socket?: { remoteAddress?: string; destroy(): unknown } }
}

export class TokenGate {
  readonly #store: TokenStore
  readonly #watch: TokenWatch
  readonly #clock: Clock
  readonly #log: Pick<Logger, 'info'>
  readonly #rates = new ClientRates()
  readonly #readers = new WeakMap<Request, TokenRecord>()
  readonly #told = new Set<string>()

  constructor(
    store: TokenStore,
    watch: TokenWatch,
    world: { clock: Clock; log: Pick<Logger, 'info'> },
  ) {
    this.#store = store
    this.#watch = watch
    this.#clock = world.clock
    this.#log = world.log
  }

  /** Before anything is looked at: throws NF-4023 for a client that asks too often. */
  countRequest(c: Context): void {
    const waitSeconds = this.#rates.take(clientIn(c), this.#clock.bootMs())
    if (waitSeconds === undefined) return
    throw new ApiError(
      'NF-4023',
      `this client has asked too often; the next question in ${waitSeconds} s is answered`,
      'ask less often',
      { headers: { 'retry-after': String(waitSeconds) } },
    )
  }

  /** Lets a request on to its route. Throws NF-4021 and NF-4022. */
  async admit(c: Context, next: Next): Promise<void> {
    const given = c.req.header('authorization')
    if (c.req.path === OPEN_ROUTE && reads(c)) return await next()
    if (!reads(c)) throw this.#refused(c, writesNothing(c.req.method))
    const record = given === undefined ? undefined : await this.#find(given)
    if (record === undefined) throw this.#refused(c, unknownToken(given !== undefined))
    const state = tokenState(record, this.#clock.wallMs())
    if (state !== 'valid') throw this.#refused(c, endedToken(record, state))
    const pattern = matchedRoutes(c).at(-1)?.path ?? ''
    if (!mayRead(record.scopes, pattern)) throw this.#refused(c, outOfScope(record))
    this.#readers.set(c.req.raw, record)
    this.#tell(record, clientIn(c))
    await next()
  }

  /** A stream that goes on for as long as the token of its request counts. */
  holdStream(c: Context): Held | undefined {
    const record = this.#readers.get(c.req.raw)
    return record && this.#watch.hold(record.id, () => connectedIn(c).incoming?.socket?.destroy())
  }

  async #find(header: string): Promise<TokenRecord | undefined> {
    const text = BEARER.exec(header)?.[1]
    return text === undefined ? undefined : await this.#store.find(text)
  }

  #refused(c: Context, error: ApiError): ApiError {
    this.#rates.take(clientIn(c), this.#clock.bootMs(), REFUSED_COST - 1)
    return error
  }

  /** Once for each client of a token: who reads is of interest, how often is not. */
  #tell({ id, name }: TokenRecord, from: string): void {
    const key = `${id} ${from}`
    if (this.#told.has(key)) return
    if (this.#told.size >= TOLD_MAX) this.#told.clear()
    this.#told.add(key)
    this.#log.info({ token: id, name, from }, 'a read token is used')
  }
}

function reads({ req }: Context): boolean {
  return req.method === 'GET' || req.method === 'HEAD'
}

function connectedIn(c: Context): Connected {
  return (c.env ?? {}) as Connected
}

function clientIn(c: Context): string {
  return clientOf(connectedIn(c).incoming?.socket?.remoteAddress)
}

const CHALLENGE = { headers: { 'www-authenticate': 'Bearer realm="nixfleet"' } }

function writesNothing(method: string): ApiError {
  return new ApiError(
    'NF-4022',
    `expected GET or HEAD, found ${method.slice(0, 16)}: over TCP nothing is changed, with a token or without`,
    "send what is signed to the node's socket, or over libp2p: nixfleet --peer",
  )
}

function unknownToken(given: boolean): ApiError {
  return new ApiError(
    'NF-4021',
    given ? 'this node knows no such token' : 'expected Authorization: Bearer TOKEN, found none',
    'nixfleet tokens create, on the host of the node',
    CHALLENGE,
  )
}

/** Only whoever has the token hears what became of it. */
function endedToken({ id, expires, revoked }: TokenRecord, state: string): ApiError {
  const at = new Date(revoked ?? expires).toISOString()
  return new ApiError(
    'NF-4021',
    `token ${id} is ${state}, since ${at}`,
    'nixfleet tokens create, on the host of the node',
    CHALLENGE,
  )
}

function outOfScope({ id, scopes }: TokenRecord): ApiError {
  return new ApiError(
    'NF-4022',
    `token ${id} reads ${scopes.join(', ')}, and this is no route of that`,
    'nixfleet tokens create --scope, on the host of the node',
  )
}
