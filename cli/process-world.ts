/** The process as the CLI's world: streams, signals, clock and chance. The one reader of `process`. */
import { isatty } from 'node:tty'
import type { Sink } from './output.ts'

/** What the CLI needs of its process. */
export interface World {
  readonly stdout: Sink
  readonly stderr: Sink
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly signal: AbortSignal
  readonly now: () => number
  readonly sleep: (ms: number) => Promise<void>
  readonly random: (count: number) => Uint8Array
  readonly ask: (question: string) => Promise<string | undefined>
}

/** The world of this process, and how to let go of it. */
export function processWorld(): World & { readonly done: () => void } {
  const stop = new AbortController()
  let signals = 0
  const onSignal = (name: NodeJS.Signals): void => {
    signals += 1
    stop.abort(name)
    // A second Ctrl-C means it.
    if (signals > 1) process.exit(name === 'SIGTERM' ? 143 : 130)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return {
    stdout: sink(1, () => process.stdout),
    stderr: sink(2, () => process.stderr),
    env: process.env,
    cwd: process.cwd(),
    signal: stop.signal,
    now: () => Date.now(),
    sleep: (ms) => sleep(ms, stop.signal),
    // The global of that name: importing the module would cost a light command a tenth of its start.
    random: (count) => crypto.getRandomValues(new Uint8Array(count)),
    ask: (question) => ask(question, stop.signal),
    done: () => {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    },
  }
}

/** Opens its stream with the first word: most commands say nothing on stderr. */
function sink(descriptor: number, open: () => NodeJS.WriteStream): Sink {
  let opened: NodeJS.WriteStream | undefined
  const stream = (): NodeJS.WriteStream => {
    // The reader of a pipe went away: nobody wants the rest.
    opened ??= open().on('error', (error: NodeJS.ErrnoException) =>
      process.exit(error.code === 'EPIPE' ? 0 : 74),
    )
    return opened
  }
  return {
    write: (text) => void stream().write(text),
    drained: async () => {
      if (stream().writableNeedDrain) await new Promise((done) => stream().once('drain', done))
    },
    isTTY: isatty(descriptor),
    get columns() {
      return stream().columns ?? 80
    },
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
    function end(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
  })
}

async function ask(question: string, signal: AbortSignal): Promise<string | undefined> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return undefined
  const { createInterface } = await import('node:readline/promises')
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await lines.question(question, { signal })
  } finally {
    lines.close()
  }
}
