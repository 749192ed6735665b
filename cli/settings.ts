/**
 * Global options, environment and the client's configuration file, resolved: flag, then variable, then
 * file, then default.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parse as parseDuration } from '@lukeed/ms'
import { CliError, usage } from './errors.ts'
import { FORMATS, type Format } from './output.ts'
import { flagOption, type OptionValues, textOption } from './registry.ts'

/** What holds for the whole run. */
export interface Settings {
  readonly peer?: string | undefined
  readonly socket?: string | undefined
  readonly identity?: string | undefined
  readonly releaseKey?: string | undefined
  /** Peers of the configuration file. */
  readonly peers: readonly string[]
  readonly format: Format
  readonly color: 'auto' | 'always' | 'never'
  readonly ascii: boolean
  readonly headers: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly yes: boolean
  /** How long to wait, in ms; absent: each command's default. */
  readonly timeoutMs?: number | undefined
}

type Env = Readonly<Record<string, string | undefined>>

/** The client's configuration file. */
interface ConfigFile {
  readonly path: string
  readonly values: Readonly<Record<string, unknown>>
}

const FILE_KEYS: ReadonlySet<string> = new Set(['peers', 'identity', 'releaseKey', 'format'])

/** Resolves everything. Throws NF-1002 for a wrong flag, NF-1007 for a wrong variable or file. */
export async function resolveSettings(
  options: OptionValues,
  { env, cwd }: { readonly env: Env; readonly cwd: string },
  formats: readonly string[] = [],
): Promise<Settings> {
  const file = await readConfig(configPath(options, env, cwd))
  const text = (name: string, variable: string, key?: string): string | undefined =>
    textOption(options, name) ??
    (env[variable] || undefined) ??
    (key ? fileText(file, key) : undefined)
  const color = textOption(options, 'color') ?? 'auto'
  if (color !== 'auto' && color !== 'always' && color !== 'never') {
    throw usage(`expected auto, always or never after --color, found ${color}`)
  }
  const timeout = text('timeout', 'NIXFLEET_TIMEOUT')
  return {
    peer: text('peer', 'NIXFLEET_PEER'),
    socket: text('socket', 'NIXFLEET_SOCKET'),
    identity: text('identity', 'NIXFLEET_IDENTITY', 'identity'),
    releaseKey: text('release-key', 'NIXFLEET_RELEASE_KEY', 'releaseKey'),
    peers: filePeers(file),
    format: flagOption(options, 'json')
      ? 'json'
      : formatOf(text('format', 'NIXFLEET_FORMAT', 'format'), formats),
    color,
    ascii: flagOption(options, 'ascii'),
    headers: options['headers'] !== false,
    quiet: flagOption(options, 'quiet'),
    verbose: flagOption(options, 'verbose'),
    yes: flagOption(options, 'yes'),
    timeoutMs: timeout === undefined ? undefined : duration(timeout, '--timeout'),
  }
}

/** Milliseconds of a text like `90s`, `5m`, `1h`; bare numbers are refused as they have no unit. */
export function duration(text: string, option: string): number {
  // The library reads no zero.
  if (/^0+ ?(ms|s|m|h|d)$/.test(text)) return 0
  const ms = /^\d+$/.test(text.trim()) ? undefined : parseDuration(text)
  if (ms !== undefined && Number.isFinite(ms) && ms >= 0) return Math.round(ms)
  throw usage(`expected a duration like 90s, 5m or 1h after ${option}, found ${text}`)
}

function formatOf(text: string | undefined, own: readonly string[]): Format {
  if (text !== undefined && own.includes(text)) return 'ndjson'
  const format = FORMATS.find((known) => known === (text ?? 'table'))
  if (format !== undefined) return format
  throw usage(`expected a format of ${FORMATS.join(', ')}, found ${text}`)
}

/** The first of --config, $NIXFLEET_CONFIG, nixfleet.toml here or above, the user's, the system's. */
function configPath(options: OptionValues, env: Env, cwd: string): string | undefined {
  const given = textOption(options, 'config') ?? env['NIXFLEET_CONFIG']
  if (given) return resolve(cwd, given)
  const home = env['XDG_CONFIG_HOME'] || (env['HOME'] ? join(env['HOME'], '.config') : undefined)
  const candidates = [
    ...parents(cwd).map((folder) => join(folder, 'nixfleet.toml')),
    ...(home ? [join(home, 'nixfleet', 'config.toml')] : []),
    '/etc/nixfleet/config.toml',
  ]
  return candidates.find((path) => existsSync(path))
}

function parents(cwd: string): string[] {
  const up = dirname(cwd)
  return up === cwd ? [cwd] : [cwd, ...parents(up)]
}

async function readConfig(path: string | undefined): Promise<ConfigFile | undefined> {
  if (path === undefined) return undefined
  try {
    const text = readFileSync(path, 'utf8')
    const values: unknown = path.endsWith('.json')
      ? JSON.parse(text)
      : (await import('smol-toml')).parse(text)
    if (typeof values !== 'object' || values === null) throw new Error('expected a table')
    const unknown = Object.keys(values).filter((key) => !FILE_KEYS.has(key))
    if (unknown.length > 0) throw new Error(`unknown key ${unknown.join(', ')}`)
    return { path, values: values as Record<string, unknown> }
  } catch (error) {
    throw new CliError('NF-1007', `${path}: ${error instanceof Error ? error.message : error}`, {
      why: [`it may hold ${[...FILE_KEYS].join(', ')}`],
    })
  }
}

function fileText(file: ConfigFile | undefined, key: string): string | undefined {
  const value = file?.values[key]
  if (value === undefined || typeof value === 'string') {
    const isPath = key === 'identity' || key === 'releaseKey'
    return value !== undefined && isPath && file ? resolve(dirname(file.path), value) : value
  }
  throw new CliError('NF-1007', `${file?.path}: expected text for ${key}`)
}

function filePeers(file: ConfigFile | undefined): readonly string[] {
  const value = file?.values['peers']
  if (value === undefined) return []
  if (Array.isArray(value) && value.every((peer) => typeof peer === 'string')) return value
  throw new CliError('NF-1007', `${file?.path}: expected a list of addresses for peers`)
}
