/** Builds a release's manifest out of folders or store paths, with the bytes that it needs. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { BuiltGeneration } from '../node/index.ts'
import {
  fromHex,
  HEALTH_CHECK,
  type HealthCheck,
  type Manifest,
  type ManifestPath,
  parseStoreName,
  parseStorePath,
  printNixSignature,
  signPathInfo,
  storeNameOf,
  storePathOf,
} from '../protocol/index.ts'
import type { Context } from './context.ts'
import { CliError, usage } from './errors.ts'
import type { Upload } from './operator.ts'

/** A host and where its generation lies: a folder, or a store path. */
export interface HostSource {
  readonly host: string
  readonly path: string
}

/** A manifest and the store paths whose bytes this machine can send. */
export interface BuiltRelease {
  readonly manifest: Manifest
  readonly uploads: readonly Upload[]
}

/** The health checks of a release: one list for every host, or lists by host. */
export type ReleaseChecks =
  | readonly HealthCheck[]
  | Readonly<Record<string, readonly HealthCheck[]>>

interface BuildInput {
  readonly kind: 'nix' | 'portable'
  readonly sources: readonly HostSource[]
  readonly caches: readonly string[]
  readonly checks: ReleaseChecks
  /** Text of a Nix secret key; absent: paths keep the signatures that they have. */
  readonly secretKey?: string | undefined
}

/** Builds the manifest. Each folder is read once, however many hosts run it. */
export async function buildRelease(context: Context, input: BuildInput): Promise<BuiltRelease> {
  const node = await import('../node/index.ts')
  const built = new Map<string, BuiltGeneration>()
  for (const path of new Set(input.sources.map((source) => source.path))) {
    context.out.note(`reading ${path}`)
    const generation =
      input.kind === 'portable'
        ? await node.readPortableGeneration(path)
        : await node.readNixGeneration(path, { env: textEnv(context.env) })
    built.set(path, generation)
  }
  const manifest = manifestOf(input, built)
  const uploads =
    input.kind === 'nix'
      ? []
      : [...built].map(
          ([
            path,
            {
              paths: [entry],
            },
          ]): Upload => {
            if (entry === undefined) throw new CliError('NF-5001', `no path in ${path}`)
            return {
              hash: entry.narHash,
              size: entry.narSize,
              open: () => node.narOfDisk(path, path),
            }
          },
        )
  return { manifest, uploads: distinct(uploads) }
}

/** Health checks from a JSON file: a list, or an object of lists by host. Throws NF-1004. */
export function readChecks(cwd: string, file: string | undefined): ReleaseChecks {
  if (file === undefined) return []
  const path = resolve(cwd, file)
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (Array.isArray(value)) return decodeChecks(value, 'check')
    if (typeof value !== 'object' || value === null) throw new Error('expected a list or an object')
    const lists = Object.entries(value)
    return Object.fromEntries(lists.map(([host, list]) => [host, decodeChecks(list, host)]))
  } catch (error) {
    throw new CliError('NF-1004', `${path} is no list of health checks`, {
      why: [error instanceof Error ? error.message : String(error)],
      fix: [
        '[{"name":"web","kind":"http","from":"both","target":"http://{host}:80/","timeoutMs":2000}]',
        '{"web-01":[…],"web-02":[…]} where hosts differ',
      ],
    })
  }
}

function decodeChecks(list: unknown, whose: string): readonly HealthCheck[] {
  if (!Array.isArray(list)) throw new Error(`${whose}: expected a list`)
  return list.map((item: unknown, index) => HEALTH_CHECK.decode(item, `${whose} ${index + 1}`))
}

/** `HOST=PATH` texts as sources; `path` makes each absolute where it must be. Throws CliError (64). */
export function parseSources(
  texts: readonly string[],
  path: (text: string) => string,
): HostSource[] {
  const sources = texts.map((text) => {
    const [, host = '', where = ''] = /^([a-z0-9-]{1,63})=(.+)$/.exec(text) ?? []
    if (host === '') throw usage(`expected HOST=PATH, found ${text}`)
    return { host, path: path(where) }
  })
  const twice = sources.find(
    (one, i) => sources.findIndex((other) => other.host === one.host) !== i,
  )
  if (twice !== undefined) throw usage(`host ${twice.host} was given twice`)
  return sources
}

function manifestOf(input: BuildInput, built: ReadonlyMap<string, BuiltGeneration>): Manifest {
  const checksOf = checksByHost(input)
  const hosts = input.sources
    .map(({ host, path }) => {
      const { generation, closure } = built.get(path) ?? { generation: '', closure: [] }
      return { host, generation, closure, checks: checksOf(host) }
    })
    .sort((a, b) => (a.host < b.host ? -1 : 1))
  const paths = new Map<string, ManifestPath>()
  for (const generation of built.values()) {
    for (const entry of generation.paths) paths.set(entry.path, signed(entry, input.secretKey))
  }
  const sorted = [...paths.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
  return { kind: input.kind, hosts, paths: sorted, caches: input.caches }
}

/** A misspelt host must not go without its checks silently. Throws NF-1004. */
function checksByHost({ checks, sources }: BuildInput): (host: string) => readonly HealthCheck[] {
  if (Array.isArray(checks)) return () => checks
  const lists = new Map<string, readonly HealthCheck[]>(Object.entries(checks))
  const stray = [...lists.keys()].filter((name) => !sources.some(({ host }) => host === name))
  if (stray.length > 0) {
    throw new CliError('NF-1004', `checks for ${stray.join(', ')}, not in this release`, {
      why: [],
      fix: ['name hosts of the release'],
    })
  }
  return (host) => lists.get(host) ?? []
}

function signed(entry: ManifestPath, secretKey: string | undefined): ManifestPath {
  if (secretKey === undefined) return entry
  const nix = entry.path.startsWith('/')
  const signature = signPathInfo(
    {
      storePath: nix ? parseStorePath(entry.path) : storePathOf(parseStoreName(entry.path)),
      narHash: fromHex(entry.narHash),
      narSize: entry.narSize,
      references: entry.references.map((path) =>
        path.startsWith('/') ? storeNameOf(parseStorePath(path)) : parseStoreName(path),
      ),
    },
    secretKey,
  )
  return { ...entry, signatures: [...entry.signatures, printNixSignature(signature)] }
}

function distinct(uploads: readonly Upload[]): readonly Upload[] {
  return [...new Map(uploads.map((upload) => [upload.hash, upload])).values()]
}

/** The variables that have a value: the whole environment of a program. */
export function textEnv(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== undefined),
  )
}
