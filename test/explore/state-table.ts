/**
 * Every state that was seen, in the order in which it was: a set of small tuples in flat arrays.
 *
 * A state is kept whole, 21 bits for each local state, three of them in two words. The hash only says
 * where to look and never stands for a state, so that no two states are ever taken for one. A state of
 * three actors takes 12 bytes, and about 8 more in the index.
 */

/** Ids of local states are smaller. */
export const LOCAL_IDS_MAX: number = 2 ** 21

const PAGE_STATES = 2 ** 16
/** An index that grows is copied: many small ones need little room for that. */
const SHARDS = 256
const SHARD_SLOTS_MIN = 64
/** An open index this full is still searched in a few looks. */
const LOAD_MAX = 0.7

export class StateTable {
  readonly #width: number
  readonly #words: number
  readonly #pages: Uint32Array[] = []
  readonly #parents: Uint32Array[] = []
  readonly #shards: Uint32Array[] = []
  readonly #counts = new Uint32Array(SHARDS)
  readonly #packed: Uint32Array
  #size = 0

  /** `width`: actors, and so ids, of each state. */
  constructor(width: number) {
    this.#width = width
    this.#words = 2 * Math.floor(width / 3) + (width % 3)
    this.#packed = new Uint32Array(this.#words)
    for (let i = 0; i < SHARDS; i++) this.#shards.push(new Uint32Array(SHARD_SLOTS_MIN))
  }

  get size(): number {
    return this.#size
  }

  /** Takes a state in that was reached from the one with number `parent`; false if it was there. */
  add(ids: readonly number[], parent: number): boolean {
    this.#pack(ids)
    const hash = this.#hash(this.#packed, 0)
    const shard = hash % SHARDS
    const slots = this.#shards[shard] ?? new Uint32Array()
    const slot = this.#slotOf(slots, hash)
    if (slots[slot] !== 0) return false
    slots[slot] = this.#append(parent)
    const count = (this.#counts[shard] ?? 0) + 1
    this.#counts[shard] = count
    if (count > slots.length * LOAD_MAX) this.#shards[shard] = this.#grown(slots)
    return true
  }

  /** The ids of state `at`. */
  read(at: number): number[] {
    const page = this.#page(at)
    const base = (at % PAGE_STATES) * this.#words
    const ids: number[] = []
    for (let i = 0; ids.length < this.#width; i += 2) {
      const low = page[base + i] ?? 0
      ids.push(low % LOCAL_IDS_MAX)
      if (ids.length === this.#width) break
      const high = page[base + i + 1] ?? 0
      ids.push((low >>> 21) + (high & 0x3ff) * 2048)
      if (ids.length < this.#width) ids.push(high >>> 10)
    }
    return ids
  }

  /** Number of the state from which `at` was reached first; the first state is its own. */
  parentOf(at: number): number {
    return this.#parents[Math.floor(at / PAGE_STATES)]?.[at % PAGE_STATES] ?? 0
  }

  #pack(ids: readonly number[]): void {
    for (let i = 0, word = 0; i < this.#width; i += 3, word += 2) {
      const second = ids[i + 1] ?? 0
      this.#packed[word] = (ids[i] ?? 0) + (second % 2048) * LOCAL_IDS_MAX
      this.#packed[word + 1] = Math.floor(second / 2048) + (ids[i + 2] ?? 0) * 1024
    }
  }

  #append(parent: number): number {
    const at = this.#size++
    const place = at % PAGE_STATES
    if (place === 0) {
      this.#pages.push(new Uint32Array(PAGE_STATES * this.#words))
      this.#parents.push(new Uint32Array(PAGE_STATES))
    }
    this.#page(at).set(this.#packed, place * this.#words)
    const parents = this.#parents[Math.floor(at / PAGE_STATES)]
    if (parents !== undefined) parents[place] = parent
    return this.#size
  }

  /** Where the packed state stands, or would stand. A slot holds the number of a state plus one. */
  #slotOf(slots: Uint32Array, hash: number): number {
    const mask = slots.length - 1
    let slot = (hash >>> 8) & mask
    for (let held = slots[slot] ?? 0; held !== 0; held = slots[slot] ?? 0) {
      if (this.#isPacked(held - 1)) return slot
      slot = (slot + 1) & mask
    }
    return slot
  }

  #isPacked(at: number): boolean {
    const page = this.#page(at)
    const base = (at % PAGE_STATES) * this.#words
    for (let i = 0; i < this.#words; i++) if (page[base + i] !== this.#packed[i]) return false
    return true
  }

  #grown(slots: Uint32Array): Uint32Array {
    const wider = new Uint32Array(slots.length * 2)
    const mask = wider.length - 1
    for (const held of slots) {
      if (held === 0) continue
      const at = held - 1
      const hash = this.#hash(this.#page(at), (at % PAGE_STATES) * this.#words)
      let slot = (hash >>> 8) & mask
      while (wider[slot] !== 0) slot = (slot + 1) & mask
      wider[slot] = held
    }
    return wider
  }

  #page(at: number): Uint32Array {
    const page = this.#pages[Math.floor(at / PAGE_STATES)]
    if (page === undefined) throw new RangeError(`no state ${at}`)
    return page
  }

  /** Every bit of every word moves every bit: ids of neighbours differ in few. */
  #hash(words: Uint32Array, base: number): number {
    let hash = 0x9e3779b9
    for (let i = 0; i < this.#words; i++) {
      hash = Math.imul(hash ^ (words[base + i] ?? 0), 0x85ebca6b)
      hash ^= hash >>> 13
      hash = Math.imul(hash, 0xc2b2ae35)
      hash ^= hash >>> 16
    }
    return hash >>> 0
  }
}
