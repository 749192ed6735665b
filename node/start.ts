/**
 * The daemon: real adapters under the runtime, in the order in which each may fail harmlessly.
 *
 * Nothing is written before the key, the documents and the store are known to belong together.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { deriveHostKeys, type HostIdentity, type HostKeys, toHex } from '../protocol/index.ts'
import { hostNamed, type Trust } from '../rollout/index.ts'
import { handleApiAsk } from './api/ask.ts'
import { type Listening, listenUnix } from './api/listen.ts'
import { notePlace } from './api/place.ts'
import { type ApiOptions, createApi } from './api/server.ts'
import { assertProtected, openTcpApi, type TcpListening } from './api/tcp-api.ts'
import { NodeBackend } from './backend.ts'
import { BulkMemory } from './bulk-memory.ts'
import { systemClock, systemRandom } from './clock.ts'
import type { NodeConfig } from './config.ts'
import { FileDepot } from './depot.ts'
import { NodeError } from './errors.ts'
import { readSeedFile } from './key-files.ts'
import { FIRST_ACTIVATION_MS_MAX } from './limits.ts'
import { Libp2pNetwork } from './network/libp2p.ts'
import { membershipOf } from './network/membership.ts'
import { peerIdOfKey } from './network/peer-book.ts'
import { countNodeStore } from './node-store.ts'
import type { Clock, Logger, System } from './ports.ts'
import { Runtime } from './runtime.ts'
import { claimStore } from './store/format.ts'
import { openLevelStore } from './store/level.ts'
import { openSubstituter } from './substituter/open-substituter.ts'
import { openSwarm } from './swarm/open-swarm.ts'
import { openNixSystem } from './system/nix.ts'
import { openPortableSystem } from './system/portable.ts'
import { readTrustFiles, type TrustFiles } from './trust-files.ts'

/** A node that runs. */
export interface StartedNode {
  readonly runtime: Runtime
  /** Where its API listens. */
  readonly addresses: readonly string[]
  /** Ends it in order; everything promised is on the disk. */
  stop(): Promise<void>
}

/** Starts the node of `config`. Throws NodeError with a code and what to do; then nothing runs. */
export async function startNode(config: NodeConfig): Promise<StartedNode> {
  const log: Logger = pino({ level: config.log, base: { node: config.name } }, pino.destination(2))
  assertProtected(config.api)
  const keys = deriveHostKeys(await readSeedFile(config.seed))
  const files = await readTrustFiles(config.trust, config.rootHash)
  assertMember(files, config, keys)
  await mkdir(config.data, { recursive: true, mode: 0o700 })
  await chmod(config.data, 0o700)
  const level = await openLevelStore(join(config.data, 'db'))
  try {
    await claimStore(level, files.trust.fleet)
    const random = systemRandom()
    const store = await countNodeStore(level, { config, fleet: files.trust.fleet, random, log })
    const system = await openSystem(config)
    const depot = await FileDepot.open(join(config.data, 'nars'))
    const network = openNetwork(config, { trust: files.trust, keys, log })
    const world = { network, random, log, depot, system, clock: systemClock(), trust: files.trust }
    const swarm = await openSwarm(world, {
      folder: join(config.data, 'swarm'),
      ...config.swarm,
      isNear: (peer) => hostNamed(runtime.parts.trust, peer) !== undefined,
      pathOfPieces: (root) => runtime.blobs.pathOfPieces(root),
      passed: new BulkMemory(world.clock).passed,
    })
    let answerApi: ((bytes: Uint8Array) => Promise<Uint8Array>) | undefined
    const runtime: Runtime = new Runtime({
      ...world,
      name: config.name,
      keys,
      session: toHex(random.bytes(16)),
      newer: files.newer,
      documents: { root: files.root, group: files.group },
      store,
      swarm,
      cacheKeys: config.system.cacheKeys,
      checks: config.checks,
      peerIdOf: (transport) => peerIdOfKey(transport).toString(),
      api: (bytes) =>
        answerApi === undefined ? Promise.reject(new Error('starting')) : answerApi(bytes),
    })
    let runs = false
    const asCache: { listen: string | null; readonly caches: readonly string[] } = {
      listen: null,
      caches: config.substituter.caches,
    }
    const backend = new NodeBackend({ node: runtime, files, depot, substituter: asCache })
    const api = { backend, log, started: () => runs }
    const remote = createApi({ ...api, streams: false })
    answerApi = (bytes) => handleApiAsk(remote, bytes)
    const listening = await listen(config, { api, clock: world.clock, log })
    const closeAll = async (): Promise<unknown> =>
      await Promise.all(listening.map((one) => one.close()))
    await runtime.start().catch(async (error: unknown) => {
      // What still listens or ticks would keep the process, which has nothing more to do.
      await closeAll()
      await runtime.stop().catch(() => undefined)
      throw error
    })
    const cache = await listenAsCache(config, runtime, depot, closeAll)
    asCache.listen = cache?.address ?? null
    runs = true
    backend.start()
    const addresses = listening.map((one) => one.address)
    const where = { fleet: files.trust.root.name, api: addresses, cache: cache?.address }
    log.info(where, 'the node runs')
    return {
      runtime,
      addresses,
      stop: async () => {
        await cache?.close()
        await closeAll()
        await runtime.stop()
      },
    }
  } catch (error) {
    await level.close().catch(() => undefined)
    throw error
  }
}

