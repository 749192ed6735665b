/**
 * What stands between a simulated daemon and its ports: it may die before or after every call, be
 * slow, and everything that it does is seen. The daemon's own code cannot tell.
 */
import type {
  Ask,
  CheckOutcome,
  Clock,
  Deadman,
  Network,
  NetworkHandlers,
  PeerName,
  Store,
  StoreOp,
  System,
  Topic,
} from '../../../node/ports.ts'
import type { RuntimeParts } from '../../../node/runtime-parts.ts'
import { ED25519, type HostName, type Signer, type StorePath } from '../../../protocol/index.ts'
import type { PortCall } from './kinds.ts'
import type { When } from './traps.ts'

/** Everything that can be seen of a daemon from outside. */
export interface Watcher {
  /** A batch is on the disk. */
  wrote(host: HostName, ops: readonly StoreOp[], sync: boolean): void
  /** The disk refused a batch. */
  refused(host: HostName): void
  published(host: HostName, topic: Topic, bytes: Uint8Array): void
  /** The bytes that a signature of this host covers, domain and all. */
  signed(host: HostName, message: Uint8Array): void
  /** An answer of `peer` has arrived, or none has. */
  heard(host: HostName, peer: HostName, kind: Ask, exchange: Exchange): void
  /** The way to a peer was looked up, and there is none. */
  lost(host: HostName, peer: HostName): void
  /** A check of a peer from outside. */
  checked(host: HostName, peer: string, outcome: CheckOutcome): void
  /** The machine was told to do something. */
  acted(host: HostName, what: string, generation?: StorePath): void
}

/** A question, and its answer if one came. */
export interface Exchange {
  readonly question: Uint8Array
  readonly answer?: Uint8Array
}

/** One daemon's life, from its boot to its death. */
export interface Life {
  readonly host: HostName
  readonly clock: Clock
  readonly watcher: Watcher
  alive(): boolean
  /** True if the daemon dies here. */
  reach(call: PortCall, when: When): boolean
  /** How long each write takes now, in ms. */
  slowMs(): number
  /** The switch to `generation` has begun: true if it takes the daemon with it. */
  killedBy(generation: StorePath): boolean
}

/** The parts of a daemon with a harness between it and each of its ports. */
export function harness(parts: RuntimeParts, life: Life): RuntimeParts {
  return {
    ...parts,
    store: harnessStore(parts.store, life),
    network: harnessNetwork(parts.network, life),
    system: harnessSystem(parts.system, life),
    signer: harnessSigner(parts.signer ?? ED25519, life),
  }
}

/** What the code of a dead daemon waits for. */
function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined)
}

/** A call with a place to die on each side of it. */
async function call<T>(life: Life, kind: PortCall, act: () => Promise<T>): Promise<T> {
  if (!life.alive() || life.reach(kind, 'before')) return await never()
  const result = await act()
  if (!life.alive() || life.reach(kind, 'after')) return await never()
  return result
}

function harnessStore(store: Store, life: Life): Store {
  const write = async (ops: readonly StoreOp[], sync: boolean): Promise<void> => {
    try {
      await store.write(ops, { sync })
    } catch (error) {
      life.watcher.refused(life.host)
      throw error
    }
    life.watcher.wrote(life.host, ops, sync)
  }
  return {
    get: (key) => store.get(key),
    range: (from, to) => store.range(from, to),
    close: () => store.close(),
    write: async (ops, { sync }) => {
      const slowMs = life.slowMs()
      if (slowMs > 0) await new Promise<void>((done) => life.clock.after(slowMs, done))
      await call(life, 'write', () => write(ops, sync))
    },
  }
}

function harnessNetwork(network: Network, life: Life): Network {
  const { host, watcher } = life
  return {
    start: (handlers) => network.start(harnessHandlers(handlers, life)),
    stop: () => network.stop(),
    setMembership: (membership) => network.setMembership(membership),
    peers: () => network.peers(),
    addressOf: (peer) => {
      const address = network.addressOf(peer)
      if (address === undefined) watcher.lost(host, peer)
      return address
    },
    pull: (peer, hash, offset) => network.pull(peer, hash, offset),
    pieces: (peer, question, signal) => network.pieces(peer, question, signal),
    publish: (topic, bytes) => {
      if (!life.alive() || life.reach('publish', 'before')) return
      network.publish(topic, bytes)
      watcher.published(host, topic, bytes)
      life.reach('publish', 'after')
    },
    ask: (peer, kind, bytes, timeoutMs) =>
      call(life, 'ask', async () => {
        try {
          const answer = await network.ask(peer, kind, bytes, timeoutMs)
          watcher.heard(host, peer, kind, { question: bytes, answer })
          return answer
        } catch (error) {
          watcher.heard(host, peer, kind, { question: bytes })
          throw error
        }
      }),
  }
}

function harnessHandlers(handlers: NetworkHandlers, life: Life): NetworkHandlers {
  return {
    ...handlers,
    answer: (kind: Ask, bytes: Uint8Array, from: PeerName) =>
      call(life, 'answer', () => handlers.answer(kind, bytes, from)),
  }
}

function harnessSystem(system: System, life: Life): System {
  const { host, watcher } = life
  const act = <T>(what: string, run: () => Promise<T>, generation?: StorePath): Promise<T> =>
    call(life, 'system', () => {
      watcher.acted(host, what, generation)
      return run()
    })
  return {
    ...system,
    stage: (generation, source) => act('stage', () => system.stage(generation, source), generation),
    setBootDefault: (generation) =>
      act('set-boot-default', () => system.setBootDefault(generation), generation),
    activate: (generation, timeoutMs) =>
      act(
        'activate',
        async () => {
          const outcome = system.activate(generation, timeoutMs)
          if (life.killedBy(generation)) return await never()
          return await outcome
        },
        generation,
      ),
    checkPeer: async (check, address) => {
      const outcome = await system.checkPeer(check, address)
      watcher.checked(host, address, outcome)
      return outcome
    },
    deadman: harnessDeadman(system.deadman, act),
  }
}

function harnessDeadman(
  deadman: Deadman,
  act: <T>(what: string, run: () => Promise<T>, generation?: StorePath) => Promise<T>,
): Deadman {
  return {
    arm: (arming) => act('arm-deadman', () => deadman.arm(arming), arming.target),
    renew: (arming) => act('renew-deadman', () => deadman.renew(arming), arming.target),
    disarm: (token) => act('disarm-deadman', () => deadman.disarm(token)),
    end: () => act('end-deadman', () => deadman.end()),
    state: () => deadman.state(),
  }
}

function harnessSigner(signer: Signer, life: Life): Signer {
  return {
    verify: (input) => signer.verify(input),
    sign: (input) => {
      if (life.alive()) life.watcher.signed(life.host, input.message)
      return signer.sign(input)
    },
  }
}
