/**
 * A host's system in memory, for fleets in virtual time only (D7). Nothing runs; what would happen is
 * scripted for each generation, and a Clock says when.
 *
 * The machine outlives the daemon: a simulator drops the system and its runtime, keeps the machine,
 * and opens a new system over it, as a restarted daemon finds its disk, its services and its deadman.
 */
import {
  concatBytes,
  type Hash,
  type HealthCheck,
  type ManifestPath,
  type StorePath,
  sha256,
  toHex,
  utf8,
} from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { DEADMAN_STEP_MS_MAX } from '../limits.ts'
import type {
  ActivationOutcome,
  Cancel,
  CheckOutcome,
  Clock,
  Deadman,
  DeadmanArming,
  DeadmanState,
  StageOutcome,
  StageSource,
  System,
} from '../ports.ts'
import { closureIn } from './portable-store.ts'

/** How a generation behaves. Everything left out goes well, and at once. */
export interface MemoryBehaviour {
  /** How long its switch takes. */
  readonly activateMs?: number | undefined
  /** Its switch ends with an error, or not at all. */
  readonly activation?: 'ok' | 'fails' | 'hangs' | undefined
  /** The deadman's switch to it does not end; the daemon's goes as `activation` says. */
  readonly wayBackHangs?: boolean | undefined
  /** When its own checks fail, counted from the end of its switch. */
  readonly insideBad?: Span | undefined
  /** When checks by its peers fail. */
  readonly outsideBad?: Span | undefined
  /** The host says that its checks are good whatever they are. Its peers see the truth. */
  readonly lies?: boolean | undefined
}

/** From `fromMs` on, until `untilMs` where given. */
export interface Span {
  readonly fromMs: number
  readonly untilMs?: number | undefined
}

/** What a machine starts with. */
export interface MemoryMachineOptions {
  readonly clock: Clock
  /** The generation that it runs and boots at first. It is held. */
  readonly initial: StorePath
  readonly kind?: System['kind'] | undefined
  /** Called again at every question, so that a test may change its mind. */
  readonly behaviour?: ((generation: StorePath) => MemoryBehaviour) | undefined
}

/** The bytes and the manifest entry of a generation whose contents are nothing but its name. */
export function memoryPath(path: StorePath): {
  readonly entry: ManifestPath
  readonly nar: Uint8Array
} {
  const nar = utf8(path)
  const narHash = toHex(sha256(nar))
  return { entry: { path, narHash, narSize: nar.length, references: [], signatures: [] }, nar }
}

/** Who switches. */
type Switcher = 'daemon' | 'deadman'

/** A machine: its disk, what runs on it, and its deadman. */
export class MemoryMachine {
  readonly kind: System['kind']
  readonly clock: Clock
  readonly deadman: MemoryDeadman
  readonly nars: Map<Hash, Uint8Array> = new Map()
  readonly held: Map<StorePath, readonly StorePath[]> = new Map()
  pinned: readonly StorePath[] = []
  running: StorePath
  bootDefault: StorePath
  boots = 1
  readonly #behaviour: (generation: StorePath) => MemoryBehaviour
  #runningSinceMs: number
  #switching: { readonly by: Switcher; readonly stop: (why: string) => void } | undefined

  constructor(options: MemoryMachineOptions) {
    this.clock = options.clock
    this.kind = options.kind ?? 'portable'
    this.#behaviour = options.behaviour ?? (() => ({}))
    this.running = options.initial
    this.bootDefault = options.initial
    this.held.set(options.initial, [])
    this.#runningSinceMs = this.clock.bootMs()
    this.deadman = new MemoryDeadman(this)
  }

  /** Power off and on: the boot default runs, and nothing that was under way is. */
  reboot(): void {
    this.#switching?.stop('the machine went down')
    this.boots++
    this.deadman.forgetTimer()
    this.#run(this.bootDefault)
  }

  /** Somebody switches by hand, past nixfleet. */
  drift(generation: StorePath): void {
    this.#run(generation)
  }

  /** Whether a check of the running generation is good at this moment, seen from there. */
  isWell(from: 'inside' | 'outside'): boolean {
    const behaviour = this.#behaviour(this.running)
    if (from === 'inside' && behaviour.lies) return true
    const span = from === 'inside' ? behaviour.insideBad : behaviour.outsideBad
    const age = this.clock.bootMs() - this.#runningSinceMs
    return !span || age < span.fromMs || (span.untilMs !== undefined && age >= span.untilMs)
  }

