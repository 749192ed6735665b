/**
 * Whole-program scripts: what a person types, what they must see.
 *
 *     $ nixfleet help nonsense          a command; words in 'single' or "double" quotes stay together
 *     exit 64                           its exit code, always said
 *     > a line of stdout                in order; `...` alone stands for any lines
 *     ! a line of stderr
 *     @ word argument                   something that the runner does (see the runner's table)
 *
 * Placeholders in lines: <id> 8 hex digits, <hash> 64, <time> a UTC time, <span> a length of time,
 * <any> the rest of what stands there. In commands {word} is what a directive named so. `# …` is a comment.
 */
import { spawn } from 'node:child_process'

export interface Step {
  readonly line: number
  readonly text: string
  readonly exit: number
  readonly stdout: readonly string[]
  readonly stderr: readonly string[]
}
export interface Directive {
  readonly line: number
  readonly directive: string
  readonly argument: string
}

export interface Ran {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

/** The steps of a script, in order. Throws on a line that is none of the forms above. */
export function parseScript(text: string): readonly (Step | Directive)[] {
  const steps: (Step | Directive)[] = []
  let open:
    | { line: number; text: string; exit?: number; stdout: string[]; stderr: string[] }
    | undefined
  const close = (): void => {
    if (open === undefined) return
    if (open.exit === undefined) throw new Error(`line ${open.line}: a command without exit code`)
    steps.push({ ...open, exit: open.exit })
    open = undefined
  }
  text.split('\n').forEach((raw, index) => {
    const line = index + 1
    if (raw.trim() === '' || raw.startsWith('#')) return
    const mark = raw.slice(0, 2)
    if (mark === '$ ') {
      close()
      open = { line, text: raw.slice(2), stdout: [], stderr: [] }
    } else if (mark === '@ ') {
      close()
      const [directive = '', ...rest] = raw.slice(2).split(' ')
      steps.push({ line, directive, argument: rest.join(' ') })
    } else if (open !== undefined && raw.startsWith('exit ')) open.exit = Number(raw.slice(5))
    else if (open !== undefined && (mark === '> ' || raw === '>')) open.stdout.push(raw.slice(2))
    else if (open !== undefined && (mark === '! ' || raw === '!')) open.stderr.push(raw.slice(2))
    else throw new Error(`line ${line}: not understood: ${raw}`)
  })
  close()
  return steps
}

/** Words of a command line; quotes keep words together. */
export function words(text: string): readonly string[] {
  return [...text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  )
}

/** Where `found` is not what `expected` says, or undefined when it is. */
export function difference(expected: readonly string[], found: string): string | undefined {
  const lines = found === '' ? [] : found.replace(/\n$/, '').split('\n')
  const matches = (i: number, j: number): boolean => {
    if (i === expected.length) return j === lines.length
    if (expected[i] === '...') return matches(i + 1, j) || (j < lines.length && matches(i, j + 1))
    return (
      j < lines.length && pattern(expected[i] ?? '').test(lines[j] ?? '') && matches(i + 1, j + 1)
    )
  }
  if (matches(0, 0)) return undefined
  return `expected\n${indent(expected)}\nfound\n${indent(lines)}`
}

const PLACEHOLDERS: Readonly<Record<string, string>> = {
  id: '[0-9a-f]{8}',
  hash: '[0-9a-f]{64}',
  time: '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d',
  span: '\\d+(\\.\\d)? (ms|s|m|h|d)',
  any: '.*',
}

function pattern(line: string): RegExp {
  const parts = line.split(/(<(?:id|hash|time|span|any)>)/)
  const source = parts.map((part) => {
    const name = /^<(\w+)>$/.exec(part)?.[1]
    return (name && PLACEHOLDERS[name]) ?? part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  })
  return new RegExp(`^${source.join('')}$`)
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `  | ${line}`).join('\n')
}

/** Runs the program once. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: {
    cwd: string
    env: Record<string, string>
    onStdout?: (text: string, stop: (signal: NodeJS.Signals) => void) => void
  },
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: options.cwd,
      env: options.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
      options.onStdout?.(stdout, (signal) => child.kill(signal))
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString()
    })
    child.on('error', reject)
    child.on('close', (code, signal) =>
      resolve({ exit: code ?? (signal ? -1 : 0), stdout, stderr }),
    )
  })
}
