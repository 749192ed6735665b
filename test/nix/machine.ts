/**
 * A machine of its own, as far as Nix can tell: mount and process namespaces with a literal /nix and
 * /run. Its first process ends with the pipe that holds it, and the kernel then ends all others, so
 * nothing is left behind however a test ends.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

/** How a program on a machine ended. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

type Environment = Readonly<Record<string, string>>

/** Waits for the end of the pipe; `wait` also takes in every process whose parent has gone. */
const FIRST_PROCESS = `
mount --bind "$1/nix" /nix && mount --bind "$1/run" /run && echo up || exit 1
exec 3<&0
cat <&3 >/dev/null &
wait $!
`
const NAMESPACES = ['--mount', '--propagation', 'private', '--pid', '--fork', '--mount-proc']

/** Whether this machine can hold others, or why not. */
export function canHoldMachines(): boolean | string {
  if (process.getuid?.() !== 0) return 'not root'
  for (const program of ['nix', 'busybox', 'nsenter']) {
    if (spawnSync(program, ['--help']).error) return `${program} is not installed`
  }
  return spawnSync('unshare', [...NAMESPACES, 'true']).status === 0 || 'no namespaces'
}

/** A machine whose disk is a folder. */
export class Machine {
  readonly folder: string
  readonly env: Environment
  readonly #first: ChildProcess

  private constructor(folder: string, env: Environment, first: ChildProcess) {
    this.folder = folder
    this.env = env
    this.#first = first
  }

  /** Starts the machine of `folder`; every program on it gets `env` and nothing else. */
  static async boot(folder: string, env: Environment): Promise<Machine> {
    await mkdir('/nix', { recursive: true })
    await mkdir(join(folder, 'nix', 'var'), { recursive: true })
    await mkdir(join(folder, 'run'), { recursive: true })
    const args = [...NAMESPACES, '--kill-child', 'sh', '-c', FIRST_PROCESS, 'sh', folder]
    const first = spawn('unshare', args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const up = once(first.stdout, 'data').then(() => true)
    const down = once(first, 'exit').then(() => false)
    if (await Promise.race([up, down])) return new Machine(folder, env, first)
    throw new Error(`expected the machine in ${folder} to come up, found that it ended`)
  }

  /** Runs a program to its end. Throws when it fails, with what it printed. */
  async run(...command: readonly string[]): Promise<string> {
    const ended = await this.try(...command)
    if (ended.code === 0) return ended.stdout.trim()
    throw new Error(`${command.join(' ')}\nended with ${ended.code}: ${ended.stderr}`)
  }

  /** Runs a program to its end, whatever that is. */
  try(...command: readonly string[]): Promise<Ended> {
    return ended(this.start(command, 'pipe'))
  }

  /** Starts a program; `output` is where both of its streams go. */
  start(command: readonly string[], output: 'pipe' | number): ChildProcess {
    const { pid } = this.#first
    // The namespace of processes that unshare made is that of its children, not its own.
    const places = [`--mount=/proc/${pid}/ns/mnt`, `--pid=/proc/${pid}/ns/pid_for_children`]
    return spawn('nsenter', [...places, '--', ...command], {
      env: this.env,
      stdio: ['ignore', output, output],
    })
  }

  /** Switches it off: every process on it is killed, its mounts go with it. */
  async off(): Promise<void> {
    if (this.#first.exitCode !== null || this.#first.signalCode !== null) return
    const gone = once(this.#first, 'exit')
    this.#first.stdin?.end()
    await gone
  }
}

/** Collects what a program prints until it has ended. */
export async function ended(child: ChildProcess): Promise<Ended> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  return { code: typeof code === 'number' ? code : -1, stdout, stderr }
}
