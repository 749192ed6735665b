/**
 * Letting in whoever asked: hosts by the next configuration, operators by the next root, each signed by
 * as many admins as ever. What a peer says of a request is checked here again before anybody signs.
 */
import type { InviteRow, RequestRow } from '../../node/index.ts'
import { fromBase64, type Invite, toHex } from '../../protocol/index.ts'
import type { Client } from '../client.ts'
import type { Context } from '../context.ts'
import { CliError } from '../errors.ts'
import { EXIT_INTERRUPTED, EXIT_OK } from '../exit-codes.ts'
import { authorOf, publish, type VerifiedFleet, verifyFleet } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { reconfigure } from '../reconfigure.ts'
import type { CommandInput } from '../registry.ts'
import { adminKeys, changeRoot } from '../root-change.ts'
import { plural } from '../words.ts'
import { openInvite, openRequest } from './request-file.ts'
import { assertWithinUses, describeRequest, type Verified, verified } from './verify.ts'

/** Between two looks whether somebody asked. */
const LOOK_MS = 1_000

/** Every invite and request that the peer knows. */
export interface Asked {
  readonly invites: readonly InviteRow[]
  readonly requests: readonly RequestRow[]
}

export async function readAsked(client: Client): Promise<Asked> {
  const { items: invites } = await client.all<InviteRow>('/api/v1/invites')
  const { items: requests } = await client.all<RequestRow>('/api/v1/requests')
  return { invites, requests }
}

/** A row's request, verified under its invite. Throws NF-1310, NF-1307. */
export function verifyRow(
  row: RequestRow,
  { invites }: Asked,
  fleet: VerifiedFleet,
  now: number,
): Verified {
  const whose = `request ${row.id.slice(0, 12)}`
  const invite = invites.find(({ id }) => id === row.invite)
  if (invite === undefined)
    throw new CliError('NF-1310', `${whose} names an invite that is not shown`)
  const request = openRequest(fromBase64(row.request), fleet.fleet, whose)
  const fact = openInvite(fromBase64(invite.fact), fleet.fleet, whose)
  const { root, config } = fleet
  return verified(request, fact, { root, fleet: fleet.fleet, group: config.group, now })
}

/** The requests that were let in before, as far as the fleet's own documents bear them out. */
export function letInBefore(asked: Asked, fleet: VerifiedFleet, now: number): readonly Verified[] {
  const { config, root } = fleet
  const keys = new Set([
    ...config.hosts.map((host) => host.fact),
    ...root.operators.map((one) => one.key),
  ])
  return asked.requests
    .filter(({ key }) => keys.has(key))
    .flatMap((row) => {
      try {
        return [verifyRow(row, asked, fleet, now)]
      } catch (error) {
        if (error instanceof CliError) return []
        throw error
      }
    })
}

/** Sends a request that came as a file, with the first admin's key. Throws NF-1203. */
export async function bringRequest(
  context: Context,
  input: CommandInput,
  { client, fleet, bytes }: { client: Client; fleet: VerifiedFleet; bytes: Uint8Array },
): Promise<void> {
  const [admin] = adminKeys(context, input)
  if (admin === undefined) throw new CliError('NF-1205', 'expected --admin-key, found none')
  const fact = authorOf(context, admin, fleet).seal('enroll.request', { request: toHex(bytes) })
  await publish(client, [fact], [])
}

/** Signs, announces and waits: hosts together in one configuration, operators together in one root. */
export async function admit(
  context: Context,
  input: CommandInput,
  chosen: readonly Verified[],
): Promise<void> {
  const hosts = chosen.flatMap(({ host }) => host ?? [])
  const grants = chosen.flatMap(({ grant }) => grant ?? [])
  const quiet = muted(context)
  if (hosts.length > 0) {
    const change = { remove: [], voters: undefined, faultModel: undefined, recover: false }
    await reconfigure(quiet, input, { ...change, add: hosts, byTicket: true })
  }
  if (grants.length === 0) return
  await changeRoot(quiet, withoutOut(input), (root) => {
    const names = grants.map(({ name }) => name)
    const taken = root.operators.find(({ name }) => names.includes(name))
    if (taken !== undefined)
      throw new CliError('NF-1307', `${taken.name} is an operator already: deny the request`)
    const operators = [...root.operators, ...grants]
    return { operators: operators.sort((a, b) => (a.name < b.name ? -1 : 1)) }
  })
}

/** Says who was let in, as people read it or as a document. */
export function sayAdmitted({ out }: Context, chosen: readonly Verified[]): void {
  if (out.human) {
    for (const one of chosen) out.line(`let in ${describeRequest(one)}`)
    return
  }
  const items = chosen.map(({ request, invite }) => {
    const { id, name, key } = request
    return { id, name, key, role: invite.body.role, invite: invite.id }
  })
  out.document(cliDocument('Approved', { items }))
}

/**
 * Approves each request that presents the ticket, until its uses are spent or its time is over. A request
 * that does not verify or does not fit is said, and left.
 */
export async function approveWhileAsked(
  context: Context,
  input: CommandInput,
  { client, invite, body }: { client: Client; invite: string; body: Invite },
): Promise<number> {
  const { out } = context
  const [first] = adminKeys(context, input)
  if (first === undefined)
    throw new CliError('NF-1205', '--wait signs for the admins: expected --admin-key, found none')
  out.note(`waiting for ${plural(body.uses, 'request')}; Ctrl-C leaves, the ticket stays good`)
  const until = Math.min(
    body.notAfter,
    context.settings.timeoutMs === undefined
      ? Number.POSITIVE_INFINITY
      : context.now() + context.settings.timeoutMs,
  )
  const left = new Set<string>()
  for (;;) {
    const asked = await readAsked(client)
    const mine = asked.requests.filter((row) => row.invite === invite)
    const waiting = mine.filter(({ id, state }) => state === 'pending' && !left.has(id))
    if (waiting.length > 0) {
      const fleet = await verifyFleet(client, first.rootHash)
      const chosen = waiting.flatMap((row) => verifiedOrSaid(context, row, asked, fleet, left))
      assertWithinUses(chosen, letInBefore(asked, fleet, context.now()))
      await admit(context, input, chosen)
      if (chosen.length > 0) sayAdmitted(context, chosen)
      continue
    }
    if (mine.filter(({ state }) => state === 'admitted').length >= body.uses) return EXIT_OK
    if (context.signal.aborted) return EXIT_INTERRUPTED
    if (context.now() > until) {
      out.note('nobody more asked in time; requests that come late are for nixfleet approve')
      return EXIT_OK
    }
    await context.sleep(LOOK_MS)
  }
}

function verifiedOrSaid(
  context: Context,
  row: RequestRow,
  asked: Asked,
  fleet: VerifiedFleet,
  left: Set<string>,
): Verified[] {
  try {
    return [verifyRow(row, asked, fleet, context.now())]
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    left.add(row.id)
    context.out.note(`left alone: ${error.message}`)
    return []
  }
}

/** The same world, with the words of the commands that this one is made of left out. */
function muted(context: Context): Context {
  const silent = (): void => undefined
  return { ...context, out: { ...context.out, line: silent, document: silent } }
}

/** --out is the hosts' trust folder here, not a root to sign. */
function withoutOut(input: CommandInput): CommandInput {
  const { out: _, ...options } = input.options
  return { ...input, options }
}
