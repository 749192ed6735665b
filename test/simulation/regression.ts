/** Scenarios that broke an invariant once, as files: each is played again by a test, for good. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Scenario } from './scenario.ts'

export const REGRESSIONS: string = join(dirname(fileURLToPath(import.meta.url)), 'regressions')

export interface Regression {
  /** What it broke when it was found, and what the fault in the code was. */
  readonly broke: string
  readonly why: string
  readonly scenario: Scenario
}

export function readRegression(file: string): Regression {
  return JSON.parse(readFileSync(file, 'utf8')) as Regression
}

export function writeRegression(folder: string, regression: Regression): string {
  const { scenario, broke } = regression
  const file = join(folder, `${broke.toLowerCase()}-seed-${scenario.seed}.json`)
  writeFileSync(file, `${JSON.stringify(regression, null, 1)}\n`)
  return file
}

/** Every kept scenario, by the name of its file. */
export function allRegressions(): readonly { readonly name: string; readonly file: string }[] {
  return readdirSync(REGRESSIONS)
    .filter((name) => name.endsWith('.json'))
    .map((name) => ({ name, file: join(REGRESSIONS, name) }))
}
