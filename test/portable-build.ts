/** Builds small portable generations on the disk, and hands out their NARs, for the system's tests. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StageSource } from '../node/ports.ts'
import { type BuiltGeneration, readPortableGeneration } from '../node/system/generation.ts'
import { narOfDisk } from '../node/system/nar-disk.ts'

/** A built generation with the bytes of its NARs, by hash. */
export interface BuiltNars extends BuiltGeneration {
  readonly nars: ReadonlyMap<string, Uint8Array>
}

/** What is built into a generation, besides the note that its switch leaves. */
export interface BuildOptions {
  /** The exit code of its switch. */
  readonly exitCode?: number
  /** Shell lines that its switch runs after its note. */
  readonly script?: string
}

/**
 * A generation under `directory` whose switch adds `<label> <verb>` to
 * `$NIXFLEET_STATE_DIR/switches`.
 */
export async function buildPortable(
  directory: string,
  label: string,
  options: BuildOptions = {},
): Promise<BuiltNars> {
  const tree = join(directory, label)
  await mkdir(join(tree, 'bin'), { recursive: true })
  await mkdir(join(tree, 'etc'))
  await writeFile(join(tree, 'etc', 'label'), label)
  const lines = [
    '#!/bin/sh',
    `echo "${label} $1" >>"$NIXFLEET_STATE_DIR/switches"`,
    options.script ?? '',
    `exit ${options.exitCode ?? 0}`,
  ]
  const program = join(tree, 'bin', 'switch-to-configuration')
  await writeFile(program, `${lines.join('\n')}\n`)
  await chmod(program, 0o755)
  const built = await readPortableGeneration(tree)
  const nars = new Map<string, Uint8Array>()
  for (const path of built.paths) nars.set(path.narHash, await bytesOf(narOfDisk(tree, label)))
  return { ...built, nars }
}

/** A source that hands out the NARs of `built` in pieces of 100 bytes. */
export function sourceOf(built: BuiltNars, changes: Partial<StageSource> = {}): StageSource {
  return {
    paths: built.paths,
    caches: [],
    cacheKeys: [],
    nar: (path) => pieces(built.nars.get(path.narHash), 100),
    ...changes,
  }
}

/** `bytes` in pieces; throws when there are none, as a peer does that does not hold them. */
export async function* pieces(
  bytes: Uint8Array | undefined,
  size: number,
): AsyncGenerator<Uint8Array, void> {
  if (!bytes) throw new Error('no peer holds it')
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** All bytes of a stream. */
export async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}
