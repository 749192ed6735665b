/** What listens on a unix socket, or on TCP of loopback. The API on TCP has its own guards (`tcp-api.ts`). */
import { existsSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { NodeError } from '../errors.ts'
import {
  HEADER_BYTES_MAX,
  HEADERS_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
  SOCKET_PATH_BYTES_MAX,
  SOCKET_PROBE_MS,
} from './limits.ts'

/** Read and write for owner and group, nothing for others. */
const SOCKET_UMASK = 0o117

/** What answers requests: an app, whatever it knows of the connection. */
export interface Served {
  readonly fetch: (request: Request, env: HttpBindings) => Response | Promise<Response>
}

/** An API that listens. */
export interface Listening {
  /** `unix:<path>`, `http://<host>:<port>` or `https://<host>:<port>`. */
  readonly address: string
  /** Stops taking requests and cuts the open ones. */
  close(): Promise<void>
}

/**
 * Listens on a unix socket of mode 0660. A socket file that nobody answers is removed.
 * Throws NodeError PORT_IN_USE when somebody does, CONFIG_INVALID for a path that cannot be one.
 */
export async function listenUnix(app: Served, path: string): Promise<Listening> {
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new NodeError(
      'CONFIG_INVALID',
      `expected a socket path of at most ${SOCKET_PATH_BYTES_MAX} bytes, found ${Buffer.byteLength(path)}: ${path}`,
      'set api.socket to a shorter path',
    )
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o750 })
  await removeStale(path)
  const server = serverOf(app)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // The file appears inside this call, so no one ever sees it with wider rights.
    const before = process.umask(SOCKET_UMASK)
    try {
      server.listen(path, resolve)
    } finally {
      process.umask(before)
    }
  })
  return { address: `unix:${path}`, close: () => close(server) }
}

/**
 * Listens on TCP; port 0 lets the kernel choose. `option` is what the configuration calls the place.
 * Throws NodeError PORT_IN_USE.
 */
export async function listenTcp(
  app: Served,
  at: { host: string; port: number },
  option: string = 'substituter.listen',
): Promise<Listening> {
  return await bindTcp(serverOf(app), at, { scheme: 'http', option })
}

/**
 * Binds `server` to TCP. Throws NodeError PORT_IN_USE.
 */
export async function bindTcp(
  server: Server,
  at: { host: string; port: number },
  { scheme, option }: { scheme: 'http' | 'https'; option: string },
): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new NodeError(
          'PORT_IN_USE',
          `cannot listen on ${at.host}:${at.port}: ${error.message}`,
          `set ${option} to another port`,
          { cause: error },
        ),
      ),
    )
    server.listen(at.port, at.host, resolve)
  })
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : at.port
  const host = at.host.includes(':') ? `[${at.host}]` : at.host
  return { address: `${scheme}://${host}:${port}`, close: () => close(server) }
}

function serverOf(app: Served): Server {
  const serverOptions = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
  }
  // Without TLS there is no HTTP/2 here: the connection is always the plain one.
  const fetch = (request: Request, env: unknown): Response | Promise<Response> =>
    app.fetch(request, env as HttpBindings)
  return createAdaptorServer({ fetch, serverOptions }) as Server
}

async function removeStale(path: string): Promise<void> {
  if (!existsSync(path)) return
  if (!lstatSync(path).isSocket()) {
    throw new NodeError(
      'CONFIG_INVALID',
      `expected a socket or nothing at ${path}, found a file`,
      'move it away',
    )
  }
  if (await somebodyAnswers(path)) {
    throw new NodeError(
      'PORT_IN_USE',
      `another process answers on ${path}`,
      'stop it, or set api.socket',
    )
  }
  unlinkSync(path)
}

function somebodyAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const done = (answers: boolean): void => {
      socket.destroy()
      resolve(answers)
    }
    socket.setTimeout(SOCKET_PROBE_MS, () => done(true))
    socket.once('connect', () => done(true))
    socket.once('error', (error: NodeJS.ErrnoException) =>
      done(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
  })
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
