/**
 * One host of the swarm benchmark. Told what to do in lines of JSON on stdin; answers in lines of JSON on
 * stdout, the first when it has met all others.
 *
 *     {"add": [folders]}    → {"paths": […]}     brings trees into its store
 *     {"stage": [paths]}    → {"staged": …}      takes a closure in, whole and checked
 */
import type { ManifestPath } from '../../protocol/index.ts'
import { openSwarmHost, type SwarmHostSettings, say, toldLines } from '../swarm-host.ts'

interface Told {
  readonly add?: readonly string[]
  readonly stage?: readonly ManifestPath[]
}

const settings = JSON.parse(process.argv[2] ?? '') as Omit<SwarmHostSettings, 'downloadRate'>
const host = await openSwarmHost({ ...settings, downloadRate: 0 })
while (host.network.peers().length < settings.hosts.length - 1) {
  await new Promise((done) => setTimeout(done, 50))
}
say({ ready: true })

for await (const { add, stage } of toldLines<Told>()) {
  if (add !== undefined) {
    const paths = await host.add(add, 'bench')
    host.know(paths)
    say({ paths })
  }
  if (stage !== undefined) say({ staged: await host.stage(stage), counts: host.counts })
}
process.exit(0)
