/**
 * `nixfleet bundle import FILE`: verifies the whole file first, then brings the peer what it lacks.
 *
 * Cut at any moment and run again, it goes on: what the peer has is not sent twice.
 */
import { resolve } from 'node:path'
import type { Documents, FleetStatus, WantedBlob } from '../../node/index.ts'
import { openBundleFile, verifyBundle } from '../bundle-file.ts'
import { type BundleImport, type BundleSink, importBundle } from '../bundle-import.ts'
import { bundleFault } from '../bundle-report.ts'
import type { Client } from '../client.ts'
import type { Context } from '../context.ts'
import { CliError } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { progressBar } from '../progress.ts'
import { type CommandInput, flagOption } from '../registry.ts'
import { bytesText, plural } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const path = resolve(context.cwd, input.args[0] ?? '')
  const client = await context.connect()
  const { rootHash } = await client.get<Documents>('/api/v1/documents')
  const bar = progressBar(out, context.now)
  const file = await openBundleFile(path)
  try {
    const { source } = file
    const index = await verifyBundle(source, { rootHash }, (done) =>
      bar.show('verify', done / source.size),
    ).catch((error: unknown) => {
      throw bundleFault(error, path)
    })
    if (flagOption(input.options, 'dry-run')) {
      bar.done()
      out.note(`${path} is whole and of this fleet; nothing was sent`)
      return EXIT_OK
    }
    const { group } = await client.get<FleetStatus>('/api/v1/fleet?hosts=no')
    const done = await bring(client, (sink) =>
      importBundle({ source, index }, { sink, group }, bar.show),
    )
    bar.done()
    report(context, done, client.address())
    assertAllTaken(done)
    return EXIT_OK
  } finally {
    bar.done()
    await file.close()
  }
}

/** Once more from the beginning when the client had to go on with another peer: that one may hold nothing. */
async function bring(
  client: Client,
  once: (sink: BundleSink) => Promise<BundleImport>,
): Promise<BundleImport> {
  const sink: BundleSink = {
    facts: (batch) => client.post('/api/v1/bundle/facts', batch),
    gate: (batch) => client.post('/api/v1/bundle/gate', batch),
    wanted: async () => (await client.all<WantedBlob>('/api/v1/blobs?closures=yes')).items,
    put: (upload) => client.put(`/api/v1/blobs/${upload.hash}`, upload),
  }
  for (;;) {
    const moves = client.moves()
    const done = await once(sink)
    if (client.moves() === moves) return done
  }
}

function report({ out }: Context, done: BundleImport, peer: string): void {
  const { facts, blobs, nars, narBytes, gate } = done
  if (!out.human) {
    out.document(cliDocument('BundleImported', { ...done }))
    return
  }
  out.line(
    `${plural(facts.taken, 'fact')} taken, ${facts.known} known; ${plural(blobs, 'plan or manifest', 'plans and manifests')}, ${plural(nars, 'NAR')} (${bytesText(narBytes)}) sent`,
  )
  if (gate !== null) out.line(`the log of ${peer} is at slot ${gate.slot}`)
}

/** What was left out must not pass for an import. */
function assertAllTaken({ facts, firstGap }: BundleImport): void {
  const { gaps, forks, unknown, refused } = facts
  if (firstGap !== null) {
    const { author, held, found } = firstGap
    throw new CliError('NF-3003', `${plural(gaps, 'fact')} of the bundle did not fit`, {
      why: [
        `of the feed of ${author.slice(0, 16)}… the peer lacks sequence ${held}, and the bundle begins at ${found}`,
      ],
    })
  }
  if (forks + unknown + refused === 0) return
  throw new CliError('NF-3004', `${plural(forks + unknown + refused, 'fact')} were not taken`, {
    why: [
      `${forks} stand where the peer holds another, ${unknown} are of authors that it does not know, ${refused} were refused`,
    ],
  })
}
