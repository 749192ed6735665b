/**
 * One host of the swarm tests, as a process that can be killed. Told what to do in lines of JSON on stdin;
 * answers in lines of JSON on stdout.
 *
 *     {"add": [folders]}    → {"paths": […]}     brings trees into its store
 *     {"know": [paths]}                          what a signed manifest would say
 *     {"stage": [paths]}    → {"staged": …}      takes the closure of the first in, for as long as it takes
 *
 * Each piece that was accepted and written adds a line to `accepted`: NAR, offset, hash of the bytes.
 */
import { appendFileSync } from 'node:fs'
import { PieceFiles } from '../../node/swarm/piece-files.ts'
import { type ManifestPath, sha256, toHex } from '../../protocol/index.ts'
import { openSwarmHost, type SwarmHostSettings, say, toldLines } from '../swarm-host.ts'

interface Told {
  readonly add?: readonly string[]
  readonly know?: readonly ManifestPath[]
  readonly stage?: readonly ManifestPath[]
}

const settings = JSON.parse(process.argv[2] ?? '') as SwarmHostSettings & {
  readonly accepted: string
}
noteAccepted()
let moved = 0
const host = await openSwarmHost(settings, (network) => ({
  peers: () => network.peers(),
  pull: (peer, hash, offset) => count(network.pull(peer, hash, offset)),
  pieces: (peer, question, signal) => count(network.pieces(peer, question, signal)),
}))
say({ ready: true })

for await (const { add, know, stage } of toldLines<Told>()) {
  if (add !== undefined) say({ paths: await host.add(add, 'swarm') })
  host.know(know ?? [])
  if (stage !== undefined) void stageAll(stage)
}

/** As the daemon does: again and again, until it is there. */
async function stageAll(paths: readonly ManifestPath[]): Promise<void> {
  const generation = paths[0]?.path ?? ''
  const before = moved
  for (;;) {
    const outcome = await host.stage(paths)
    if (outcome.ok || outcome.why === 'signature') {
      const { counts } = host
      return say({ staged: { generation, outcome, moved: moved - before, counts } })
    }
    await new Promise((done) => setTimeout(done, 50))
  }
}

async function* count(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    moved += chunk.length
    yield chunk
  }
}

/** Written first, said afterwards: whatever stands in the file is on the disk. */
function noteAccepted(): void {
  const { write } = PieceFiles.prototype
  PieceFiles.prototype.write = async function (narHash, from, bytes) {
    await write.call(this, narHash, from, bytes)
    appendFileSync(settings.accepted, `${narHash} ${from} ${toHex(sha256(bytes))}\n`)
  }
}
