/**
 * The API on TCP: on loopback plain or with TLS, elsewhere with TLS alone, and nothing without a token.
 *
 * What a client can take up is bounded before a byte of it is understood: connections for each client
 * and for all, the time of a handshake, of a request and of silence.
 */
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { clientOf } from '../client-address.ts'
import { NodeError } from '../errors.ts'
import type { Clock, Logger } from '../ports.ts'
import { givenCertificate, ownCertificate, type ServerCertificate } from './certificate.ts'
import {
  HEADER_BYTES_MAX,
  TCP_CHECK_MS,
  TCP_CONNECTIONS_MAX,
  TCP_CONNECTIONS_PER_CLIENT_MAX,
  TCP_HEADERS_TIMEOUT_MS,
  TCP_IDLE_MS,
  TCP_REQUEST_TIMEOUT_MS,
  TLS_HANDSHAKE_MS,
} from './limits.ts'
import { bindTcp, type Listening, type Served } from './listen.ts'
import { type ApiOptions, createApi } from './server.ts'
import { TokenGate } from './token-gate.ts'
import { TokenWatch } from './token-watch.ts'
import { TokenStore } from './tokens.ts'

/** TLS for the API: the node's own certificate, or files in PEM. */
export type ApiTls = 'own' | { readonly cert: string; readonly key: string }

export interface TcpApiConfig {
  readonly listen: { readonly host: string; readonly port: number }
  readonly hosts: readonly string[]
  readonly tls?: ApiTls | undefined
}

/** An API that listens on TCP. */
export interface TcpListening extends Listening {
  /** Of the certificate; null without TLS. */
  readonly fingerprint: string | null
}

const LOOPBACK = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1)$/

/** Throws NodeError API_UNPROTECTED where tokens would cross a network in the clear. */
export function assertProtected({
  listen,
  tls,
}: {
  readonly listen?: TcpApiConfig['listen'] | undefined
  readonly tls?: ApiTls | undefined
}): void {
  if (listen === undefined || tls !== undefined || LOOPBACK.test(listen.host)) return
  throw new NodeError(
    'API_UNPROTECTED',
    `expected TLS for the API on ${listen.host}:${listen.port}, which is not loopback, found none`,
    'Set api.tls to "own" or to files with cert and key, or api.listen.host to 127.0.0.1.',
  )
}

/**
 * Listens. `data` is the node's folder with its tokens and its own certificate. Throws NodeError
 * API_UNPROTECTED, PORT_IN_USE, and what certificates throw.
 */
export async function openTcpApi(
  config: TcpApiConfig,
  node: {
    readonly name: string
    readonly data: string
    readonly api: Omit<ApiOptions, 'hosts' | 'gate'>
    readonly clock: Clock
    readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  },
): Promise<TcpListening> {
  assertProtected(config)
  const { clock, log } = node
  const certificate = await certificateOf(config, node)
  for (const warning of certificate?.warnings ?? []) log.warn({}, warning)
  const store = new TokenStore(node.data)
  const watch = new TokenWatch(store, { clock, log })
  const gate = new TokenGate(store, watch, { clock, log })
  const server = serverOf(createApi({ ...node.api, hosts: config.hosts, gate }), certificate)
  const scheme = certificate === undefined ? 'http' : 'https'
  const listening = await bindTcp(server, config.listen, { scheme, option: 'api.listen' })
  await watch.start()
  return {
    address: listening.address,
    fingerprint: certificate?.fingerprint ?? null,
    close: async () => {
      watch.stop()
      await listening.close()
    },
  }
}

async function certificateOf(
  { tls, hosts }: TcpApiConfig,
  node: { readonly name: string; readonly data: string; readonly clock: Clock },
): Promise<ServerCertificate | undefined> {
  if (tls === undefined) return undefined
  const nowMs = node.clock.wallMs()
  if (tls !== 'own') return await givenCertificate(tls, { hosts, nowMs })
  return await ownCertificate(node.data, { name: node.name, hosts, nowMs })
}

function serverOf(app: Served, certificate: ServerCertificate | undefined): Server {
  const bounds = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: TCP_HEADERS_TIMEOUT_MS,
    requestTimeout: TCP_REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TCP_CHECK_MS,
  }
  const fetch = (request: Request, env: unknown): Response | Promise<Response> =>
    app.fetch(request, env as HttpBindings)
  const server = (
    certificate === undefined
      ? createAdaptorServer({ fetch, createServer, serverOptions: bounds })
      : createAdaptorServer({
          fetch,
          createServer: createTlsServer,
          serverOptions: {
            ...bounds,
            cert: certificate.cert,
            key: certificate.key,
            minVersion: 'TLSv1.2',
            handshakeTimeout: TLS_HANDSHAKE_MS,
          },
        })
  ) as Server
  server.setTimeout(TCP_IDLE_MS)
  server.maxConnections = TCP_CONNECTIONS_MAX
  boundClients(server)
  return server
}

/** Hangs up on a client that has as many connections as it may have. */
function boundClients(server: Server): void {
  const open = new Map<string, number>()
  server.on('connection', (socket: Socket) => {
    const client = clientOf(socket.remoteAddress)
    const count = open.get(client) ?? 0
    if (count >= TCP_CONNECTIONS_PER_CLIENT_MAX) {
      socket.destroy()
      return
    }
    open.set(client, count + 1)
    socket.once('close', () => {
      const left = (open.get(client) ?? 1) - 1
      if (left <= 0) open.delete(client)
      else open.set(client, left)
    })
  })
}
