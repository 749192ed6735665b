/**
 * What Nix's own database says about store paths: `nix path-info --json`, in both of its shapes.
 *
 * Up to 2.18 an array of objects with `path`; later an object keyed by path, whose value is null
 * for a path that is not valid. Hashes are SRI in both, base 32 in some between.
 */
import {
  type Hash,
  type ManifestPath,
  parseSha256,
  parseStorePath,
  type StorePath,
  toHex,
} from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { NIX_COMMAND_MS_MAX, NIX_PATHS_PER_COMMAND_MAX } from '../limits.ts'
import { type Environment, type ProgramResult, runProgram } from './program.ts'

/** How Nix is called. */
export interface NixCommands {
  /** PATH with nix, nix-store and nix-env, and what they need: HOME, NIX_REMOTE, NIX_CONF_DIR. */
  readonly env: Environment
}

/** What is known of one valid path. */
export interface NixPathInfo {
  readonly path: StorePath
  readonly narHash: Hash
  readonly narSize: number
  readonly references: readonly StorePath[]
  readonly signatures: readonly string[]
}

/** Commands of `nix` are an experimental feature until somebody says otherwise. */
export const NIX_FEATURES: readonly string[] = ['--extra-experimental-features', 'nix-command']

/** Runs one Nix program. */
export function runNix(
  nix: NixCommands,
  file: 'nix' | 'nix-store' | 'nix-env',
  args: readonly string[],
  timeoutMs: number = NIX_COMMAND_MS_MAX,
): Promise<ProgramResult> {
  return runProgram(file, args, { env: nix.env, timeoutMs })
}

/** The infos of `paths`, each of which must be valid; throws SYSTEM_FAILED when one is not. */
export async function pathInfo(
  nix: NixCommands,
  paths: readonly StorePath[],
): Promise<readonly NixPathInfo[]> {
  const infos: NixPathInfo[] = []
  for (let at = 0; at < paths.length; at += NIX_PATHS_PER_COMMAND_MAX) {
    const some = paths.slice(at, at + NIX_PATHS_PER_COMMAND_MAX)
    infos.push(...(await ask(nix, ['--json', ...some])))
  }
  return infos
}

/** The infos of the closure of `paths`. Throws SYSTEM_FAILED when it is not held whole. */
export async function closureInfo(
  nix: NixCommands,
  paths: readonly StorePath[],
): Promise<readonly NixPathInfo[]> {
  return ask(nix, ['--json', '--recursive', ...paths])
}

/** The path as a manifest lists it. */
export function toManifestPath(info: NixPathInfo): ManifestPath {
  const { path, narHash, narSize, references, signatures } = info
  return { path, narHash, narSize, references, signatures }
}

/** The infos in the output of `nix path-info --json`. Throws SYSTEM_FAILED on any other text. */
export function parsePathInfo(text: string): readonly NixPathInfo[] {
  const value = parsed(text)
  if (Array.isArray(value)) return value.map((entry: unknown) => infoOf(fieldsOf(entry)))
  return Object.entries(fieldsOf(value)).map(([path, entry]) => {
    return infoOf({ ...fieldsOf(entry), path })
  })
}

async function ask(nix: NixCommands, args: readonly string[]): Promise<readonly NixPathInfo[]> {
  const result = await runNix(nix, 'nix', [...NIX_FEATURES, 'path-info', ...args])
  if (!result.ok) throw failed('nix path-info to answer', result.detail)
  return parsePathInfo(result.stdout)
}

function infoOf(fields: Readonly<Record<string, unknown>>): NixPathInfo {
  const path = textOf(fields['path'], 'a path')
  const narSize = fields['narSize']
  if (typeof narSize !== 'number') throw failed(`a narSize for ${path}`, 'none: it is not valid')
  const hash = textOf(fields['narHash'], `a narHash of ${path}`)
  return {
    path: parseStorePath(path),
    narHash: toHex(parseSha256(hash, path)),
    narSize,
    references: textsOf(fields['references'], `references of ${path}`).sort(),
    signatures: textsOf(fields['signatures'] ?? [], `signatures of ${path}`).sort(),
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw failed('JSON of nix path-info', JSON.stringify(text.slice(0, 80)), cause)
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw failed(
    'an object of nix path-info',
    `${value === null ? 'null: a path is not valid' : typeof value}`,
  )
}

function textOf(value: unknown, what: string): string {
  if (typeof value === 'string') return value
  throw failed(what, typeof value)
}

function textsOf(value: unknown, what: string): string[] {
  if (!Array.isArray(value)) throw failed(what, typeof value)
  return value.map((entry: unknown) => textOf(entry, what))
}

function failed(expected: string, found: string, cause?: unknown): NodeError {
  return new NodeError(
    'SYSTEM_FAILED',
    `expected ${expected}, found ${found}`,
    'Ask the same of nix by hand, as the user that the node runs as.',
    { cause },
  )
}
