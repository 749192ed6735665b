/**
 * Health checks: the host's own, from inside, and a peer's, from outside (protocol.md §7.2).
 *
 * Each asks a real service a real question on a fresh connection: a kept-alive one would go on
 * answering after the listener is gone.
 */
import { get as httpGet } from 'node:http'
import { get as httpsGet } from 'node:https'
import { connect } from 'node:net'
import type { HealthCheck } from '../../protocol/index.ts'
import { CHECK_MS_MAX, CHECK_WHY_CHARS_MAX } from '../limits.ts'
import type { CheckOutcome } from '../ports.ts'
import { type Environment, runProgram } from './program.ts'

/** Who runs a check, and with what. */
export interface CheckSurroundings {
  /** What `{host}` stands for: how whoever runs the check reaches the host. */
  readonly address: string
  /** Environment of commands and of `systemctl`; absent: only tcp and http may run. */
  readonly env?: Environment | undefined
}

/**
 * Runs `check` once. Never rejects: whatever goes wrong is an outcome that is not ok.
 *
 * A peer's `unit` and `command` checks are refused, not skipped: they can only run inside.
 */
export async function runCheck(
  check: HealthCheck,
  surroundings: CheckSurroundings,
): Promise<CheckOutcome> {
  const timeoutMs = Math.min(check.timeoutMs, CHECK_MS_MAX)
  try {
    const why = await faultOf(check, surroundings, timeoutMs)
    if (why === undefined) return { name: check.name, ok: true }
    return { name: check.name, ok: false, why: oneLine(why) }
  } catch (error) {
    return { name: check.name, ok: false, why: oneLine(messageOf(error)) }
  }
}

/** What is wrong, or undefined when the check is good. */
function faultOf(
  check: HealthCheck,
  { address, env }: CheckSurroundings,
  timeoutMs: number,
): Promise<string | undefined> {
  switch (check.kind) {
    case 'http':
      return httpFault(withHost(check.target, address), check.status, timeoutMs)
    case 'tcp':
      return tcpFault(withHost(check.target, address), timeoutMs)
    case 'unit':
      return programFault('systemctl', ['is-active', '--', check.target], env, timeoutMs)
    case 'command':
      // A shell line by definition, signed with the release.
      return programFault('sh', ['-c', check.target], env, timeoutMs)
  }
}

function httpFault(
  url: string,
  status: number | undefined,
  timeoutMs: number,
): Promise<string | undefined> {
  const expected = status ?? '200 to 299'
  const get = new URL(url).protocol === 'https:' ? httpsGet : httpGet
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs)
    const request = get(url, { agent: false, signal }, (response) => {
      const found = response.statusCode ?? 0
      response.destroy()
      const good = status === undefined ? found >= 200 && found < 300 : found === status
      resolve(good ? undefined : `expected status ${expected} from ${url}, found ${found}`)
    })
    request.on('error', (error) => {
      reject(signal.aborted ? new Error(`no answer from ${url} within ${timeoutMs} ms`) : error)
    })
  })
}

function tcpFault(target: string, timeoutMs: number): Promise<string | undefined> {
  const colon = target.lastIndexOf(':')
  const host = target.slice(0, Math.max(colon, 0)).replace(/^\[(.*)\]$/, '$1')
  const port = Number(target.slice(colon + 1))
  if (host === '' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return Promise.resolve(`expected host:port, found '${target}'`)
  }
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (why: string | undefined): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(why)
    }
    const timer = setTimeout(
      () => end(`no connection to ${target} within ${timeoutMs} ms`),
      timeoutMs,
    )
    socket.once('connect', () => end(undefined))
    socket.on('error', (error) => end(error.message))
  })
}

async function programFault(
  file: string,
  args: readonly string[],
  env: Environment | undefined,
  timeoutMs: number,
): Promise<string | undefined> {
  if (!env) return 'this kind of check runs on the host itself only'
  const result = await runProgram(file, args, { env, timeoutMs })
  return result.ok ? undefined : result.detail
}

/** `{host}` replaced; an IPv6 address gets the brackets that URLs and host:port ask for. */
function withHost(target: string, address: string): string {
  const bracketed = address.includes(':') && !address.startsWith('[') ? `[${address}]` : address
  return target.replaceAll('{host}', () => bracketed)
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, CHECK_WHY_CHARS_MAX)
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
