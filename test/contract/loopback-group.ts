/** Real hosts on free ports of loopback, for the network contract and for whoever attacks them. */
import '../../node/shims.ts'
import { createServer, type Server } from 'node:net'
import { Libp2pNetwork, type Libp2pNetworkOptions } from '../../node/network/libp2p.ts'
import type { Membership } from '../../node/network/membership.ts'
import type { Logger } from '../../node/ports.ts'
import {
  deriveHostKeys,
  deriveSeed,
  type HostName,
  type KeyPair,
  keyPair,
} from '../../protocol/index.ts'

const SILENT: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
function ignore(): void {}

/** The one operator whom every group lets in. */
export const OPERATOR: KeyPair = keyPair(deriveSeed(new Uint8Array(32), 'an operator'))
/** The transport key of the host of that name, in every group. */
export const transportOf = (name: HostName): KeyPair =>
  deriveHostKeys(deriveSeed(new Uint8Array(32), `host ${name}`)).transport

/** A group of hosts on free ports of loopback. */
export class LoopbackGroup {
  readonly ports = new Map<HostName, number>()
  readonly networks: Libp2pNetwork[] = []

  async reserve(names: readonly HostName[]): Promise<void> {
    for (const name of names) this.ports.set(name, await freePort())
  }

  membership(names: readonly HostName[]): Membership {
    return {
      hosts: names.map((name) => ({
        name,
        transport: transportOf(name).publicKey,
        addresses: [this.address(name)],
      })),
      voters: names.slice(0, 3),
      operators: [OPERATOR.publicKey],
    }
  }

  address(name: HostName): string {
    return `/ip4/127.0.0.1/tcp/${this.ports.get(name)}`
  }

  make(
    name: HostName,
    names: readonly HostName[],
    options: Partial<Libp2pNetworkOptions> = {},
  ): Libp2pNetwork {
    const network = new Libp2pNetwork({
      fleet: 'f1'.repeat(16),
      group: 'site',
      name,
      seed: transportOf(name).seed,
      listen: [this.address(name)],
      membership: this.membership(names),
      logger: SILENT,
      mdns: false,
      redialMs: 300,
      ...options,
    })
    this.networks.push(network)
    return network
  }

  async stop(): Promise<void> {
    await Promise.all(this.networks.map((network) => network.stop()))
  }
}

/** Looks every 50 ms until `done`; throws when it never is. */
export async function until(done: () => boolean, limitMs = 8_000): Promise<void> {
  const end = Date.now() + limitMs
  while (!done()) {
    if (Date.now() > end) throw new Error(`not within ${limitMs} ms: ${done}`)
    await pause(50)
  }
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function freePort(): Promise<number> {
  const server = await listenOn(0)
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** A server on that port of loopback. */
export async function listenOn(port: number): Promise<Server> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return server
}
