/** `nixfleet cache push [RELEASE|PATH…] --to URL`: copies what this machine's store holds, by `nix copy`. */
import { releaseNamed } from '../cache-release.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { textEnv } from '../release-build.ts'
import { plural, safeText } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const to = textOption(input.options, 'to')
  if (to === undefined) throw usage('expected --to with the cache, found none')
  if (!/^[a-z][a-z0-9+.-]*:\/\//.test(to)) throw usage(`expected a Nix store URL, found ${to}`)
  const paths = await pathsOf(context, input.args)
  out.note(`copying ${plural(paths.length, 'closure')} to ${safeText(to)}`)
  const { copyToCache } = await import('../../node/index.ts')
  const fault = await copyToCache(paths, to, { env: textEnv(context.env) })
  if (fault !== undefined) {
    throw new CliError('NF-3102', `Nix could not copy to ${safeText(to)}`, { why: [fault] })
  }
  if (out.human) for (const path of paths) out.line(path)
  else out.document(cliDocument('CachePushed', { to, paths }))
  out.note(`next: nixfleet cache check --cache '${safeText(to.replace(/\?.*$/, ''))}'`)
  return EXIT_OK
}

/** Store paths as they are; else the generations of one release. */
async function pathsOf(context: Context, args: readonly string[]): Promise<readonly string[]> {
  if (args.length > 0 && args.every((arg) => arg.startsWith('/nix/store/'))) return args
  if (args.length > 1) throw usage(`expected one release or store paths, found ${args.join(' ')}`)
  const { row, manifest } = await releaseNamed(context, args[0])
  if (manifest.kind === 'portable') {
    throw usage(
      `${row.name} is a portable release: hosts take it from each other, not from a cache`,
    )
  }
  return [...new Set(manifest.hosts.map(({ generation }) => generation))]
}
