/**
 * Answers holders of tickets (SPEC §16.3). A request that is taken is a fact of this host's feed before
 * the answer leaves; whether its author comes in, admins decide.
 */
import {
  decodeEnrollQuestion,
  type EnrollAnswer,
  type EnrollQuestion,
  type EnrollRefusal,
  type EnrollRequest,
  encodeEnrollAnswer,
  type KeyId,
  openEnroll,
  ProtocolError,
  toHex,
} from '../protocol/index.ts'
import { judgeEnroll, type RequestStanding, requestStanding } from '../rollout/index.ts'
import { type Bucket, takeToken } from './author-limits.ts'
import { ENROLLS_BURST_MAX, ENROLLS_PER_HOUR_MAX } from './limits.ts'
import { laterRoots } from './root-documents.ts'
import type { Runtime } from './runtime.ts'

const RULES = { perHour: ENROLLS_PER_HOUR_MAX, burst: ENROLLS_BURST_MAX }
/** What a refusal says in words fits a line. */
const WHY_CHARS_MAX = 200

export class EnrolDesk {
  readonly #node: Runtime
  readonly #buckets = new Map<KeyId, Bucket>()

  constructor(node: Runtime) {
    this.#node = node
  }

  /** The answer to one question over a connection that proved `ticket`. Never throws for what was asked. */
  async answer(bytes: Uint8Array, ticket: KeyId): Promise<Uint8Array> {
    const bucket = takeToken(this.#buckets.get(ticket), RULES, this.#node.parts.clock.bootMs())
    if (bucket === undefined || this.#node.overloaded)
      return encodeEnrollAnswer(refused('busy', 'this peer is asked too often: try again later'))
    this.#buckets.set(ticket, bucket)
    return encodeEnrollAnswer(await this.#answer(bytes, ticket))
  }

  async #answer(bytes: Uint8Array, ticket: KeyId): Promise<EnrollAnswer> {
    const { fleet } = this.#node.parts.trust
    const given = { fleet, whose: 'a request to be let in', signer: this.#node.signer }
    try {
      const question = decodeEnrollQuestion(bytes)
      const request = openEnroll(question.request, given)
      return await this.#node.run(() => this.#judged(question, request, ticket))
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const code = error.code === 'BAD_SIGNATURE' ? 'wrong-fleet' : 'malformed'
      return refused(code, error.message)
    }
  }

  /** Inside the mailbox: what is judged is what is taken. */
  async #judged(
    question: EnrollQuestion,
    request: EnrollRequest,
    ticket: KeyId,
  ): Promise<EnrollAnswer> {
    const { clock, log } = this.#node.parts
    const door = { ticket, wallMs: clock.wallMs() }
    const ruling = judgeEnroll(this.#node.knowledge(), request, door)
    if (ruling.kind === 'refuse') return refused(ruling.code, ruling.why)
    if (ruling.kind === 'known') return this.#told(question, ruling.standing)
    if (!this.#node.belonging.isMember || !this.#node.own.speaks)
      return refused('busy', 'this peer signs no facts now: ask another')
    await this.#node.author('enroll.request', { request: toHex(request.bytes) })
    log.info({ name: request.name, request: request.id }, 'somebody asks to be let in')
    const standing = requestStanding(this.#node.knowledge(), request.id)
    if (standing === undefined) throw new TypeError('a request that was taken is not known')
    return this.#told(question, standing)
  }

  #told({ want }: EnrollQuestion, { request, state, why }: RequestStanding): EnrollAnswer {
    const admitted = state === 'admitted'
    const epoch = admitted ? this.#epochOf(request) : 0
    if (want === undefined) {
      const roots = admitted ? this.#roots().length : 0
      return { kind: 'standing', state, roots, epoch, why: why.slice(0, WHY_CHARS_MAX) }
    }
    const mine = want.kind === 'root' || want.number === 1 || want.number === epoch
    const document = admitted && mine ? this.#document(want) : undefined
    if (document !== undefined) return { kind: 'document', document }
    return refused('not-admitted', `there is no ${want.kind} ${want.number} for this request`)
  }

  /** The newest epoch that names the host; 0 for an operator. */
  #epochOf({ host, name, key }: EnrollRequest): number {
    const { config, past = [] } = this.#node.parts.trust
    if (host === undefined) return 0
    const named = [...past, config].findLast(({ hosts }) =>
      hosts.some((one) => one.name === name && one.fact === key),
    )
    return named?.epoch ?? 0
  }

  #roots(): readonly Uint8Array[] {
    const { documents } = this.#node.parts
    return documents === undefined ? [] : [documents.root, ...laterRoots(this.#node)]
  }

  #document({ kind, number }: NonNullable<EnrollQuestion['want']>): Uint8Array | undefined {
    if (kind === 'root') return this.#roots()[number - 1]
    if (number === 1) return this.#node.parts.documents?.group
    const { state, bodies } = this.#node.knowledge()
    const begun = state.epochs.find(({ epoch }) => epoch === number)
    return begun === undefined ? undefined : bodies.config(begun.document)?.bytes
  }
}

function refused(code: EnrollRefusal, why: string): EnrollAnswer {
  const plain = why.replaceAll(/[^\x20-\x7e]+/g, ' ')
  return { kind: 'refused', code, why: plain.slice(0, WHY_CHARS_MAX) }
}
