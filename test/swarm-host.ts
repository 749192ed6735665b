/**
 * One host of a swarm without a rollout around it, in a process of its own: the shipped network, swarm
 * and portable store, with the memory of a daemon. Who starts it tells it what to do in lines of JSON, and reads lines of JSON.
 */
import '../node/shims.ts'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { spareMemory } from '../cli/daemon-memory.ts'
import { BulkMemory } from '../node/bulk-memory.ts'
import { systemClock, systemRandom } from '../node/clock.ts'
import { NarSource, type NarSourceParts } from '../node/nar-source.ts'
import { Libp2pNetwork } from '../node/network/libp2p.ts'
import type { Logger, StageOutcome } from '../node/ports.ts'
import { openSwarm } from '../node/swarm/open-swarm.ts'
import type { SwarmCounts } from '../node/swarm/swarm.ts'
import { openPortableSystem } from '../node/system/portable.ts'
import { deriveHostKeys, deriveSeed, type ManifestPath } from '../protocol/index.ts'

export interface SwarmHostSettings {
  readonly name: string
  readonly folder: string
  readonly hosts: readonly { readonly name: string; readonly address: string }[]
  /** Bytes a second; 0 is without a bound. */
  readonly downloadRate: number
}

/** What the swarm asks of the network, which a test may put something between. */
type Carrier = Pick<Libp2pNetwork, 'peers' | 'pull' | 'pieces'>

export interface SwarmHost {
  readonly network: Libp2pNetwork
  /** Brings trees into the store; each carries `label` in its name. */
  add(trees: readonly string[], label: string): Promise<readonly ManifestPath[]>
  /** What a signed manifest would say. */
  know(paths: readonly ManifestPath[]): void
  /** Takes the closure of the first path in: one try. */
  stage(paths: readonly ManifestPath[]): Promise<StageOutcome>
  readonly counts: SwarmCounts
}

/** Opens the host; it listens and dials when this resolves. */
export async function openSwarmHost(
  settings: SwarmHostSettings,
  between?: (network: Libp2pNetwork) => Carrier,
): Promise<SwarmHost> {
  spareMemory()
  const { name, folder } = settings
  mkdirSync(folder, { recursive: true })
  const [clock, random, log] = [systemClock(), systemRandom(), logOf(name)]
  const system = await openPortableSystem({
    directory: join(folder, 'system'),
    stateDirectory: join(folder, 'state'),
  })
  const network = openNetwork(settings, log)
  const carried: Libp2pNetwork =
    between === undefined ? network : Object.assign(Object.create(network), between(network))
  const known = new Map<string, ManifestPath>()
  const know = (paths: readonly ManifestPath[]): void => {
    for (const path of paths) if (path.pieces) known.set(path.pieces, path)
  }
  const { swarm, lists } = await openSwarm(
    { ...{ clock, random, log, system, depot: undefined }, network: carried },
    {
      ...{ folder: join(folder, 'swarm'), uploadRate: 0, downloadRate: settings.downloadRate },
      isNear: () => true,
      pathOfPieces: (root) => known.get(root),
      passed: new BulkMemory(clock).passed,
    },
  )
  await network.start({
    gossip: async () => 'ignore',
    answer: async () => Promise.reject(new Error('nothing to ask here')),
    serve: async (hash) => {
      const list = await lists.read(hash)
      return list && once(list)
    },
    pieces: (question, from) => swarm.answer(question, from),
    peer: (peer, up) => swarm.peer(peer, up),
  })
  return {
    network,
    know,
    add: async (trees, label) => {
      const paths: ManifestPath[] = []
      for (const tree of trees) paths.push(await system.addDirectory(tree, label))
      return paths
    },
    stage: async (paths) => {
      know(paths)
      const parts: NarSourceParts = {
        ...{ network: carried, random, log, swarm, others: 8 },
        own: async () => undefined,
      }
      const nars = new NarSource(parts)
      const outcome = await system.stage(paths[0]?.path ?? '', {
        ...{ paths, caches: [], cacheKeys: [] },
        expect: (wanted) => nars.expect(wanted),
        nar: (path) => nars.nar(path),
      })
      await nars.end()
      return outcome
    },
    get counts() {
      return swarm.counts
    },
  }
}

/** Everything that is told on stdin, as what a line says. */
export async function* toldLines<Told>(): AsyncGenerator<Told> {
  for await (const line of createInterface({ input: process.stdin })) yield JSON.parse(line) as Told
}

export function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

function openNetwork({ name, hosts: given }: SwarmHostSettings, logger: Logger): Libp2pNetwork {
  const hosts = given.map((host) => ({
    name: host.name,
    transport: transportOf(host.name).publicKey,
    addresses: [host.address],
  }))
  return new Libp2pNetwork({
    fleet: 'f1'.repeat(16),
    group: 'swarm',
    name,
    seed: transportOf(name).seed,
    listen: hosts.filter((host) => host.name === name).flatMap((host) => host.addresses),
    membership: { hosts, voters: hosts.slice(0, 3).map((host) => host.name), operators: [] },
    logger,
    mdns: false,
    redialMs: 200,
  })
}

function transportOf(host: string): ReturnType<typeof deriveHostKeys>['transport'] {
  return deriveHostKeys(deriveSeed(new Uint8Array(32), `swarm host ${host}`)).transport
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function logOf(name: string): Logger {
  const quiet = (): void => undefined
  const tell = (fields: object, message: string): void => {
    process.stderr.write(`${name}: ${message} ${JSON.stringify(fields)}\n`)
  }
  return { debug: quiet, info: quiet, warn: tell, error: tell }
}
