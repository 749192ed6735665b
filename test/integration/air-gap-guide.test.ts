/**
 * The air-gap guide, word for word: every block of docs/air-gap-guide.md is run as it stands, on the
 * machines that are named above it, each with its own network namespace, its own /srv and the stick.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { suiteNeeds } from '../require.ts'
import { builtProgram } from './fleet-processes.ts'
import { labIsPossible, NetworkLab } from './network-lab.ts'

const GUIDE = fileURLToPath(new URL('../../docs/air-gap-guide.md', import.meta.url))
const PUMPS = ['pump-1', 'pump-2', 'pump-3']
const MACHINES = [...PUMPS, 'office']
/** The longest that one block may take: a whole rollout, on a busy machine. */
const BLOCK_MS_MAX = 180_000
const SHELL = '/bin/bash'

interface Block {
  readonly on: readonly string[]
  readonly text: string
  readonly line: number
}

/** The blocks of the guide in order, each with the machines that the line above it names. */
function blocksOf(guide: string): readonly Block[] {
  const lines = guide.split('\n')
  return lines.flatMap((start, i): Block[] => {
    if (start !== '```sh') return []
    const [, names = ''] = /^On (.*):$/.exec(lines[i - 2] ?? '') ?? []
    const end = lines.indexOf('```', i)
    return [{ on: names.split(', '), text: lines.slice(i + 1, end).join('\n'), line: i + 2 }]
  })
}

/** One machine: a shell that stays, as somebody sits in front of it. */
class Seat {
  readonly #shell: ChildProcess
  #heard = ''
  #ended: ((exit: number) => void) | undefined

  constructor(command: readonly string[]) {
    const [program = '', ...args] = command
    this.#shell = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    for (const stream of [this.#shell.stdout, this.#shell.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#hear(text))
    }
  }

  /** Types a block; gives what was said, and the exit code of the first command that failed, or 0. */
  async type(text: string): Promise<{ readonly exit: number; readonly said: string }> {
    this.#heard = ''
    const exit = await new Promise<number>((resolve, reject) => {
      this.#ended = resolve
      setTimeout(
        () => reject(new Error(`no end of:\n${text}\n${this.#heard}`)),
        BLOCK_MS_MAX,
      ).unref()
      // In the shell itself, so that what is set and where one stands outlives the block.
      const typed = `trap 'BAD=\${BAD:-$?}' ERR; BAD=\n${text}\ntrap - ERR; echo "@ended \${BAD:-0}@"\n`
      this.#shell.stdin?.write(typed)
    })
    return { exit, said: this.#heard }
  }

  /** Ends the shell and everything that it started. */
  leave(): void {
    const { pid } = this.#shell
    if (pid !== undefined && this.#shell.exitCode === null) process.kill(-pid, 'SIGKILL')
  }

  #hear(text: string): void {
    this.#heard += text
    const [, exit] = /@ended (\d+)@/.exec(this.#heard) ?? []
    if (exit !== undefined) this.#ended?.(Number(exit))
  }
}

let lab: NetworkLab
let folder: string
const seats = new Map<string, Seat>()

/** Words that put a shell on a machine: its network, its own /srv, the stick, and `nixfleet`. */
function seatAt(machine: string, program: string): readonly string[] {
  const own = join(folder, machine)
  mkdirSync(join(own, 'srv'), { recursive: true })
  mkdirSync(join(own, 'bin'))
  const wrapper = `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`
  writeFileSync(join(own, 'bin', 'nixfleet'), wrapper, { mode: 0o755 })
  const mounts = [
    `mount --bind ${join(own, 'srv')} /srv`,
    'mount -t tmpfs tmpfs /media',
    'mkdir /media/stick',
    `mount --bind ${join(folder, 'stick')} /media/stick`,
    `cd ${own}`,
    `exec env -i HOME=${own} PATH=${join(own, 'bin')}:${process.env['PATH']} TERM=dumb ${SHELL}`,
  ]
  const inside = ['unshare', '-m', '--propagation', 'private', 'sh', '-ec', mounts.join('\n')]
  return [...lab.command(machine), ...inside]
}

const suite = suiteNeeds('root, ip and nft', labIsPossible)

suite('the air-gap guide', () => {
  beforeAll(() => {
    const program = builtProgram()
    folder = mkdtempSync(join(tmpdir(), 'nf-guide-'))
    mkdirSync(join(folder, 'stick'))
    lab = new NetworkLab(MACHINES)
    lab.split(['office'])
    for (const machine of MACHINES) seats.set(machine, new Seat(seatAt(machine, program)))
  }, 60_000)

  afterAll(() => {
    for (const seat of seats.values()) seat.leave()
    lab?.destroy()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  it('does what it says, block by block', async () => {
    const blocks = blocksOf(readFileSync(GUIDE, 'utf8'))
    expect(blocks.length, 'a guide without commands shows nothing').toBeGreaterThan(15)
    expect(new Set(blocks.flatMap(({ on }) => on))).toEqual(new Set(MACHINES))
    const said = new Map<string, string>()
    for (const { on, text, line } of blocks) {
      const all = on.map(async (machine) => {
        const seat = seats.get(machine)
        if (seat === undefined) throw new Error(`line ${line}: no machine ${machine}`)
        const ran = await seat.type(text)
        expect(ran.exit, `line ${line} on ${machine}:\n${text}\n${ran.said}`).toBe(0)
        said.set(`${line} ${machine}`, ran.said)
      })
      await Promise.all(all)
    }
    const everything = [...said.values()].join('\n')
    expect(everything.match(/^release 1$/gm), 'all three ran the release').toHaveLength(3)
    expect(everything).toContain('valve 3 leaks')
    process.stdout.write(`air-gap guide: ${blocks.length} blocks ran as written\n`)
  }, 600_000)
})
