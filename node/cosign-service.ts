/**
 * The gate log as a tree: this node's checkpoints of it, its own cosignatures, and those of others.
 *
 * After each anchor and each close a voter signs what it committed and asks the others for theirs;
 * everybody else fetches what they made. Nothing that decides waits for any of this.
 */
import {
  BATCH_BYTES_MAX,
  type Block,
  CHECKPOINTS_PER_ANSWER_MAX,
  checkpointText,
  cosign,
  cosignedAt,
  decodeWitnessAnswer,
  decodeWitnessQuestion,
  encodeWitnessAnswer,
  encodeWitnessQuestion,
  entryOf,
  equalBytes,
  formatNote,
  gateOrigin,
  type HostName,
  leafHash,
  MerkleTree,
  openCheckpoint,
  parseCheckpoint,
  type SignedNote,
  type WitnessAnswer,
  type WitnessQuestion,
} from '../protocol/index.ts'
import {
  callsForCheckpoint,
  configsOf,
  cosignersOf,
  hostNamed,
  judgeCheckpoint,
  NOTHING_SIGNED,
  standingOf,
  type WitnessMemory,
} from '../rollout/index.ts'
import { CheckpointStore } from './checkpoint-store.ts'
import { ASK_MS_MAX, COSIGN_AGAIN_MS } from './limits.ts'
import type { Runtime } from './runtime.ts'

export class CosignService {
  readonly #node: Runtime
  readonly #store: CheckpointStore
  readonly #origin: string
  readonly #tree = new MerkleTree()
  /** The newest size that calls for a checkpoint, and the newest that stands. */
  #due = 0
  #standing = 0
  #memory: WitnessMemory = NOTHING_SIGNED
  /** The note of the due size: what the others are asked to sign too. */
  #note: SignedNote | undefined
  #splits = 0
  /** The size from which on blocks are of an epoch, the first first. */
  readonly #begins: { readonly size: number; readonly epoch: number }[] = []
  /** When each voter was last asked, in bootMs. */
  readonly #asked = new Map<HostName, number>()

  constructor(node: Runtime) {
    this.#node = node
    const { trust, store } = node.parts
    this.#store = new CheckpointStore(store, trust.config.group)
    this.#origin = gateOrigin(trust.fleet, trust.config.group)
  }

