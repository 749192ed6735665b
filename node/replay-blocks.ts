/**
 * The gate log of a replay: block by block, each judged again over its own basis and proven by a
 * certificate of its epoch's voters (SPEC §7.3, §7.4, §7.7).
 */
import {
  type Block,
  type BlockId,
  type Certificate,
  type Command,
  ED25519,
  type GateMessage,
  openGateMessage,
} from '../protocol/index.ts'
import {
  type Bodies,
  EMPTY_VIEW,
  type FleetView,
  type GateState,
  gateRules,
  genesisState,
  openEpoch,
  recoverEpoch,
  type Trust,
  trustAt,
} from '../rollout/index.ts'
import { decodeGateMessage } from './gate-wire.ts'
import type { HeldFacts } from './replay-facts.ts'
import type { ReplayFinding, ReplaySource, StoredBlock } from './replay-source.ts'

/** What blocks are applied with. `trust` is that of the first epoch. */
interface Ground {
  readonly trust: Trust
  readonly bodies: Bodies
  readonly held: HeldFacts
}

/** The log as far as it applies. */
interface ReplayedLog {
  readonly state: GateState
  readonly blocks: number
  readonly commands: readonly Command[]
}

/** Nobody's clock: what only time decides neither holds nor fails. */
const TIMELESS = { now: 0, wallMs: 0, times: new Map(), timeless: true, granted: () => false }

/** Applies the blocks of `source` in order, up to the first that cannot be. */
export async function replayBlocks(
  source: ReplaySource,
  ground: Ground,
  report: (finding: ReplayFinding) => void,
): Promise<ReplayedLog> {
  const { trust } = ground
  const proofs = new Proofs(source, report)
  const commands: Command[] = []
  let state = genesisState(trust.genesis, trust.root.version)
  let blocks = 0
  try {
    for await (const stored of source.blocks()) {
      const before = entered(state, parentOf(stored, trust), ground)
      const at = trustAt(trust, before)
      const block = open(stored.block, at, stored.where)
      if (block.kind !== 'block') throw new Error(`expected a block, found a ${block.kind}`)
      const next = applied(block.block, before, ground)
      judged(block.block, { before, next, ground, where: stored.where }, report)
      await proofs.take(block.block, stored, at)
      commands.push(...block.block.body.commands)
      blocks++
      state = openEpoch(next)
    }
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NodeError') throw error
    const where = `block ${blocks}`
    report({ code: 'BLOCK', where, text: `${error.message}; nothing from here on counts` })
  }
  await proofs.settle()
  return { state, blocks, commands }
}

function open(bytes: Uint8Array, trust: Trust, whose: string): GateMessage {
  return decodeGateMessage(bytes, { trust, whose, signer: trust.signer ?? ED25519 })
}

function parentOf({ block, where }: StoredBlock, { fleet, signer = ED25519 }: Trust): BlockId {
  const message = openGateMessage(block.subarray(1), { fleet, whose: where, signer })
  return message.kind === 'block' ? message.block.body.parent : ''
}

/** A recovery is no block: the first one after it stands on the hash of its configuration. */
function entered(state: GateState, parent: BlockId, { trust, bodies, held }: Ground): GateState {
  if (parent === state.head) return state
  for (const fact of held.facts) {
    if (fact.type !== 'group.config') continue
    const document = fact.body.config
    const signed = bodies.config(document)
    if (signed === undefined || signed.hash !== parent) continue
    const { value: config, hash: genesis } = signed
    if (config.group !== trust.config.group || config.epoch !== state.epoch + 1) continue
    if (config.recover?.head !== state.head || config.recover.slot !== state.slot) continue
    return recoverEpoch(state, { config, genesis, document })
  }
  throw new Error(`expected a block on ${state.head}, found one on ${parent}`)
}

function rulesOver(view: FleetView, { trust, bodies, held }: Ground) {
  return gateRules({
    ...{ trust, view, bodies, local: TIMELESS },
    factAt: (feed, seq, id) => held.at(feed, seq, id),
  })
}

