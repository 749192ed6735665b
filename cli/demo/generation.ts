/**
 * Writes portable generations: trees that `release create --portable` packs and hosts run.
 *
 * Each has a switch script, a web service, and a page. What is wrong with a bad one is a bug in its
 * own files, which does what bugs do; nothing elsewhere knows of it.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BROKEN_APP, DEPENDENT_APP, GOOD_APP, SWITCH_SCRIPT, WEB_PROGRAM } from './web-service.ts'

/** `broken`: its page fails for visitors. `dependent`: its page needs the stock service. */
export type GenerationKind = 'good' | 'broken' | 'dependent'

const APPS: Readonly<Record<GenerationKind, string>> = {
  good: GOOD_APP,
  broken: BROKEN_APP,
  dependent: DEPENDENT_APP,
}

/** Writes the tree of release `name` into `folder`, which is made; gives `folder`. */
export function writeGeneration(folder: string, name: string, kind: GenerationKind): string {
  for (const part of ['bin', 'www', 'etc']) mkdirSync(join(folder, part), { recursive: true })
  writeFileSync(join(folder, 'bin', 'switch-to-configuration'), SWITCH_SCRIPT, { mode: 0o755 })
  writeFileSync(join(folder, 'bin', 'web.mjs'), WEB_PROGRAM)
  writeFileSync(join(folder, 'app.mjs'), APPS[kind])
  writeFileSync(join(folder, 'etc', 'release'), `${name}\n`)
  writeFileSync(join(folder, 'www', 'index.html'), pageOf(name, kind))
  return folder
}

function pageOf(name: string, kind: GenerationKind): string {
  const stock = kind === 'dependent' ? '<p>{{stock}} in stock</p>' : ''
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    `<title>${name}</title>`,
    '<style>body { font: 1.2rem system-ui; margin: 4rem auto; max-width: 30rem }</style>',
    '</head><body><main>',
    `<h1>${name}</h1>`,
    '<p>served by {{host}}</p>',
    stock,
    '</main></body></html>',
    '',
  ].join('\n')
}
