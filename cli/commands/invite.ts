/**
 * `nixfleet invite`: a ticket, printed once. Whoever has it may ask to be let in; admins decide, with
 * --wait at once and by themselves, else later with `nixfleet approve`.
 */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { PeerRow } from '../../node/index.ts'
import {
  formatTicket,
  type Invite,
  keyPair,
  NO_FACT,
  openFirstRoot,
  sealFact,
  TICKET_PEERS_MAX,
  type Ticket,
  type TicketPeer,
  toHex,
} from '../../protocol/index.ts'
import type { Client } from '../client.ts'
import { timeText } from '../columns.ts'
import type { Context } from '../context.ts'
import { approveWhileAsked } from '../enrol/approve.ts'
import { inviteOf } from '../enrol/invite-terms.ts'
import { loadInviter } from '../enrol/inviter.ts'
import { inviteFileName, inviteText } from '../enrol/request-file.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { readKeyFile } from '../key-file.ts'
import { publish, type VerifiedFleet } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, flagOption, listOption, textOption } from '../registry.ts'
import { writeNew } from '../whole-file.ts'
import { plural } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const seed = context.random(32)
  const key = keyPair(seed).publicKey
  if (textOption(input.options, 'trust') !== undefined)
    return offline(context, input, { seed, key })
  const client = await context.connect()
  const author = await loadInviter(context, input, client)
  const { fleet } = author
  const invite = inviteOf(context, input, { group: fleet.config.group, key })
  const peers = await peersOf(client, fleet)
  const fact = author.seal('invite.open', invite)
  await publish(client, [fact], [])
  say(context, invite, {
    ...{ rootHash: author.key.rootHash, fleet: fleet.root.name, invite: fact.id, seed },
    ...ticketTerms(invite),
    peers,
  })
  if (!flagOption(input.options, 'wait')) {
    context.out.note('next: nixfleet requests list, then nixfleet approve')
    return EXIT_OK
  }
  return await approveWhileAsked(context, input, { client, invite: fact.id, body: invite })
}

/** Without a peer, where the fleet has none yet: the invite lies beside the root that it is for. */
function offline(
  context: Context,
  input: CommandInput,
  { seed, key }: { seed: Uint8Array; key: string },
): number {
  const trust = resolve(context.cwd, textOption(input.options, 'trust') ?? '')
  const [path] = listOption(input.options, 'admin-key')
  if (path === undefined) throw usage('expected --admin-key with a file, found none')
  if (flagOption(input.options, 'wait')) throw usage('--wait needs a peer: leave --trust out')
  const admin = readKeyFile([resolve(context.cwd, path)], 'admin')
  const { value: root } = openFirstRoot(
    new Uint8Array(readFileSync(join(trust, 'root.cbor'))),
    admin.rootHash,
  )
  if (!root.admins.includes(admin.key.publicKey))
    throw new CliError('NF-1203', `${admin.path} is no admin key of this fleet`)
  const invite = inviteOf(context, input, { group: root.groups[0] ?? '', key })
  if (invite.role !== 'host')
    throw usage('the first group is made of hosts: invite operators once a host runs')
  const draft = { session: toHex(context.random(16)), seq: 0, prev: NO_FACT, epoch: 1 }
  const fact = sealFact(
    { ...draft, type: 'invite.open', body: invite, ts: context.now() },
    { fleet: admin.rootHash.slice(0, 32), key: admin.key },
  )
  writeNew(join(trust, inviteFileName(fact.id)), inviteText(fact), 0o644)
  say(context, invite, {
    ...{ rootHash: admin.rootHash, fleet: root.name, invite: fact.id, seed },
    ...ticketTerms(invite),
    peers: [],
  })
  context.out.note('next, on each host: nixfleet enroll TICKET --request-out FILE')
  return EXIT_OK
}

function ticketTerms({ role, name, notAfter }: Invite): Pick<Ticket, 'kind' | 'name' | 'notAfter'> {
  const kind = role === 'host' ? 'host' : 'operator'
  return { kind, notAfter, ...(name === undefined ? {} : { name }) }
}

function say({ out }: Context, invite: Invite, ticket: Ticket): void {
  const text = formatTicket(ticket)
  const { role, uses, notAfter } = invite
  if (out.human) out.line(text)
  else {
    const body = { ticket: text, invite: ticket.invite, role, uses, notAfter }
    out.document(cliDocument('Invite', { ...body, peers: ticket.peers.length }))
  }
  out.note(
    `invite ${ticket.invite.slice(0, 12)}: ${plural(uses, 'use')} as ${role}, until ${timeText(notAfter)}; the ticket is shown this once`,
  )
}

/** Peers who are there now, voters first: the newcomer tries one after the other. */
async function peersOf(client: Client, fleet: VerifiedFleet): Promise<readonly TicketPeer[]> {
  const rows = (await client.all<PeerRow>('/api/v1/peers')).items
    .filter(({ state }) => state !== 'disconnected')
    .sort((a, b) => Number(b.voter) - Number(a.voter))
  const found = rows.flatMap(({ name }): TicketPeer[] => {
    const host = fleet.config.hosts.find((one) => one.name === name)
    const address = host?.addresses[0]
    return host === undefined || address === undefined ? [] : [{ address, key: host.transport }]
  })
  if (found.length > 0) return found.slice(0, TICKET_PEERS_MAX)
  throw new CliError('NF-1005', 'no peer that is there has an address in the configuration', {
    why: ['a ticket names where to ask'],
    fix: [
      'let the newcomer ask with a file: nixfleet invite --trust DIR, enroll --request-out FILE',
    ],
  })
}
