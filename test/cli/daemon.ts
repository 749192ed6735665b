/** A real node for a script: started with the configuration in its folder, ended with the test. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { transportOf } from '../../cli/transport.ts'

/** A running node. */
export interface Daemon {
  /** Resolves once its API answers. Throws with its log when it ended instead. */
  answers(): Promise<void>
  /** Ends it at once. */
  end(): Promise<void>
}

/** How long a node may take to answer, on a machine that starts seven of them at once. */
const START_MS_MAX = 60_000
const LOOK_MS = 100

/** Starts the node of `folder`, whose configuration is `node.json` there and whose socket `api.sock`. */
export function startDaemon(
  program: string,
  folder: string,
  env: Readonly<Record<string, string>>,
): Daemon {
  const config = join(folder, 'node.json')
  const child = spawn(process.execPath, [program, 'node', 'run', '--node-config', config], {
    cwd: folder,
    env: { ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => {
    log = `${log}${chunk.toString()}`.slice(-4000)
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const socket = join(folder, 'api.sock')
  const asked = async (): Promise<boolean> => {
    if (!existsSync(socket)) return false
    const transport = transportOf(`unix:${socket}`, () => {
      throw new TypeError('a socket needs no libp2p')
    })
    const question = { method: 'GET', path: '/readyz' } as const
    const signal = AbortSignal.timeout(START_MS_MAX)
    const reply = await transport.ask(question, signal).catch(() => undefined)
    return reply?.status === 200
  }
  return {
    answers: async () => {
      const until = performance.now() + START_MS_MAX
      while (!(await asked())) {
        if (child.exitCode !== null || performance.now() > until)
          throw new Error(`the node of ${folder} does not answer: ${log}`)
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
    },
    end: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}
