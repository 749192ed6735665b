/**
 * `nixfleet bundle inspect FILE` and `bundle verify FILE`: the whole file is read and checked, without
 * a node. `verify` compares the root with a pinned hash; `inspect` believes the file's own.
 */
import { resolve } from 'node:path'
import { type BundleIndex, openBundleFile, verifyBundle } from '../bundle-file.ts'
import { bundleFault, describeBundle } from '../bundle-report.ts'
import type { Context } from '../context.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { progressBar } from '../progress.ts'
import type { CommandInput } from '../registry.ts'
import { pinnedRoot } from '../root-hash.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out, cwd } = context
  const path = resolve(cwd, input.args[0] ?? '')
  const verifies = input.command.name === 'bundle verify'
  const rootHash = verifies ? pinnedRoot(context, input) : undefined
  const { size, index } = await readWhole(context, path, rootHash)
  const { header } = index
  if (!out.human) {
    const { fleet, root, group, epoch, maker, since, until, contents } = header
    const place = { fleet, root, group, epoch, maker }
    const kind = verifies ? 'BundleVerified' : 'BundleInspected'
    out.document(cliDocument(kind, { ...place, bytes: size, since, until, contents }))
    return EXIT_OK
  }
  describeBundle(out, header, size)
  if (verifies) out.line(out.paint.green('every signature, link, certificate and hash holds'))
  else out.note('whole, and true if that root is yours: nixfleet bundle verify compares it')
  return EXIT_OK
}

/** Reads and checks all of a file. Throws NF-3001, NF-3002. */
async function readWhole(
  context: Context,
  path: string,
  rootHash: string | undefined,
): Promise<{ size: number; index: BundleIndex }> {
  const bar = progressBar(context.out, context.now)
  const file = await openBundleFile(path)
  const { size } = file.source
  try {
    const index = await verifyBundle(file.source, { rootHash }, (done) =>
      bar.show('verify', done / size),
    )
    return { size, index }
  } catch (error) {
    throw bundleFault(error, path)
  } finally {
    bar.done()
    await file.close()
  }
}