  /** Sizes of the log here, of its newest checkpoint that stands, and of the newest that is due. */
  get sizes(): { readonly log: number; readonly standing: number; readonly due: number } {
    return { log: this.#tree.size, standing: this.#standing, due: this.#due }
  }

  /** How many notes contradict this node's log. */
  get splits(): number {
    return this.#splits
  }

  /** Checkpoints of more than `above` leaves. */
  notes(above: number): ReturnType<CheckpointStore['notes']> {
    return this.#store.notes(above)
  }

  /** The next block of the log, also while it is read from the disk. */
  committed(block: Block): void {
    const { entry } = entryOf(block.bytes, 'gate.propose', this.#node.parts.trust.fleet)
    this.#tree.append(leafHash(entry))
    const { epoch } = block.body
    if (this.#begins.at(-1)?.epoch !== epoch) this.#begins.push({ size: this.#tree.size, epoch })
    if (!callsForCheckpoint(block.body)) return
    this.#due = this.#tree.size
    this.#note = undefined
  }

  /** Reads what was signed and collected before. The gate log must be loaded. */
  async load(): Promise<void> {
    this.#memory = await this.#store.memory()
    this.#splits = (await this.#store.splits()).length
    for await (const { size, note } of this.#store.notes(0)) {
      if (size > this.#tree.size) break
      if (this.#stands(note, size)) this.#standing = size
    }
    if (this.#due > 0) this.#note = await this.#store.note(this.#due)
  }

  /** Something was committed, or some time has passed. In the mailbox. */
  async changed(): Promise<void> {
    if (this.#due === 0 || !this.#isVoter || this.#node.gate.silent) return
    if (this.#due > this.#memory.size) await this.#signOwn()
    if (this.#note === undefined) return
    for (const { host } of this.#missing(this.#note)) this.#collect(host)
  }

  /** A peer came up, or its turn has come: it may hold checkpoints that are missing here. */
  met(peer: HostName): void {
    this.#ask(peer, { kind: 'checkpoints', above: this.#standing })
  }

  /** Answers a peer. In the mailbox. */
  async answer(source: Uint8Array, from: string): Promise<Uint8Array> {
    const question = decodeWitnessQuestion(source, `a question about checkpoints from ${from}`)
    if (question.kind === 'cosign') {
      const waits = this.#node.gate.silent
      const answer = waits ? { kind: 'behind' as const, size: 0 } : await this.#sign(question)
      return encodeWitnessAnswer(answer)
    }
    const notes: string[] = []
    let bytes = 0
    for await (const { note } of this.#store.notes(question.above)) {
      const text = formatNote(note)
      bytes += text.length
      if (notes.length === CHECKPOINTS_PER_ANSWER_MAX || bytes > BATCH_BYTES_MAX) break
      notes.push(text)
    }
    return encodeWitnessAnswer({ kind: 'checkpoints', notes })
  }

  get #isVoter(): boolean {
    const { trust, name } = this.#node.parts
    return trust.config.voters.includes(name)
  }

  async #signOwn(): Promise<void> {
    const { size: from } = this.#memory
    if (from > this.#tree.size) return
    const proof = this.#tree.consistency(from, this.#due)
    const answer = await this.#sign({
      kind: 'cosign',
      checkpoint: this.#textAt(this.#due),
      from,
      proof,
    })
    if (answer.kind === 'cosigned') return
    const why = answer.kind === 'refused' ? answer.why : answer.kind
    this.#node.parts.log.error({ size: this.#due, why }, 'this voter does not cosign its own log')
  }

  /** Judge, remember with fsync, and only then sign. */
  async #sign(asked: WitnessQuestion & { kind: 'cosign' }): Promise<WitnessAnswer> {
    const { trust, keys, clock, name } = this.#node.parts
    const host = hostNamed(trust, name)
    const cosigner = cosignersOf(trust.fleet, trust.config).find((one) => one.host === host?.name)
    if (cosigner === undefined) return { kind: 'refused', why: `${name} is no voter` }
    const checkpoint = parseCheckpoint(asked.checkpoint, 'an asker')
    const { size } = checkpoint
    const ruling = judgeCheckpoint({
      ...{ memory: this.#memory, origin: this.#origin, asked: checkpoint },
      ...{ from: asked.from, proof: asked.proof },
      ownRoot: size <= this.#tree.size ? this.#tree.root(size) : undefined,
      nowS: Math.floor(clock.wallMs() / 1000),
    })
    if (ruling.kind === 'behind') return { kind: 'behind', size: this.#tree.size }
    if (ruling.kind !== 'sign') return ruling
    await this.#store.remember(ruling.memory)
    this.#memory = ruling.memory
    const { signer } = this.#node
    const { timeS } = ruling.memory
    const text = asked.checkpoint
    const line = cosign({ text, key: keys.cosign, cosigner: cosigner.key, timeS, signer })
    const note = { text, signatures: [line] }
    await this.#take(note)
    return { kind: 'cosigned', note: formatNote(note) }
  }

  #textAt(size: number): string {
    return checkpointText({ origin: this.#origin, size, root: this.#tree.root(size) })
  }

  /** Voters that have not cosigned the note. */
  #missing(note: SignedNote): readonly { readonly host: HostName }[] {
    const { trust } = this.#node.parts
    return cosignersOf(trust.fleet, trust.config).filter(
      ({ key }) => !note.signatures.some((one) => one.name === key.name),
    )
  }

  /** A quorum of the epoch of the last block, or of a later one, whose voters hold that block as well. */
  #stands(note: SignedNote, size: number): boolean {
    const { trust } = this.#node.parts
    const epoch = this.#begins.findLast((one) => one.size <= size)?.epoch ?? 1
    return configsOf(trust)
      .filter((config) => config.epoch >= epoch)
      .some(
        (config) =>
          standingOf(note, { fleet: trust.fleet, config, signer: this.#node.signer }).stands,
      )
  }

  /** Asks a voter for its cosignature on the due checkpoint, seldom enough not to be a nuisance. */
  #collect(peer: HostName): void {
    const { clock, network, name } = this.#node.parts
    const now = clock.bootMs()
    const before = this.#asked.get(peer) ?? Number.NEGATIVE_INFINITY
    if (peer === name || now - before < COSIGN_AGAIN_MS || !network.peers().includes(peer)) return
    this.#asked.set(peer, now)
    this.#askFrom(peer, 0, this.#due)
  }

  #askFrom(peer: HostName, from: number, size: number): void {
    const proof = this.#tree.consistency(from, size)
    this.#ask(peer, { kind: 'cosign', checkpoint: this.#textAt(size), from, proof })
  }

  #ask(peer: HostName, question: WitnessQuestion): void {
    const { network, log } = this.#node.parts
    network.ask(peer, 'cosign', encodeWitnessQuestion(question), ASK_MS_MAX).then(
      (bytes) => this.#node.post(() => this.#heard(bytes, peer, question)),
      (error: unknown) => log.debug({ peer, error: String(error) }, 'no answer about checkpoints'),
    )
  }

  async #heard(bytes: Uint8Array, peer: HostName, question: WitnessQuestion): Promise<void> {
    const answer = decodeWitnessAnswer(bytes, `an answer about checkpoints from ${peer}`)
    switch (answer.kind) {
      case 'cosigned':
        return await this.#takeText(answer.note, peer)
      case 'checkpoints':
        for (const note of answer.notes) await this.#takeText(note, peer)
        return
      case 'conflict':
        // It signed a smaller tree last: prove the new one from there, once; a liar could go on for ever.
        if (question.kind !== 'cosign' || question.from > 0) return
        if (answer.size <= this.#due) this.#askFrom(peer, answer.size, this.#due)
        return
      case 'refused':
        return this.#node.parts.log.warn({ peer, why: answer.why }, 'a voter does not cosign')
      case 'behind':
        return
    }
  }

  async #takeText(text: string, peer: HostName): Promise<void> {
    await this.#take(openCheckpoint(text, `a checkpoint from ${peer}`).note)
  }

  /** Keeps the lines of known voters that verify, if the root is that of this node's own log. */
  async #take(note: SignedNote): Promise<void> {
    const { origin, size, root } = parseCheckpoint(note.text, 'a checkpoint')
    if (origin !== this.#origin || size < 1) return
    const { trust, name } = this.#node.parts
    // Whoever voted in any epoch: an old checkpoint is signed by voters of its time.
    const known = configsOf(trust).flatMap((config) => cosignersOf(trust.fleet, config))
    const good = note.signatures.filter((line) =>
      known.some(
        ({ key }) =>
          key.name === line.name &&
          cosignedAt({ ...note, signatures: [line] }, key, this.#node.signer) !== undefined,
      ),
    )
    const own = known.find(({ host }) => host === name)?.key.name
    if (good.some((line) => line.name === own)) await this.#recall(note, { size, root })
    if (good.length === 0 || size > this.#tree.size) return
    if (!equalBytes(root, this.#tree.root(size))) return await this.#accuse(note, good[0]?.name)
    await this.#merge(size, { text: note.text, signatures: good })
  }

  /** What this voter signed before its disk was lost or went back, as others kept it. */
  async #recall(
    note: SignedNote,
    { size, root }: Pick<WitnessMemory, 'size' | 'root'>,
  ): Promise<void> {
    if (size <= this.#memory.size) return
    const { trust, name } = this.#node.parts
    const key = cosignersOf(trust.fleet, trust.config).find(({ host }) => host === name)?.key
    const timeS = key && cosignedAt(note, key, this.#node.signer)
    const memory = { size, root, timeS: Math.max(timeS ?? 0, this.#memory.timeS) }
    await this.#store.remember(memory)
    this.#memory = memory
  }

  async #merge(size: number, { text, signatures }: SignedNote): Promise<void> {
    const held = (await this.#store.note(size))?.signatures ?? []
    const names = new Set(held.map((line) => line.name))
    const fresh = signatures.filter(({ name }) => !names.has(name) && names.add(name))
    if (fresh.length === 0) return
    const note = { text, signatures: [...held, ...fresh] }
    await this.#store.keep(size, note)
    if (size === this.#due) this.#note = note
    if (size > this.#standing && this.#stands(note, size)) this.#standing = size
  }

  async #accuse(note: SignedNote, by: string | undefined): Promise<void> {
    await this.#store.keepSplit(note)
    this.#splits = (await this.#store.splits()).length
    this.#node.parts.log.error(
      { by, text: note.text },
      'a voter cosigned another log than this one',
    )
  }
}
