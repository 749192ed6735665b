/**
 * The disk's witness as a file on another file system, tmpfs as a rule (SPEC §7.6).
 *
 * On the file system of the data folder it would go back together with it, and say that nothing is lost.
 */
import { type FileHandle, mkdir, open, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { DiskWitness, Logger } from './ports.ts'

/** What is remembered: which disk, and how many batches. */
const WITNESS_BYTES = 24

/** Where the witness may stand: the first folder that can be made, on another file system than `data`. */
export interface WitnessPlace {
  readonly data: string
  readonly folders: readonly string[]
}

/** Opens the witness. Where no folder will do, it forgets everything, and says so in the log. */
export async function openWitness(place: WitnessPlace, log: Logger): Promise<DiskWitness> {
  for (const folder of place.folders) {
    if (await isApart(folder, place.data)) return new WitnessFile(join(folder, 'witness'))
  }
  log.warn(
    { folders: place.folders },
    'no folder for the witness of the disk outside the file system of the data folder: after each start this voter waits for the others. Set "witness"',
  )
  return { read: async () => undefined, write: async () => undefined }
}

/** Nobody else may own it, or the folder above it: whoever does could put an old witness back. */
async function isApart(folder: string, data: string): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const [own, above, other] = await Promise.all(
      [folder, dirname(folder), data].map((path) => stat(path)),
    )
    const safe = [0, process.getuid?.()]
    return own?.dev !== other?.dev && safe.includes(own?.uid) && safe.includes(above?.uid)
  } catch {
    return false
  }
}

class WitnessFile implements DiskWitness {
  readonly #path: string
  #file: Promise<FileHandle> | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** A file that is cut short was written when the power went: it has forgotten. */
  async read(): Promise<Uint8Array | undefined> {
    try {
      const bytes = new Uint8Array(await readFile(this.#path))
      return bytes.length === WITNESS_BYTES ? bytes : undefined
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** In place, in one write: what it says is never between two counts for longer than that. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#file ??= openInPlace(this.#path)
    const file = await this.#file
    await file.write(bytes, 0, bytes.length, 0)
    await file.datasync()
  }
}

/** Made where it is missing, and never cut: `a+` would write at its end alone. */
async function openInPlace(path: string): Promise<FileHandle> {
  await (await open(path, 'a', 0o600)).close()
  return await open(path, 'r+', 0o600)
}
