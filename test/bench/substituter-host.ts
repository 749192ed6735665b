/**
 * One host of the substituter benchmark: the shipped portable store and substituter, with no peers and
 * no rollout around them. Told `{"paths": […]}` (a release) on stdin; answers `{"url": …}` on stdout.
 */
import '../../node/shims.ts'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { listenTcp } from '../../node/api/listen.ts'
import { systemClock, systemRandom } from '../../node/clock.ts'
import { FileDepot } from '../../node/depot.ts'
import type { Logger, Network } from '../../node/ports.ts'
import { createCacheApp } from '../../node/substituter/cache-app.ts'
import { KnownPaths } from '../../node/substituter/known-paths.ts'
import { NarSupply } from '../../node/substituter/nar-supply.ts'
import { Substituter } from '../../node/substituter/substituter.ts'
import { openPortableSystem } from '../../node/system/portable.ts'
import type { ManifestPath } from '../../protocol/index.ts'

const [folder = '', ...trees] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })
const log: Logger = { debug: quiet, info: quiet, warn: tell, error: tell }
const clock = systemClock()
const system = await openPortableSystem({
  directory: join(folder, 'system'),
  stateDirectory: join(folder, 'state'),
})
const depot = await FileDepot.open(join(folder, 'nars'))
const network: Pick<Network, 'peers' | 'pull' | 'pieces'> = {
  peers: () => [],
  pull: () => nobody(),
  pieces: () => nobody(),
}
const holdings = { look: async () => false, has: async () => false }
const supply = new NarSupply({
  ...{ clock, log, system, depot, holdings },
  network: network as Network,
  random: systemRandom(),
  others: () => 0,
})
const brought: ManifestPath[] = []
for (const tree of trees) brought.push(await system.addDirectory(tree, 'bench'))
say({ paths: brought })

for await (const line of createInterface({ input: process.stdin })) {
  const { paths } = JSON.parse(line) as { paths: readonly ManifestPath[] }
  const manifests = [{ kind: 'portable', hosts: [], paths, caches: [] } as const]
  const cache = new Substituter({
    ...{ clock, log, holdings },
    caches: [],
    env: {},
    known: new KnownPaths({ version: () => 1, manifests: () => manifests }),
    held: (path) => supply.held(path),
    own: (hash, from) => supply.own(hash, from),
    fetch: (path) => supply.fetch(path),
  })
  const listening = await listenTcp(createCacheApp({ cache, log }), { host: '127.0.0.1', port: 0 })
  say({ url: listening.address })
}
process.exit(0)

function nobody(): never {
  throw new Error('there are no peers here')
}

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

function quiet(): void {}

function tell(fields: object, message: string): void {
  process.stderr.write(`${message} ${JSON.stringify(fields)}\n`)
}