/** The log may know better: a host that left finds that out by itself, and still answers questions. */
function assertMember({ trust, newer }: TrustFiles, config: NodeConfig, keys: HostKeys): void {
  const known = [trust.config, ...newer].flatMap(({ hosts }) =>
    hosts.filter((host) => host.name === config.name),
  )
  const { fact, transport } = keys
  const mine = (host: HostIdentity): boolean =>
    host.fact === fact.publicKey && host.transport === transport.publicKey
  if (known.some(mine)) return
  const found = fact.publicKey.slice(0, 16)
  const [host] = known
  throw new NodeError(
    'NOT_A_MEMBER',
    host === undefined
      ? `expected ${config.name} among the hosts of group ${trust.config.group}, found no host of that name`
      : `expected the key ${host.fact.slice(0, 16)}… for ${config.name}, found ${found}… in ${config.seed}`,
    'Compare name and seed in the configuration with the host record that bootstrap or `nixfleet hosts add` was given; a host that was added needs the trust folder that the latter wrote.',
  )
}

async function openSystem(config: NodeConfig): Promise<System> {
  const { system } = config
  const bootIdFile = system.bootIdFile === undefined ? {} : { bootIdFile: system.bootIdFile }
  if (system.kind === 'nix') {
    const { runningLink, profile, cacheKeys, root } = system
    return await openNixSystem({
      directory: root,
      env: environment(),
      profile,
      cacheKeys,
      ...(runningLink === undefined ? {} : { runningLink }),
      ...bootIdFile,
    })
  }
  const path = process.env['PATH']
  const portable = await openPortableSystem({
    directory: system.root,
    stateDirectory: join(config.data, 'state'),
    ...(path === undefined ? {} : { path }),
    ...bootIdFile,
  })
  if (!existsSync(join(system.root, 'running'))) await enrolFirst(portable, system.initial)
  return portable
}

/** A portable host runs something from its first minute: there is always a way back. */
async function enrolFirst(
  portable: Awaited<ReturnType<typeof openPortableSystem>>,
  initial: string | undefined,
): Promise<void> {
  if (initial === undefined) {
    throw new NodeError(
      'CONFIG_INVALID',
      'expected system.initial, the tree of the first generation, for a portable host that runs none',
      'Set system.initial to a folder with bin/switch-to-configuration.',
    )
  }
  if (!existsSync(join(initial, 'bin', 'switch-to-configuration'))) {
    throw new NodeError(
      'GENERATION_MISSING',
      `expected the tree of the first generation in ${initial}, found no bin/switch-to-configuration`,
      'Set system.initial to the folder of a built generation.',
    )
  }
  const path = await portable.addDirectory(initial, 'initial')
  const outcome = await portable.enrol(path.path, FIRST_ACTIVATION_MS_MAX)
  if (outcome.ok) return
  throw new NodeError(
    'SYSTEM_FAILED',
    `expected the first generation in ${initial} to activate, found ${outcome.detail}`,
    'Run its bin/switch-to-configuration by hand and mend it.',
  )
}

function environment(): Readonly<Record<string, string>> {
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined) env[name] = value
  return env
}

function openNetwork(
  config: NodeConfig,
  { trust, keys, log }: { trust: Trust; keys: HostKeys; log: Logger },
): Libp2pNetwork {
  return new Libp2pNetwork({
    fleet: trust.fleet,
    group: trust.config.group,
    name: config.name,
    seed: keys.transport.seed,
    listen: config.listen,
    membership: membershipOf(trust),
    logger: log,
    mdns: config.mdns,
    peers: config.peers,
  })
}

/** Only once the node runs: before, it knows no release, and Nix would remember that for an hour. */
async function listenAsCache(
  { substituter }: NodeConfig,
  runtime: Runtime,
  depot: FileDepot,
  closeAll: () => Promise<unknown>,
): Promise<Listening | undefined> {
  const { listen, caches } = substituter
  if (listen === undefined) return undefined
  try {
    return await openSubstituter(runtime, { listen, caches, env: environment(), depot })
  } catch (error) {
    await closeAll()
    await runtime.stop()
    throw error
  }
}

async function listen(
  config: NodeConfig,
  node: { readonly api: ApiOptions; readonly clock: Clock; readonly log: Logger },
): Promise<readonly Listening[]> {
  const unix = await listenUnix(createApi(node.api), config.api.socket)
  try {
    const tcp = await listenOnTcp(config, node)
    return tcp === undefined ? [unix] : [unix, tcp]
  } catch (error) {
    await unix.close()
    throw error
  }
}

async function listenOnTcp(
  { name, data, api: { listen, hosts, tls } }: NodeConfig,
  node: { readonly api: ApiOptions; readonly clock: Clock; readonly log: Logger },
): Promise<TcpListening | undefined> {
  const tcp = listen && (await openTcpApi({ listen, hosts, tls }, { ...node, name, data }))
  await notePlace(data, tcp && { url: tcp.address, fingerprint: tcp.fingerprint })
  if (tcp?.fingerprint) node.log.info({ sha256: tcp.fingerprint }, 'the certificate of the API')
  return tcp
}
