/**
 * Shares seeds out to one process for each core; every one is the same command with its own seeds.
 *
 * The command is put into one plain file first: processes that read TypeScript as they go start seconds
 * later and run slower.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Options } from './options.ts'
import type { SimulationReport, Tally } from './report.ts'

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url))

/**
 * Plays the seeds in `options.jobs` processes and adds up what they report. Gives the first seed that
 * was not played.
 */
export async function shareOut(
  options: Options,
  argv: readonly string[],
  tally: Tally,
): Promise<number> {
  const { jobs, from, seeds, step } = options
  const folder = mkdtempSync(join(tmpdir(), 'nixfleet-simulate-'))
  try {
    const program = await bundle(folder)
    const works = Array.from({ length: jobs }, async (_, i) => {
      const share = seeds === undefined ? undefined : Math.ceil((seeds - i) / jobs)
      const first = from + i * step
      if (share === 0) return Number.POSITIVE_INFINITY
      const own = [
        ...['--jobs', '1', '--json', '--from', String(first), '--step', String(step * jobs)],
        ...(share === undefined ? [] : ['--seeds', String(share)]),
      ]
      const report = await reportOf(program, [...without(argv), ...own])
      tally.merge(report)
      return first + report.seeds * step * jobs
    })
    return Math.min(...(await Promise.all(works)))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function bundle(folder: string): Promise<string> {
  const { build } = await import('esbuild')
  const outfile = join(folder, 'simulate.mjs')
  await build({
    ...{ entryPoints: [MAIN], outfile, bundle: true, platform: 'node', format: 'esm' },
    ...{ sourcemap: 'inline', logLevel: 'error', external: ['esbuild'] },
  })
  return outfile
}

/** The arguments that each process keeps. */
function without(argv: readonly string[]): readonly string[] {
  const replaced = new Set(['--jobs', '--from', '--step', '--seeds', '--cover'])
  return argv.filter(
    (arg, i) =>
      arg !== '--json' &&
      !replaced.has(arg.split('=')[0] ?? '') &&
      !(replaced.has(argv[i - 1] ?? '') && !arg.startsWith('--')),
  )
}

async function reportOf(program: string, args: readonly string[]): Promise<SimulationReport> {
  const child = spawn(process.execPath, ['--enable-source-maps', program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8')
  child.stdout.on('data', (part: string) => {
    text += part
  })
  const [code] = await once(child, 'close')
  const report = text.trimEnd().split('\n').at(-1) ?? ''
  if (!report.startsWith('{'))
    throw new Error(`expected a report of ${args.join(' ')}, it ended with ${code}`)
  return JSON.parse(report) as SimulationReport
}
