/** What the bundle commands say of a file, and of a bad one. */
import type { BundleHeader } from '../protocol/index.ts'
import { CliError } from './errors.ts'
import type { Output } from './output.ts'
import { bytesText, plural, shortId } from './words.ts'

/** Lines about a bundle for people. */
export function describeBundle(out: Output, header: BundleHeader, size: number): void {
  const { contents, since, until, group, epoch, maker, fleet, root } = header
  const { facts, feeds, blobs, blocks, nars } = contents
  out.line(
    `bundle ${out.paint.bold(bytesText(size))}   made by ${maker}   ${group}, epoch ${epoch}`,
  )
  out.line(`fleet ${fleet}   root ${root}`)
  out.line(
    `${plural(facts, 'fact')} of ${plural(feeds, 'feed')}   ${plural(blobs, 'plan or manifest', 'plans and manifests')}   ${plural(blocks, 'block')}   ${plural(nars, 'NAR')} (${bytesText(contents.narBytes)})`,
  )
  out.line(`from ${reachText(since)}   to ${reachText(until)}`)
}

function reachText({ vector, view, block }: BundleHeader['since']): string {
  const facts = /^0+$/.test(vector) ? 'nothing' : `vector ${shortId(vector)}`
  return view === 0 ? facts : `${facts}, view ${view} (${shortId(block)})`
}

/** A bad file as an error of the CLI; other errors as they are. `path` names the file. */
export function bundleFault(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error.name !== 'ProtocolError') return error
  const { code } = error as Error & { code?: unknown }
  const why = [`${String(code)} ${error.message}`]
  return code === 'WRONG_FLEET'
    ? new CliError('NF-3002', `${path} is of another fleet`, { why, cause: error })
    : new CliError('NF-3001', `${path} is damaged`, { why, cause: error })
}
