/**
 * `nixfleet release create`: signs what may run, then sends the manifest and each store path that the
 * peer lacks.
 */
import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ReleaseRow } from '../../node/index.ts'
import { type Manifest, manifestBlob } from '../../protocol/index.ts'
import type { Client } from '../client.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { type Author, loadReleaseAuthor, publish, uploadOf } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, flagOption, listOption, textOption } from '../registry.ts'
import { buildRelease, type HostSource, parseSources, readChecks } from '../release-build.ts'
import { plural, shortId } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out, cwd } = context
  const { options } = input
  const client = await context.connect()
  const author = await loadReleaseAuthor(withReleaseKey(context, options), client)
  const kind = kindOf(input)
  const sources = sourcesOf(context, input, author, kind)
  const built = await buildRelease(context, {
    kind,
    sources,
    caches: listOption(options, 'cache'),
    checks: readChecks(cwd, textOption(options, 'checks')),
    secretKey: readSecretKey(cwd, textOption(options, 'cache-key')),
  })
  const blob = manifestBlob(built.manifest)
  const channel = textOption(options, 'channel') ?? 'stable'
  const version = await versionOf(client, channel, textOption(options, 'release-version'))
  const name = textOption(options, 'name') ?? `${channel}-${version}`
  const revision = textOption(options, 'revision')
  const fact = author.seal('release.announce', {
    name,
    channel,
    version,
    minVersion: 0,
    manifest: blob.hash,
    manifestBytes: blob.bytes.length,
    revision,
    notRevertable: [],
  })
  await publish(client, [fact], [uploadOf(blob), ...built.uploads], (hash, done, total) =>
    out.note(`sent ${shortId(hash)} (${done} of ${total})`),
  )
  if (out.human)
    out.line(
      `release ${shortId(fact.id)}   ${name} (${channel} ${version})   ${summary(built.manifest)}`,
    )
  else
    out.document(
      cliDocument('Released', { id: fact.id, name, channel, version, manifest: blob.hash }),
    )
  out.note(`next: nixfleet deploy ${shortId(fact.id)} --plan`)
  return EXIT_OK
}

/** --release-key is an option of this command alone, so the settings do not know it yet. */
function withReleaseKey(context: Context, options: CommandInput['options']): Context {
  const releaseKey = textOption(options, 'release-key') ?? context.settings.releaseKey
  return { ...context, settings: { ...context.settings, releaseKey } }
}

function kindOf(input: CommandInput): 'nix' | 'portable' {
  const portable = flagOption(input.options, 'portable')
  if (portable !== flagOption(input.options, 'nix')) return portable ? 'portable' : 'nix'
  throw usage('give either --portable or --nix', 'nixfleet help release create')
}

function sourcesOf(
  context: Context,
  input: CommandInput,
  author: Author,
  kind: 'nix' | 'portable',
): readonly HostSource[] {
  const members = author.fleet.config.hosts.map((host) => host.name)
  const all = textOption(input.options, 'all')
  const named = listOption(input.options, 'host')
  const absolute = (path: string): string => resolve(context.cwd, path)
  const texts = kind === 'nix' ? [...input.args, ...named] : named
  if (kind === 'portable' && input.args.length > 0) {
    throw usage(`expected folders after --host or --all, found ${input.args.join(' ')}`)
  }
  const sources = parseSources(texts, kind === 'portable' ? absolute : (path) => path)
  const strangers = sources.filter((source) => !members.includes(source.host))
  if (strangers.length > 0) {
    throw new CliError(
      'NF-2110',
      `${strangers.map((source) => source.host).join(', ')}: not in the fleet`,
    )
  }
  if (all !== undefined) {
    const path = kind === 'portable' ? absolute(all) : all
    const own = new Set(sources.map((source) => source.host))
    return [...sources, ...members.filter((host) => !own.has(host)).map((host) => ({ host, path }))]
  }
  if (sources.length > 0) return sources
  throw usage(
    'say what each host runs: --all, --host NAME=DIR, or HOST=PATH',
    'nixfleet help release create',
  )
}

async function versionOf(
  client: Client,
  channel: string,
  given: string | undefined,
): Promise<number> {
  if (given !== undefined) {
    if (/^\d{1,15}$/.test(given)) return Number(given)
    throw usage(`expected a number after --release-version, found ${given}`)
  }
  const list = await client.all<ReleaseRow>('/api/v1/releases')
  const versions = list.items.filter((row) => row.channel === channel).map((row) => row.version)
  return Math.max(0, ...versions) + 1
}

function readSecretKey(cwd: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  const path = resolve(cwd, file)
  const mode = statSync(path).mode & 0o777
  if ((mode & 0o077) === 0) return readFileSync(path, 'utf8').trim()
  throw new CliError('NF-1201', `others may use the key file ${path}`, {
    why: [`expected mode 0600, found 0${mode.toString(8)}`],
  })
}

function summary(manifest: Manifest): string {
  const bytes = manifest.paths.reduce((sum, path) => sum + path.narSize, 0)
  return `${plural(manifest.hosts.length, 'host')}, ${plural(manifest.paths.length, 'store path')}, ${(bytes / 1024 / 1024).toFixed(1)} MiB`
}
