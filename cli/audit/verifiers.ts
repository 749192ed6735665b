/**
 * The checkers that travel with a pull: none of them uses a line of this program.
 *
 * They lie beside this file, and beside the bundle in dist/.
 */
import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeWhole } from './log-files.ts'

const FILES = ['VERIFY.md', 'verify.sh', 'verify.mjs'] as const

/** How each script names its other half, which takes the place of that line: whoever reads one has all of it before him. */
const HALVES: ReadonlyMap<string, { readonly line: RegExp; readonly name: string }> = new Map([
  ['verify.sh', { line: /^source .*\/verify-bytes\.sh"$/m, name: 'verify-bytes.sh' }],
  ['verify.mjs', { line: /^import .* from '\.\/verify-bytes\.mjs'$/m, name: 'verify-bytes.mjs' }],
])

/** Puts them into `folder`, each in one file. */
export function writeVerifiers(folder: string): void {
  for (const name of FILES) {
    writeWhole(join(folder, name), whole(name))
    if (name === 'verify.sh') chmodSync(join(folder, name), 0o755)
  }
}

/** Throws where a script does not name its half: it would be none without it. */
function whole(name: string): string {
  const text = read(name)
  const half = HALVES.get(name)
  if (half === undefined) return text
  if (!half.line.test(text)) throw new Error(`expected ${name} to name ${half.name}, found no line`)
  const rest = read(half.name)
    .replace(/^export /gm, '')
    .trim()
  return text.replace(half.line, () => rest)
}

function read(name: string): string {
  return readFileSync(new URL(`./${name}`, import.meta.url), 'utf8')
}
