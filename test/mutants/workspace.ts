/** A copy of the source in a folder of its own: mutants are made there, never in the repository. */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Edit, mutate } from './mutant.ts'

/** The repository that this file lies in. */
export const ROOT: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

const COPIED = ['protocol', 'rollout', 'compliance', 'node', 'cli', 'test'] as const
const FILES = ['package.json', 'tsconfig.json'] as const

export class Workspace {
  readonly path: string
  readonly #before = new Map<string, string>()

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'nixfleet-mutants-'))
    for (const part of [...COPIED, ...FILES]) {
      const from = join(ROOT, part)
      if (existsSync(from)) cpSync(from, join(this.path, part), { recursive: true })
    }
    symlinkSync(join(ROOT, 'node_modules'), join(this.path, 'node_modules'))
  }

  /** Makes the edits, all or none. Throws where one does not apply. */
  apply(edits: readonly Edit[]): void {
    const texts = new Map<string, string>()
    for (const edit of edits) {
      const { file } = edit
      const text = texts.get(file) ?? readFileSync(join(this.path, file), 'utf8')
      if (!this.#before.has(file)) this.#before.set(file, text)
      texts.set(file, mutate(text, edit))
    }
    for (const [file, text] of texts) writeFileSync(join(this.path, file), text)
  }

  /** The source as it ships again. */
  revert(): void {
    for (const [file, text] of this.#before) writeFileSync(join(this.path, file), text)
    this.#before.clear()
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
