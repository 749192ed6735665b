/**
 * Every block that a case may contain, and a number for every message that a voter can send.
 *
 * Blocks of the *puppet* views exist from the start: their leaders say anything, so there are rival
 * blocks on every parent. Blocks of other views come from the shipped reducer when its voter leads.
 */
import type { Block, BlockId, KeyId, VoteKind } from '../../protocol/index.ts'
import type { GateConfig } from '../../rollout/gate-machine.ts'
import { blockAt, GENESIS, request } from '../unit/rollout/gate-fakes.ts'

/** A ballot: what a vote says, without who says it. */
export interface Ballot {
  readonly kind: VoteKind
  readonly epoch: number
  readonly view: number
  readonly block?: BlockId | undefined
}

export class Catalogue {
  readonly #config: GateConfig
  /** View of the block that the first ones stand on. */
  readonly #originView: number
  readonly #blocks: Block[] = []
  readonly #blockNumbers = new Map<BlockId, number>()
  #given: readonly number[]
  readonly #ballots: Ballot[] = []
  readonly #ballotNumbers = new Map<string, number>()

  /** `rivals[v]` blocks on each parent in view v + 1; views beyond the list belong to honest leaders. */
  constructor(config: GateConfig, rivals: readonly number[], originView: number = 0) {
    this.#config = config
    this.#originView = originView
    let parents = [GENESIS]
    for (const [i, count] of rivals.entries()) {
      const fresh: BlockId[] = []
      for (const parent of parents) {
        for (let rival = 0; rival < count; rival++) fresh.push(this.#invent(i + 1, parent))
      }
      parents = [...parents, ...fresh]
    }
    this.#given = this.#blocks.map((_, i) => i)
  }

  get blocks(): readonly Block[] {
    return this.#blocks
  }

  /** Numbers of the blocks that were there from the start. */
  get puppetBlocks(): readonly number[] {
    return this.#given
  }

  get ballots(): readonly Ballot[] {
    return this.#ballots
  }

  /** A block that a puppet proposed, made elsewhere. */
  give(block: Block): void {
    this.#given = [...this.#given, this.numberOfBlock(block)]
  }

  numberOfBlock(block: Block): number {
    const known = this.#blockNumbers.get(block.id)
    if (known !== undefined) return known
    this.#blockNumbers.set(block.id, this.#blocks.length)
    this.#blocks.push(block)
    return this.#blocks.length - 1
  }

  numberOfBallot(ballot: Ballot): number {
    const text = `${ballot.kind}/${ballot.epoch}/${ballot.view}/${ballot.block ?? ''}`
    const known = this.#ballotNumbers.get(text)
    if (known !== undefined) return known
    this.#ballotNumbers.set(text, this.#ballots.length)
    this.#ballots.push(ballot)
    return this.#ballots.length - 1
  }

  block(number: number): Block {
    const block = this.#blocks[number]
    if (block === undefined) throw new Error(`no block ${number}`)
    return block
  }

  ballot(number: number): Ballot {
    const ballot = this.#ballots[number]
    if (ballot === undefined) throw new Error(`no ballot ${number}`)
    return ballot
  }

  blockOf(id: BlockId): Block {
    return this.block(this.#blockNumbers.get(id) ?? -1)
  }

  /** Whether it is one of these blocks, and not what they all stand on. */
  has(id: BlockId): boolean {
    return this.#blockNumbers.has(id)
  }

  viewOf(id: BlockId): number {
    return this.has(id) ? this.blockOf(id).body.view : this.#originView
  }

  /** `b0`, `b1` …, or `the log`. */
  nameOf(id: BlockId | undefined): string {
    const number = this.#blockNumbers.get(id ?? '')
    return number === undefined ? 'the log' : `b${number}`
  }

  /** Whether one of two blocks is the other or stands on it. */
  onOneChain(a: BlockId, b: BlockId): boolean {
    return this.isAncestor(b, a) || this.isAncestor(a, b)
  }

  /** Every block with its parent, for the head of a trace. */
  describe(): readonly string[] {
    return this.#blocks.map(
      ({ id, body }) => `${this.nameOf(id)}: view ${body.view} on ${this.nameOf(body.parent)}`,
    )
  }

  /** Whether `block` is `ancestor` or stands on it. */
  isAncestor(ancestor: BlockId, block: BlockId): boolean {
    for (let at = block; ; ) {
      if (at === ancestor) return true
      const number = this.#blockNumbers.get(at)
      if (number === undefined) return false
      at = this.block(number).body.parent
    }
  }

  /** A block with a request of its own, so that it is valid wherever it stands. */
  #invent(view: number, parent: BlockId): BlockId {
    const place = { view, parent, requests: [request(1 + this.#blocks.length)] }
    const block = blockAt(this.#config, place)
    this.numberOfBlock(block)
    return block.id
  }
}

/** The voter at a place of the config. */
export function voterAt(config: GateConfig, place: number): KeyId {
  const key = config.voters[place]
  if (key === undefined) throw new Error(`no voter ${place}`)
  return key
}
