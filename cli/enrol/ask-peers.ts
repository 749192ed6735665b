/**
 * Asking the peers of a ticket, until an admin has decided. Asking again is the same request, so that
 * nothing is lost by an end at any moment.
 */
import type { EnrolLink } from '../../node/index.ts'
import {
  decodeEnrollAnswer,
  type EnrollAnswer,
  type EnrollQuestion,
  type EnrollRefusal,
  type EnrollRequest,
  encodeEnrollQuestion,
  type Ticket,
  type TicketPeer,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { CliError, Interrupted } from '../errors.ts'

/** What somebody who was let in is given, as signed. */
export interface Documents {
  readonly roots: readonly Uint8Array[]
  /** Of epoch 1 and of the newest epoch that names the host; none for an operator. */
  readonly groups: readonly { readonly epoch: number; readonly bytes: Uint8Array }[]
}

/** One question; a document is 256 KiB at most. */
const ASK_MS = 10_000
/** Between two rounds over the peers: short at first, because whoever invited may be waiting. */
const PAUSE_MS_MIN = 500
const PAUSE_MS_MAX = 5_000
const PAUSE_GROWTH = 1.5
/** Rounds without an answer before an unasked request is given up: facts travel within seconds. */
const ROUNDS_MAX = 8
const PEERS_OFFER_ROUNDS = 3

type Standing = EnrollAnswer & { kind: 'standing' }

/** What one round over the peers brought. */
type Round =
  | { readonly kind: 'admitted'; readonly peer: TicketPeer; readonly standing: Standing }
  | { readonly kind: 'pending' }
  | { readonly kind: 'nothing'; readonly why: ReadonlyMap<string, string>; readonly known: boolean }

/**
 * The documents of a request that was admitted, or undefined where it waits and `wait` is false.
 * Throws the errors of a bad ticket (NF-1302 … NF-1308), NF-1101 where no peer answers, NF-1309 after
 * --timeout, Interrupted on Ctrl-C.
 */
export async function askPeers(
  context: Context,
  { ticket, request, wait }: { ticket: Ticket; request: EnrollRequest; wait: boolean },
): Promise<Documents | undefined> {
  const { openEnrolLink } = await import('../../node/index.ts')
  const link = await openEnrolLink(ticket.seed)
  const until = context.now() + (context.settings.timeoutMs ?? Number.POSITIVE_INFINITY)
  let told = false
  let pauseMs = PAUSE_MS_MIN
  try {
    for (let round = 1; ; round++) {
      const found = await askRound(link, ticket.peers, request)
      if (found.kind === 'admitted') return await fetchDocuments(link, found, request)
      if (found.kind === 'nothing') giveUp(found, round, told)
      else {
        if (!told) sayAsked(context, request, wait)
        told = true
        if (!wait) return undefined
      }
      assertPatient(context, request, until)
      await context.sleep(pauseMs)
      pauseMs = Math.min(PAUSE_MS_MAX, pauseMs * PAUSE_GROWTH)
    }
  } finally {
    await link.close()
  }
}

function sayAsked({ out }: Context, { name, key, id }: EnrollRequest, wait: boolean): void {
  out.note(`asked as ${name}, key ${key.slice(0, 16)}, request ${id.slice(0, 12)}`)
  if (wait) out.note('waiting for an admin: nixfleet approve')
}

function assertPatient(context: Context, { name }: EnrollRequest, until: number): void {
  if (context.signal.aborted) throw new Interrupted('the request stays; run this again to go on')
  if (context.now() > until) throw new CliError('NF-1309', `nobody has decided about ${name} yet`)
}

/** Asks one peer after the other, until one knows. Throws for a request that no peer will take. */
async function askRound(
  link: EnrolLink,
  peers: readonly TicketPeer[],
  request: EnrollRequest,
): Promise<Round> {
  const why = new Map<string, string>()
  let known = false
  for (const peer of peers) {
    const answer = await askOne(link, peer, { request: request.bytes })
    if (typeof answer === 'string') {
      why.set(peer.address, answer)
      continue
    }
    known = true
    if (answer.kind === 'standing') {
      if (answer.state === 'admitted') return { kind: 'admitted', peer, standing: answer }
      if (answer.state === 'pending') return { kind: 'pending' }
      throw notWaiting(request, answer)
    }
    if (answer.kind === 'refused' && PASSING.has(answer.code)) why.set(peer.address, answer.why)
    else throw refusalError(request, answer)
  }
  return { kind: 'nothing', why, known }
}

/** Another peer, or the same in a moment, may say otherwise. */
const PASSING: ReadonlySet<EnrollRefusal> = new Set(['busy', 'unknown-invite'])

/** The answer, or why there is none. */
async function askOne(
  link: EnrolLink,
  peer: TicketPeer,
  question: EnrollQuestion,
): Promise<EnrollAnswer | string> {
  try {
    return decodeEnrollAnswer(await link.ask(peer, encodeEnrollQuestion(question), ASK_MS))
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Whoever was asked before is patient: peers restart. */
function giveUp({ why, known }: Round & { kind: 'nothing' }, round: number, told: boolean): void {
  if (told || round < ROUNDS_MAX) return
  const reasons = [...why].map(([address, reason]) => `${address}: ${reason}`)
  const denied = [...why.values()].some((reason) => HUNG_UP.test(reason))
  if (known || denied)
    throw new CliError('NF-1306', 'no peer of the ticket knows it', { why: reasons })
  throw new CliError('NF-1101', 'no peer of the ticket could be reached', {
    why:
      reasons.length > 0 ? reasons : ['the ticket names none: nixfleet enroll --request-out FILE'],
    fix: ['check the line to these addresses, or ask with a file: --request-out FILE'],
  })
}

/** How a gater that does not let the key in looks from outside. */
const HUNG_UP = /ECONNRESET|EPIPE|UnexpectedEOF|unexpected end|closed|reset|abort/i

function notWaiting(request: EnrollRequest, { state, why }: Standing): CliError {
  const code = state === 'surplus' ? 'NF-1303' : state === 'late' ? 'NF-1302' : 'NF-1308'
  return new CliError(code, `the request of ${request.name} is ${state}: ${why}`)
}

const CODES: Readonly<Partial<Record<EnrollRefusal, string>>> = {
  'wrong-fleet': 'NF-1305',
  expired: 'NF-1302',
  'used-up': 'NF-1303',
  revoked: 'NF-1304',
  'wrong-role': 'NF-1307',
  'wrong-name': 'NF-1307',
  'name-taken': 'NF-1307',
  'key-used': 'NF-1307',
}

function refusalError(request: EnrollRequest, answer: EnrollAnswer): CliError {
  if (answer.kind !== 'refused')
    return new CliError('NF-1103', 'the peer answered something else than it was asked')
  return new CliError(
    CODES[answer.code] ?? 'NF-1310',
    `${request.name} is refused: ${answer.why}`,
    {
      why: [`the peer says: ${answer.code}`],
    },
  )
}

/** Every version of the root, and for a host its configurations, from the peer that knows of the admission. */
async function fetchDocuments(
  link: EnrolLink,
  { peer, standing }: Round & { kind: 'admitted' },
  request: EnrollRequest,
): Promise<Documents> {
  const fetch = async (kind: 'root' | 'group', number: number): Promise<Uint8Array> => {
    const question = { request: request.bytes, want: { kind, number } }
    for (let tries = 1; ; tries++) {
      const answer = await askOne(link, peer, question)
      if (typeof answer !== 'string' && answer.kind === 'document') return answer.document
      if (tries < PEERS_OFFER_ROUNDS) continue
      const found = typeof answer === 'string' ? answer : answer.kind
      throw new CliError('NF-1101', `${peer.address} did not give ${kind} ${number}`, {
        why: [found],
        fix: ['run this again: it goes on'],
      })
    }
  }
  const roots: Uint8Array[] = []
  for (let version = 1; version <= standing.roots; version++)
    roots.push(await fetch('root', version))
  const groups: Documents['groups'][number][] = []
  const epochs = standing.epoch === 0 ? [] : [...new Set([1, standing.epoch])]
  for (const epoch of epochs) groups.push({ epoch, bytes: await fetch('group', epoch) })
  return { roots, groups }
}
