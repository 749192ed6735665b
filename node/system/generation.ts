/**
 * Reads a built generation from the disk into what a release's manifest says about it.
 *
 * Portable: one tree that stands on its own. Whoever runs it has neither this machine's paths nor
 * its Nix store, so a tree that names either is refused here, where somebody can still mend it.
 */
import { lstat, readdir, readlink, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import {
  fromHex,
  type ManifestPath,
  NAR_BYTES_MAX,
  portableStoreName,
  type StorePath,
} from '../../protocol/index.ts'
import { NodeError } from '../errors.ts'
import { contentsOfFile, enclosedTargetFault, piecesOfDisk } from './nar-disk.ts'
import { closureInfo, type NixCommands, toManifestPath } from './nix-info.ts'

/** A generation as a manifest lists it. */
export interface BuiltGeneration {
  readonly generation: StorePath
  /** The generation and all that it needs, sorted. */
  readonly closure: readonly StorePath[]
  readonly paths: readonly ManifestPath[]
}

/** How to read a portable generation. */
export interface PortableBuild {
  /** Its name, the part after the hash; the directory's own by default. */
  readonly name?: string | undefined
  /** Absolute paths that no file may contain: above all a node's store. `directory` itself is one. */
  readonly forbidden?: readonly string[] | undefined
}

const SWITCH = 'bin/switch-to-configuration'

/**
 * The portable generation at `directory`.
 *
 * Throws GENERATION_MISSING when it is not there, SYSTEM_FAILED unless it is a directory with an executable `bin/switch-to-configuration`,
 * whose symlinks stay inside, and none of whose files contains a path of this machine that it would
 * miss elsewhere; TOO_LARGE above the largest NAR; STORE_PATH_MALFORMED on a name that is none.
 */
export async function readPortableGeneration(
  directory: string,
  build: PortableBuild = {},
): Promise<BuiltGeneration> {
  await assertThere(directory)
  const path = await realpath(directory)
  await assertSwitch(path)
  const forbidden = [path, directory, ...(build.forbidden ?? [])].filter((text) =>
    text.startsWith('/'),
  )
  await assertEnclosed(path, '', 0, new Set(forbidden))
  const { hash, size, pieces } = await piecesOfDisk(path, directory)
  if (size > NAR_BYTES_MAX) throw refused(directory, `at most ${NAR_BYTES_MAX} bytes`, `${size}`)
  const generation = portableStoreName(fromHex(hash), build.name ?? basename(path))
  const nar = { narHash: hash, narSize: size, pieces }
  const entry = { path: generation, ...nar, references: [], signatures: [] }
  return { generation, closure: [generation], paths: [entry] }
}

/**
 * The Nix generation `generation`, a store path that Nix holds, with its closure.
 *
 * Throws GENERATION_MISSING when it is not there, SYSTEM_FAILED when Nix does not hold all of it or
 * when it has no `bin/switch-to-configuration` or a path has other bytes than it was built with.
 */
export async function readNixGeneration(
  generation: StorePath,
  nix: NixCommands,
): Promise<BuiltGeneration> {
  await assertThere(generation)
  await assertSwitch(generation)
  const infos = await closureInfo(nix, [generation])
  const sorted = infos.map(toManifestPath).sort((a, b) => (a.path < b.path ? -1 : 1))
  const paths: ManifestPath[] = []
  for (const path of sorted) paths.push(await withPieces(path))
  return { generation, closure: paths.map((path) => path.path), paths }
}

/** Reads the whole path once: what its pieces are rests on the very bytes that its NAR hash promises. */
async function withPieces(path: ManifestPath): Promise<ManifestPath> {
  const { hash, size, pieces } = await piecesOfDisk(path.path, path.path)
  if (hash === path.narHash && size === path.narSize) return { ...path, pieces }
  throw new NodeError(
    'SYSTEM_FAILED',
    `expected ${path.narSize} bytes with hash ${path.narHash} in ${path.path}, found ${size} with ${hash}`,
    'The path was damaged on this machine: run nix-store --verify --check-contents --repair.',
  )
}

async function assertThere(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined)
  if (status !== undefined) return
  const fix = 'Correct the path, or build it on this machine first.'
  throw new NodeError('GENERATION_MISSING', `expected the generation ${path}, found nothing`, fix)
}

async function assertSwitch(path: string): Promise<void> {
  const program = join(path, SWITCH)
  // Followed: in a NixOS system it may be a link into another store path.
  const status = await realpath(program)
    .then(lstat)
    .catch(() => undefined)
  if (status?.isFile() && (Number(status.mode) & 0o100) !== 0) return
  throw refused(path, `an executable ${SWITCH}`, status ? 'one that cannot run' : 'none')
}

async function assertEnclosed(
  root: string,
  below: string,
  depth: number,
  forbidden: ReadonlySet<string>,
): Promise<void> {
  for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
    const name = join(below, entry.name)
    const path = join(root, name)
    if (entry.isDirectory()) await assertEnclosed(root, name, depth + 1, forbidden)
    else if (entry.isSymbolicLink()) {
      const fault = enclosedTargetFault(await readlink(path), depth)
      if (fault !== undefined) throw refused(root, `only links within it at ${name}`, fault)
    } else if (entry.isFile()) {
      const found = await firstOf(path, forbidden)
      if (found !== undefined) throw refused(root, `no path of this machine in ${name}`, found)
    } else throw refused(root, `files, directories and links`, `something else at ${name}`)
  }
}

/** The first text of `needles` that the file contains, also across the border of two chunks. */
async function firstOf(path: string, needles: ReadonlySet<string>): Promise<string | undefined> {
  const longest = Math.max(0, ...[...needles].map((needle) => Buffer.byteLength(needle)))
  let rest = Buffer.alloc(0)
  for await (const bytes of contentsOfFile(path)) {
    const window = Buffer.concat([rest, bytes])
    for (const needle of needles) if (window.includes(needle)) return needle
    rest = window.subarray(Math.max(0, window.length - longest + 1))
  }
  return undefined
}

function refused(whose: string, expected: string, found: string): NodeError {
  return new NodeError(
    'SYSTEM_FAILED',
    `expected ${expected} for the generation ${whose}, found ${found}`,
    'Build the generation so that it stands on its own, and has a switch-to-configuration.',
  )
}
