/**
 * What peers hold, as a binary cache that Nix itself reads: one directory, made for one copy.
 *
 * The narinfo files repeat the signatures of the manifest, so Nix checks the same keys over the same
 * fingerprint as with any cache: a peer is a mirror, never somebody to trust.
 */
import { mkdir, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createSha256,
  type ManifestPath,
  printNarinfo,
  storeHashOf,
  storeNameOf,
  toHex,
} from '../../protocol/index.ts'
import { NAR_STALL_MS_MAX } from '../limits.ts'
import type { StageSource } from '../ports.ts'
import { narinfoOf } from './release-narinfo.ts'
import { withoutStalls } from './stall.ts'

/**
 * Pulls the NARs of `paths` and writes them to `directory`, which is emptied first.
 *
 * Throws what the source throws, and on bytes that are not those of the manifest.
 */
export async function writePeerCache(
  directory: string,
  paths: readonly ManifestPath[],
  source: Pick<StageSource, 'nar'>,
): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await mkdir(join(directory, 'nar'), { recursive: true, mode: 0o700 })
  await writeFile(join(directory, 'nix-cache-info'), 'StoreDir: /nix/store\n')
  for (const path of paths) {
    const info = narinfoOf(path)
    await writeNarFile(join(directory, info.url), path, source.nar(path))
    const name = `${storeHashOf(storeNameOf(info.storePath))}.narinfo`
    await writeFile(join(directory, name), printNarinfo(info))
  }
}

async function writeNarFile(
  file: string,
  path: ManifestPath,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const sha = createSha256()
  let size = 0
  const handle = await open(file, 'wx', 0o600)
  try {
    for await (const bytes of withoutStalls(chunks, NAR_STALL_MS_MAX)) {
      size += bytes.length
      if (size > path.narSize) break
      sha.update(bytes)
      await handle.writeFile(bytes)
    }
  } finally {
    await handle.close()
  }
  if (size === path.narSize && toHex(sha.digest()) === path.narHash) return
  const expected = `expected the ${path.narSize} bytes of ${path.path}`
  if (size < path.narSize) throw new Error(`${expected}, found only ${size}`)
  throw new Error(`hash mismatch: ${expected}, found others`)
}
