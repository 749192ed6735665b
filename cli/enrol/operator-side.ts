/** An operator who comes in by ticket: a key that is made on the laptop, and what the root says of it. */
import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type EnrollRequest,
  fleetIdOf,
  keyPair,
  type OperatorGrant,
  openRoots,
  signEnroll,
  type Ticket,
  ticketKey,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { type KeyFile, readKeyFile, writeKeyFile } from '../key-file.ts'
import { identityPaths } from '../places.ts'
import { writeNew } from '../whole-file.ts'
import type { Documents } from './ask-peers.ts'

/**
 * The operator's key file, made here if there is none. Throws NF-1305 for one of another fleet and usage
 * errors for one of another name.
 */
export function operatorKey(context: Context, ticket: Ticket, name: string): KeyFile {
  const paths = identityPaths(context.settings, context.env, context.cwd)
  const path = paths.at(-1)
  if (path === undefined) throw usage('expected --identity with a file for the key, found none')
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const { fleet, rootHash } = ticket
    writeKeyFile(path, {
      ...{ role: 'operator', name, fleet, rootHash, key: keyPair(context.random(32)) },
    })
    context.out.note(`the key is in ${path} and never leaves this machine`)
  }
  const file = readKeyFile([path], 'operator')
  if (file.rootHash !== ticket.rootHash)
    throw new CliError(
      'NF-1305',
      `${path} holds a key for ${file.fleet}, the ticket is for ${ticket.fleet}`,
      {
        fix: ['give another file for this fleet: --identity FILE'],
      },
    )
  if (file.name !== name) throw usage(`${path} holds the key of ${file.name}, not of ${name}`)
  return file
}

/** The request by this ticket. */
export function operatorRequest(ticket: Ticket, { name, key }: KeyFile): EnrollRequest {
  return signEnroll(
    { invite: ticket.invite, name },
    { fleet: fleetIdOf(ticket.rootHash), key, ticket: ticketKey(ticket) },
  )
}

/** What the newest root grants the key. Throws NF-1204. */
export function grantIn(documents: Documents, ticket: Ticket, { key }: KeyFile): OperatorGrant {
  try {
    const root = openRoots(documents.roots, ticket.rootHash).at(-1)
    const grant = root?.operators.find((one) => one.key === key.publicKey)
    if (grant !== undefined) return grant
    throw new Error('the root does not name the key any more')
  } catch (error) {
    throw new CliError('NF-1204', 'the root does not let this key in', {
      why: [error instanceof Error ? error.message : String(error)],
      cause: error,
    })
  }
}

/** Remembers the peers for the commands to come, where nothing is configured yet. Gives the file's path. */
export function rememberPeers(context: Context, peers: readonly string[]): string | undefined {
  const { env } = context
  const home = env['XDG_CONFIG_HOME'] || (env['HOME'] ? join(env['HOME'], '.config') : undefined)
  if (home === undefined || context.settings.peers.length > 0 || peers.length === 0)
    return undefined
  const path = join(home, 'nixfleet', 'config.toml')
  if (existsSync(path)) return undefined
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeNew(path, `peers = ${JSON.stringify(peers)}\n`, 0o644)
  return path
}
