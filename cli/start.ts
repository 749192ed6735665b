/**
 * The first file that Node reads: it starts the light program from what V8 made of it before.
 *
 * Compiling is most of what a light command costs beyond Node itself, and it is the same each time. V8
 * refuses code that another version of it made; without any the program starts as slowly as it must.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Script } from 'node:vm'
import type { runLight } from './light.ts'

/** The light program beside this file; its name carries the hash of its content. */
declare const LIGHT_PROGRAM: string

const path = `${__dirname}/${LIGHT_PROGRAM}`
const codePath = `${path}.${process.version}-${process.arch}.code`
const known = readKnown()
const script = new Script(`(function(module,require){${readFileSync(path, 'utf8')}\n})`, {
  filename: path,
  ...(known && { cachedData: known }),
})
// At the end, so that what ran is in it and what did not is left out.
if (known === undefined || script.cachedDataRejected === true) process.once('exit', keep)
void run()

async function run(): Promise<void> {
  const light = { exports: {} as { readonly runLight: typeof runLight } }
  script.runInThisContext()(light, createRequire(path))
  if ((await light.exports.runLight()) === 'not here') await import('./main.ts')
}

function readKnown(): Buffer | undefined {
  try {
    return readFileSync(codePath)
  } catch {
    return undefined
  }
}

/** Written whole or not at all. The folder may belong to somebody else, or the disk be full. */
function keep(): void {
  const fresh = `${codePath}.${process.pid}`
  try {
    writeFileSync(fresh, script.createCachedData(), { flag: 'wx' })
    renameSync(fresh, codePath)
  } catch {
    rmSync(fresh, { force: true })
  }
}
