/** Runs `npm run explore` or `npm run simulate` on a workspace, and reads from its report who broke what. */
import { spawn } from 'node:child_process'
import type { Trial } from './mutant.ts'

/** What a command found. `broken` is an invariant of its report; everything else proves nothing. */
export type Outcome =
  | { readonly kind: 'holds' }
  | { readonly kind: 'broken'; readonly invariant: string; readonly seeds: number }
  | { readonly kind: 'failed'; readonly why: string }

/** A case or a few seeds take seconds on an idle machine; a change that makes a voter run in circles never ends. */
const TRIAL_MS_MAX = 120_000
const OUTPUT_CHARS_MAX = 8_000_000
const HEAP_MB = 4096
const MAIN = { explore: 'test/explore/main.ts', simulate: 'test/simulation/main.ts' } as const

/** Runs the command of `trial` in `folder`, at most two minutes long. */
export async function attempt(folder: string, trial: Trial): Promise<Outcome> {
  const { program, args } = trial
  const node = [
    `--max-old-space-size=${HEAP_MB}`,
    '--import',
    'tsx',
    MAIN[program],
    ...args,
    '--json',
  ]
  const { code, stdout, stderr } = await run(node, folder)
  const line = stdout.trimEnd().split('\n').at(-1) ?? ''
  const report = reportOf(line)
  if (report === undefined) {
    const said = stderr
      .trim()
      .split('\n')
      .filter((one) => !one.startsWith('    at '))
      .slice(-8)
      .join(' / ')
    return { kind: 'failed', why: `${trial.name} ended with ${code} and no report: ${said}` }
  }
  const found = program === 'explore' ? explored(report) : simulated(report)
  if (found !== undefined && code === 1) return { kind: 'broken', ...found }
  if (found === undefined && code === 0) return { kind: 'holds' }
  return { kind: 'failed', why: `${trial.name} ended with ${code}: ${line.slice(0, 200)}` }
}

type Report = Readonly<Record<string, unknown>>
type Broken = { readonly invariant: string; readonly seeds: number }

function reportOf(line: string): Report | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Report) : undefined
  } catch {
    return undefined
  }
}

/** A law that a case did not expect to be broken. */
function explored(report: Report): Broken | undefined {
  for (const [i, one] of listOf(report['cases']).entries()) {
    const found = listOf(one['violations']).find(({ invariant }) => invariant !== one['expected'])
    if (found !== undefined) return { invariant: String(found['invariant']), seeds: i + 1 }
  }
  return undefined
}

function simulated(report: Report): Broken | undefined {
  const [first] = listOf(report['violations'])
  if (first === undefined) return undefined
  return { invariant: String(first['invariant']), seeds: Number(report['seeds']) }
}

function listOf(value: unknown): readonly Report[] {
  return Array.isArray(value) ? (value as Report[]) : []
}

async function run(
  args: readonly string[],
  cwd: string,
): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = (stdout + text).slice(-OUTPUT_CHARS_MAX)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-OUTPUT_CHARS_MAX)
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), TRIAL_MS_MAX)
  const code = await new Promise<number | string>((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'nothing'))
  })
  clearTimeout(timer)
  return { code, stdout, stderr }
}
