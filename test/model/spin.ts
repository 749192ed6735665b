/** Runs Spin on one model: generate, compile, search with bounds, and read what the verifier says. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ModelRun, Verdict } from './runs.ts'

/** Memory of one verifier: four times what the largest run took. */
const MEMORY_MB = 2_000
/** Steps of one path; the longest seen has under 400. */
const DEPTH = 20_000
/** A verifier that has not ended by then has seen too much. */
const SECONDS_MAX = 240

export interface ModelResult {
  readonly name: string
  readonly expected: Verdict
  /** `truncated` when a bound was hit: then nothing is known. */
  readonly found: Verdict | 'truncated'
  readonly states: number
  readonly seconds: number
  readonly why: string
}

/** Searches one model. Throws when Spin or the compiler is missing, or refuses the model. */
export function check(run: ModelRun): ModelResult {
  const folder = mkdtempSync(join(tmpdir(), 'nixfleet-model-'))
  try {
    const source = fileURLToPath(new URL(run.file, import.meta.url))
    const safety = run.formula === undefined
    mustRun(folder, 'spin', [...run.define.map((one) => `-D${one}`), '-a', source])
    // Generated code indexes arrays with what cannot be negative; the compiler's warnings are about that.
    const bounds = [`-DMEMLIM=${MEMORY_MB}`, '-DCOLLAPSE', ...(safety ? ['-DSAFETY'] : [])]
    mustRun(folder, 'cc', ['-O2', '-w', ...bounds, '-o', 'pan', 'pan.c'])
    const started = performance.now()
    const formula = safety ? [] : ['-a', '-f', '-N', run.formula ?? '']
    const searched = spawnSync(join(folder, 'pan'), [`-m${DEPTH}`, ...formula], {
      cwd: folder,
      encoding: 'utf8',
      timeout: SECONDS_MAX * 1000,
    })
    const seconds = (performance.now() - started) / 1000
    const output = `${searched.stdout}${searched.stderr}`
    return { name: run.name, expected: run.expected, seconds, ...read(output) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * What a verifier's output says. `holds` only when it ended by itself, saw no error, and hit no bound
 * of depth or memory: a search that was cut short proves nothing.
 */
export function read(output: string): Pick<ModelResult, 'found' | 'states' | 'why'> {
  const states = Number(/^\s*(\d+) states, stored/m.exec(output)?.[1] ?? 0)
  const errors = /errors: (\d+)/.exec(output)?.[1]
  const seen = /assertion violated|acceptance cycle/.exec(output)?.[0]
  if (seen !== undefined) return { found: 'broken', states, why: seen }
  const cut = /max search depth too small|out of memory|memory limit|Search not completed/.exec(
    output,
  )
  if (cut !== null) return { found: 'truncated', states, why: cut[0] }
  if (errors === undefined) return { found: 'truncated', states, why: 'the verifier did not end' }
  if (errors !== '0' || states === 0) {
    return { found: 'truncated', states, why: `errors: ${errors}, states: ${states}` }
  }
  return { found: 'holds', states, why: 'every state seen' }
}

/** What is missing to run models; undefined when all is there. */
export function missingTool(): string | undefined {
  return ['spin', 'cc'].find((tool) => {
    const asked = spawnSync(tool, [tool === 'spin' ? '-V' : '--version'])
    return asked.error !== undefined || asked.status !== 0
  })
}

function mustRun(cwd: string, command: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' })
  if (status === 0) return
  throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? stdout + stderr}`)
}