  /** Ends the daemon's switch, and no other. */
  endSwitch(): void {
    if (this.#switching?.by === 'daemon') this.#switching.stop('ended')
  }

  /** Ends the deadman's switch, and no other. */
  endWayBack(): void {
    if (this.#switching?.by === 'deadman') this.#switching.stop('ended')
  }

  /** A switch. A second one ends the first. */
  switchTo(
    generation: StorePath,
    timeoutMs: number,
    by: Switcher = 'daemon',
  ): Promise<ActivationOutcome> {
    this.#switching?.stop('ended by another activation')
    const { activation = 'ok', activateMs = 0, wayBackHangs = false } = this.#behaviour(generation)
    const hangs = activation === 'hangs' || (wayBackHangs && by === 'deadman')
    const late = hangs || activateMs > timeoutMs
    return new Promise((resolve) => {
      const end = (outcome: ActivationOutcome): void => {
        cancel()
        this.#switching = undefined
        if (outcome.ok) this.#run(generation)
        resolve(outcome)
      }
      const cancel: Cancel = this.clock.after(late ? timeoutMs : activateMs, () => {
        if (late) end({ ok: false, detail: `no end within ${timeoutMs} ms` })
        else if (activation === 'fails') end({ ok: false, detail: 'exit code 1' })
        else end({ ok: true, detail: 'exit code 0' })
      })
      this.#switching = { by, stop: (why) => end({ ok: false, detail: why }) }
    })
  }

  #run(generation: StorePath): void {
    this.running = generation
    this.#runningSinceMs = this.clock.bootMs()
  }
}

/**
 * The system of `machine`. `peers` finds the machine behind an address, for checks from outside;
 * nobody behind it is a check that fails.
 */
export function createMemorySystem(
  machine: MemoryMachine,
  peers: (address: string) => MemoryMachine | undefined,
): System {
  return {
    kind: machine.kind,
    deadman: machine.deadman,
    bootId: async () => `boot-${machine.boots}`,
    running: async () => machine.running,
    bootDefault: async () => machine.bootDefault,
    holds: async (generation) => holds(machine, generation),
    stage: (generation, source) => stage(machine, generation, source),
    activate: (generation, timeoutMs) => activate(machine, generation, timeoutMs),
    endActivation: async () => machine.endSwitch(),
    setBootDefault: async (generation) => setBootDefault(machine, generation),
    pin: async (generations) => {
      machine.pinned = [...new Set(generations)]
    },
    nar: async (hash, offset) => narOf(machine, hash, offset),
    heldNars: async (hashes) =>
      new Set(hashes.filter((hash) => narOf(machine, hash, 0) !== undefined)),
    check: async (check) => outcomeOf(check, machine.isWell('inside')),
    checkPeer: async (check, address) => {
      const insideOnly = check.kind === 'unit' || check.kind === 'command'
      return outcomeOf(check, !insideOnly && peers(address)?.isWell('outside') === true)
    },
  }
}

/** The deadman of one machine, on its clock. */
export class MemoryDeadman implements Deadman {
  readonly #machine: MemoryMachine
  #state: DeadmanState = { kind: 'idle' }
  #disarmed: string | undefined
  #cancel: Cancel | undefined

  constructor(machine: MemoryMachine) {
    this.#machine = machine
  }

  async arm(arming: DeadmanArming): Promise<void> {
    const state = this.#state
    if (state.kind === 'fired' ? !state.done : isAnother(state, arming.token)) throw busy(state)
    this.#set(arming)
  }