function applied(block: Block, before: GateState, ground: Ground): GateState {
  const { view, epoch } = block.body
  if (view <= before.view) throw new Error(`expected a view above ${before.view}, found ${view}`)
  const next = rulesOver(EMPTY_VIEW, ground).apply(block, before)
  if (next !== undefined) return next
  const why = judgement(block, before, ground, EMPTY_VIEW)
  throw new Error(`view ${view} of epoch ${epoch} does not apply: ${why ?? 'facts are missing'}`)
}

function judgement(block: Block, before: GateState, ground: Ground, view: FleetView) {
  const judged = rulesOver(view, ground).judge(block, before)
  return judged.kind === 'valid' ? undefined : judged.why
}

/**
 * A quorum voted for the block, so that a clock may have said what none says here: `wait` is no
 * finding. That its own basis refuses a command is.
 */
function judged(
  block: Block,
  at: { before: GateState; next: GateState; ground: Ground; where: string },
  report: (finding: ReplayFinding) => void,
): void {
  const { before, next, ground, where } = at
  const judgement = rulesOver(next.evidence, ground).judge(block, before)
  if (judgement.kind !== 'invalid') return
  report({ code: 'RULE', where, text: `its own basis refuses it: ${judgement.why}` })
}

/** Certificates, and the later blocks that some of them are of. */
class Proofs {
  readonly #source: ReplaySource
  readonly #report: (finding: ReplayFinding) => void
  /** Blocks of this epoch whose certificate is of one that has not come yet, by that one's id. */
  readonly #promised = new Map<BlockId, string>()
  #last: { readonly block: Block; readonly trust: Trust } | undefined

  constructor(source: ReplaySource, report: (finding: ReplayFinding) => void) {
    this.#source = source
    this.#report = report
  }

  async take(block: Block, { certificate, where }: StoredBlock, trust: Trust): Promise<void> {
    if (this.#last?.block.body.epoch !== block.body.epoch) await this.settle()
    this.#last = { block, trust }
    try {
      const message = open(certificate, trust, `the certificate of ${where}`)
      if (message.kind !== 'certificate')
        throw new Error(`expected a certificate, found a ${message.kind}`)
      assertProves(message.certificate, block)
      const { block: proven = '' } = message.certificate.body
      if (proven !== block.id && !this.#promised.has(proven)) this.#promised.set(proven, where)
    } catch (error) {
      this.#report({ code: 'CERTIFICATE', where, text: messageOf(error) })
    }
    this.#promised.delete(block.id)
  }

  /** At the end of an epoch: certificates may be of empty blocks above its last one. */
  async settle(): Promise<void> {
    const last = this.#last
    if (last === undefined || this.#promised.size === 0) return
    const parents = await this.#loose(last)
    for (const [proven, where] of this.#promised) {
      let at: BlockId | undefined = proven
      while (at !== undefined && at !== last.block.id) at = parents.get(at)
      if (at !== undefined) continue
      const text = `expected the block ${proven.slice(0, 16)}… that its certificate is of among those that follow, found none`
      this.#report({ code: 'CERTIFICATE', where, text })
    }
    this.#promised.clear()
  }

  async #loose({ block, trust }: { block: Block; trust: Trust }): Promise<Map<BlockId, BlockId>> {
    const parents = new Map<BlockId, BlockId>()
    for (const bytes of await this.#source.loose(block.body.epoch)) {
      const message = open(bytes, trust, `a block beside the log`)
      if (message.kind === 'block') parents.set(message.block.id, message.block.body.parent)
    }
    return parents
  }
}

function assertProves({ kind, body }: Certificate, block: Block): void {
  const sameView = body.view === block.body.view
  const fits = body.view >= block.body.view && sameView === (body.block === block.id)
  if (kind === 'final' && fits) return
  throw new Error(
    `expected a final certificate of it or of a later block, found ${kind} of ${body.block?.slice(0, 16)}… in view ${body.view}`,
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
