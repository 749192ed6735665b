/**
 * `nixfleet enroll TICKET`: asks to be let in, on the host or laptop that wants in, and waits until an
 * admin has decided. Run again it goes on: same key, same request.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { EnrollRequest, GroupHost, Ticket } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { askPeers, type Documents } from '../enrol/ask-peers.ts'
import {
  assertFleet,
  type HostPlaces,
  hostKeys,
  hostPlaces,
  hostRequest,
  namedBy,
  readDocuments,
  settleTrust,
} from '../enrol/host-side.ts'
import { assertSystem, dataOption, settleNodeConfig } from '../enrol/node-config-file.ts'
import { grantIn, operatorKey, operatorRequest, rememberPeers } from '../enrol/operator-side.ts'
import { requestText } from '../enrol/request-file.ts'
import { readTicket } from '../enrol/ticket-input.ts'
import { usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, flagOption, listOption, textOption } from '../registry.ts'
import { writeWhole } from '../whole-file.ts'

const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/

export async function run(context: Context, input: CommandInput): Promise<number> {
  const ticket = readTicket(context, input)
  const name = nameOf(input, ticket)
  return ticket.kind === 'host'
    ? await enrollHost(context, input, ticket, name)
    : await enrollOperator(context, input, ticket, name)
}

/** Undefined where nobody gave one. Throws usage errors. */
function nameOf({ options }: CommandInput, ticket: Ticket): string | undefined {
  const given = textOption(options, 'name') ?? ticket.name
  if (given !== undefined && !NAME.test(given))
    throw usage(`expected --name with a lower-case DNS label, found ${given}`)
  if (ticket.name !== undefined && ticket.name !== given)
    throw usage(`the ticket is for ${ticket.name}, not for ${given}`)
  return given
}

async function enrollHost(
  context: Context,
  input: CommandInput,
  ticket: Ticket,
  name: string | undefined,
): Promise<number> {
  assertSystem(input)
  const addresses = listOption(input.options, 'listen')
  const bad = addresses.find((address) => !/^\/[\x21-\x7e]+$/.test(address))
  if (bad !== undefined) throw usage(`expected a multiaddr after --listen, found ${bad}`)
  const places = hostPlaces(dataOption(context, input))
  assertFleet(places, ticket)
  const keys = hostKeys(context, places)
  if (existsSync(places.trust)) {
    const host = namedBy(readDocuments(places.trust), ticket.rootHash, keys)
    return await sayHost(context, input, { places, ticket, host })
  }
  const request = hostRequest(places, { ticket, keys, terms: { name, addresses } })
  const documents = await documentsFor(context, input, ticket, request)
  if (documents === undefined) return sayPending(context, request)
  const host = settleTrust(places, { ticket, keys, documents })
  return await sayHost(context, input, { places, ticket, host })
}

/** From a folder that was carried here, or from the peers; undefined while the request waits. */
async function documentsFor(
  context: Context,
  { options }: CommandInput,
  ticket: Ticket,
  request: EnrollRequest,
): Promise<Documents | undefined> {
  const file = textOption(options, 'request-out')
  if (file !== undefined) {
    const { rootHash } = ticket
    const text = requestText({ rootHash, name: request.name, request: request.bytes })
    writeWhole(resolve(context.cwd, file), text, 0o644)
    context.out.note(
      `the request is in ${file}: carry it to an admin, then come back with --trust DIR`,
    )
    return undefined
  }
  const trust = textOption(options, 'trust')
  if (trust !== undefined) return readDocuments(resolve(context.cwd, trust))
  if (ticket.peers.length === 0)
    throw usage('this ticket names no peer: give --request-out FILE, and later --trust DIR')
  return await askPeers(context, { ticket, request, wait: flagOption(options, 'wait') })
}

async function sayHost(
  context: Context,
  input: CommandInput,
  given: { places: HostPlaces; ticket: Ticket; host: GroupHost },
): Promise<number> {
  const { places, ticket, host } = given
  const peers = await peerAddresses(ticket)
  const config = settleNodeConfig(context, input, { places, host, ticket, peers })
  const { out } = context
  if (out.human) {
    out.line(`${host.name} is in: fleet ${ticket.fleet}`)
    out.note(`next: nixfleet node run --node-config ${config}`)
    return EXIT_OK
  }
  const body = { state: 'admitted', fleet: ticket.fleet, name: host.name, config }
  out.document(cliDocument('Enrolled', { ...body, trust: places.trust }))
  return EXIT_OK
}

async function enrollOperator(
  context: Context,
  input: CommandInput,
  ticket: Ticket,
  name: string | undefined,
): Promise<number> {
  if (name === undefined) throw usage('expected --name with a lower-case DNS label, found none')
  const key = operatorKey(context, ticket, name)
  const request = operatorRequest(ticket, key)
  const documents = await documentsFor(context, input, ticket, request)
  if (documents === undefined) return sayPending(context, request)
  const grant = grantIn(documents, ticket, key)
  const peers = await peerAddresses(ticket)
  const config = rememberPeers(context, peers)
  const { out } = context
  if (!out.human) {
    const body = { state: 'admitted', fleet: ticket.fleet, name, role: grant.role }
    out.document(cliDocument('Enrolled', { ...body, identity: key.path, config: config ?? null }))
    return EXIT_OK
  }
  out.line(`${name} is in: fleet ${ticket.fleet}, role ${grant.role}`)
  if (config !== undefined) out.note(`the peers of the ticket are in ${config}`)
  out.note(`next: nixfleet status${config === undefined ? ` --peer ${peers[0] ?? 'ADDR'}` : ''}`)
  return EXIT_OK
}

function sayPending({ out }: Context, { id, name, key }: EnrollRequest): number {
  if (out.human)
    out.line(`${name} waits to be let in: request ${id.slice(0, 12)}, key ${key.slice(0, 16)}`)
  else out.document(cliDocument('Enrolled', { state: 'pending', name, request: id, key }))
  return EXIT_OK
}

/** Where the peers of the ticket are, as other commands and the node take it. */
async function peerAddresses({ peers }: Ticket): Promise<readonly string[]> {
  if (peers.length === 0) return []
  const { peerIdText } = await import('../../node/index.ts')
  return peers.map(({ address, key }) => `${address}/p2p/${peerIdText(key)}`)
}