  async renew(arming: DeadmanArming): Promise<boolean> {
    if (this.#state.kind !== 'armed' || this.#state.token !== arming.token) return false
    this.#set(arming)
    return true
  }

  async disarm(token: string): Promise<boolean> {
    if (this.#state.kind === 'idle') return this.#disarmed === token
    if (this.#state.kind !== 'armed' || this.#state.token !== token) return false
    this.forgetTimer()
    this.#state = { kind: 'idle' }
    this.#disarmed = token
    return true
  }

  async state(): Promise<DeadmanState> {
    return this.#state
  }

  async end(): Promise<void> {
    const state = this.#state
    if (state.kind !== 'fired' || state.done) return
    this.#state = { ...state, done: true, ok: false }
    this.#machine.endWayBack()
  }

  /** `state`, for a simulator that looks at the machine between two events. */
  get now(): DeadmanState {
    return this.#state
  }

  /** The machine goes down. An armed deadman, or one half-way, counts as done: the boot is the way. */
  forgetTimer(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const state = this.#state
    if (state.kind === 'idle' || (state.kind === 'fired' && state.done)) return
    const ok = this.#machine.bootDefault === state.target
    this.#state = { kind: 'fired', token: state.token, target: state.target, done: true, ok }
  }

  #set({ token, target, afterMs }: DeadmanArming): void {
    this.#cancel?.()
    this.#state = { kind: 'armed', token, target }
    this.#cancel = this.#machine.clock.after(afterMs, () => void this.#fire(token, target))
  }

  async #fire(token: string, target: StorePath): Promise<void> {
    const firing: DeadmanState = { kind: 'fired', token, target, done: false, ok: false }
    this.#state = firing
    this.#machine.bootDefault = target
    const { ok } = await this.#machine.switchTo(target, DEADMAN_STEP_MS_MAX, 'deadman')
    if (this.#state === firing) this.#state = { ...firing, done: true, ok }
  }
}

function isAnother(state: DeadmanState, token: string): boolean {
  return state.kind === 'armed' && state.token !== token
}

function busy(state: DeadmanState): NodeError {
  const whose = state.kind === 'idle' ? 'nobody' : state.token
  const message = `expected no other deadman to be at work, found that of ${whose}`
  return new NodeError('SYSTEM_FAILED', message, 'Wait until the host is back, then start again.')
}

function holds(machine: MemoryMachine, generation: StorePath): boolean {
  const closure = new Set([generation])
  for (const path of closure) {
    const references = machine.held.get(path)
    if (!references) return false
    for (const reference of references) closure.add(reference)
  }
  return true
}

async function stage(
  machine: MemoryMachine,
  generation: StorePath,
  source: StageSource,
): Promise<StageOutcome> {
  const closure = closureIn(generation, source.paths)
  if ('ok' in closure) return closure
  for (const path of closure) {
    if (machine.held.has(path.path)) continue
    const bytes = await pulled(path, source)
    if (typeof bytes === 'string') return { ok: false, why: 'fetch', detail: bytes }
    if (toHex(sha256(bytes)) !== path.narHash || bytes.length !== path.narSize) {
      const why = bytes.length < path.narSize ? 'fetch' : 'signature'
      return { ok: false, why, detail: `expected the NAR of ${path.path}, found other bytes` }
    }
    machine.nars.set(path.narHash, bytes)
    machine.held.set(path.path, path.references)
  }
  return { ok: true }
}

/** The NAR's bytes, or why they did not come. */
async function pulled(path: ManifestPath, source: StageSource): Promise<Uint8Array | string> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of source.nar(path)) {
      chunks.push(chunk)
      size += chunk.length
      if (size > path.narSize) break
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return concatBytes(...chunks)
}

async function activate(
  machine: MemoryMachine,
  generation: StorePath,
  timeoutMs: number,
): Promise<ActivationOutcome> {
  if (!holds(machine, generation)) return { ok: false, detail: `${generation} is not held` }
  const state = await machine.deadman.state()
  if (state.kind === 'fired' && !state.done) {
    return { ok: false, detail: 'the deadman has fired and is on its way back' }
  }
  return machine.switchTo(generation, timeoutMs)
}

function setBootDefault(machine: MemoryMachine, generation: StorePath): void {
  if (!holds(machine, generation)) {
    const message = `expected ${generation} in the store, found nothing`
    throw new NodeError('SYSTEM_FAILED', message, 'Stage it first.')
  }
  machine.bootDefault = generation
}

function narOf(
  machine: MemoryMachine,
  hash: Hash,
  offset: number,
): AsyncIterable<Uint8Array> | undefined {
  const nar = machine.nars.get(hash)
  return nar && one(nar.subarray(offset))
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  if (bytes.length > 0) yield bytes
}

function outcomeOf(check: HealthCheck, ok: boolean): CheckOutcome {
  return ok ? { name: check.name, ok } : { name: check.name, ok, why: 'scripted to fail' }
}
