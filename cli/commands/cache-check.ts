/** `nixfleet cache check [RELEASE]`: which caches can be reached and hold a release as it is signed. */
import type { CacheCheck, CacheList, Stamped } from '../../node/index.ts'
import type { ManifestPath } from '../../protocol/index.ts'
import { releaseNamed } from '../cache-release.ts'
import type { Context } from '../context.ts'
import { CliError } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, listOption } from '../registry.ts'
import { textEnv } from '../release-build.ts'
import { plural, safeText, shortId } from '../words.ts'

/** Faults of one cache that are shown to people; --json has all. */
const FAULTS_SHOWN = 10

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out, words } = context
  const { row, manifest } = await releaseNamed(context, input.args[0])
  const client = await context.connect()
  const known = await client.get<Stamped<'CacheList', CacheList>>('/api/v1/caches')
  const urls = chosen(listOption(input.options, 'cache'), known)
  const given = listOption(input.options, 'key')
  const keys = given.length > 0 ? given : known.keys
  const { checkCache } = await import('../../node/index.ts')
  const checks: CacheCheck[] = []
  for (const url of urls) {
    out.note(`asking ${safeText(url)} for ${plural(manifest.paths.length, 'path')}`)
    checks.push(await checkCache(url, manifest.paths, { keys, env: textEnv(context.env) }))
  }
  const lost = nowhere(manifest.paths, checks)
  const release = { id: row.id, name: row.name, paths: manifest.paths.length }
  out.list(cliDocument('CacheCheck', { release, keys, items: checks, nowhere: lost }), checks, [
    { title: 'CACHE', text: (check) => safeText(check.url) },
    { title: 'STATE', text: (check) => words.mark(isGood(check) ? 'ok' : 'fail') },
    { title: 'GOOD', text: (check) => `${check.good}/${release.paths}`, value: (it) => it.good },
    { title: 'FOUND', text: (check) => safeText(foundAt(check)) },
  ])
  if (out.human) describeFaults(context, checks)
  if (lost.length === 0 && checks.every(isGood)) return EXIT_OK
  throw new CliError('NF-3101', `release ${shortId(row.id)} is not whole in every cache`, {
    why: checks.filter((check) => !isGood(check)).map((it) => `${it.url}: ${foundAt(it)}`),
  })
}

function chosen(given: readonly string[], known: CacheList): readonly string[] {
  const urls = given.length > 0 ? given : known.items.map(({ url }) => url)
  if (urls.length > 0) return urls
  throw new CliError('NF-1005', 'no cache is known to the peer, and none was given', {
    why: [],
    fix: ['nixfleet cache check --cache URL', 'nixfleet cache add URL, on the host'],
  })
}

function isGood({ unreachable, faults }: CacheCheck): boolean {
  return unreachable === null && faults.length === 0
}

function foundAt({ unreachable, faults }: CacheCheck): string {
  if (unreachable !== null) return `cannot be asked: ${unreachable}`
  if (faults.length === 0) return 'every path, signed by a trusted key'
  const counts = new Map<string, number>()
  for (const { why } of faults) counts.set(why, (counts.get(why) ?? 0) + 1)
  return [...counts].map(([why, count]) => `${count} ${why}`).join(', ')
}

/** Paths that no cache holds as they should be. */
function nowhere(paths: readonly ManifestPath[], checks: readonly CacheCheck[]): readonly string[] {
  const heldAt = ({ unreachable, faults }: CacheCheck, path: string): boolean =>
    unreachable === null && !faults.some((fault) => fault.path === path)
  return paths.map(({ path }) => path).filter((path) => !checks.some((it) => heldAt(it, path)))
}

function describeFaults({ out }: Context, checks: readonly CacheCheck[]): void {
  for (const { url, faults } of checks) {
    for (const { path, why } of faults.slice(0, FAULTS_SHOWN)) {
      out.line(`${safeText(url)}: ${why}: ${safeText(path)}`)
    }
    const rest = faults.length - FAULTS_SHOWN
    if (rest > 0) out.line(`${safeText(url)}: ${rest} more; --json shows all`)
  }
}
