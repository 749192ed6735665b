/** Runs every script of this folder against the built program and, where it asks for one, a fake fleet. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePorts } from '../../cli/demo/ports.ts'
import { type Listening, listenUnix } from '../../node/api/listen.ts'
import { createApi } from '../../node/api/server.ts'
import { type Daemon, startDaemon } from './daemon.ts'
import { FakeBackend } from './fake-backend.ts'
import { difference, parseScript, runProgram, type Step, words } from './script.ts'

const folder = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('../..', import.meta.url))
const scripts = readdirSync(folder).filter((name) => name.endsWith('.txt'))
const quiet = { warn: () => undefined, error: () => undefined }

let program = ''
let cwd = ''
let peers: { name: string; backend: FakeBackend; listening: Listening }[] = []
let env: Record<string, string> = {}
/** What commands name as {word}. */
let values: Map<string, string> = new Map()
let daemons: Daemon[] = []

beforeAll(() => {
  // Builds only what changed since the last build.
  execFileSync(process.execPath, [join(root, 'cli/bundle.mjs')], { stdio: 'pipe' })
  program = join(root, 'dist/nixfleet.cjs')
})
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'nf-cli-'))
  env = {
    HOME: cwd,
    XDG_CONFIG_HOME: join(cwd, 'config'),
    PATH: process.env['PATH'] ?? '',
    TERM: 'xterm',
  }
})
afterEach(async () => {
  for (const { listening } of peers) await listening.close()
  peers = []
  await Promise.all(daemons.map((daemon) => daemon.end()))
  daemons = []
  values = new Map()
  rmSync(cwd, { recursive: true })
})

/** What `@` lines do. */
const directives: Readonly<Record<string, (argument: string) => void | Promise<void>>> = {
  /** Makes a file: its name, then its content. */
  file: (argument) => {
    const [name = '', ...content] = argument.split(' ')
    mkdirSync(join(cwd, name, '..'), { recursive: true })
    writeFileSync(join(cwd, name), `${content.join(' ')}\n`)
  },
  /** Takes bytes off the end of a file. */
  cut: (argument) => {
    const [name = '', bytes = ''] = argument.split(' ')
    const whole = readFileSync(join(cwd, name))
    writeFileSync(join(cwd, name), whole.subarray(0, whole.length - Number(bytes)))
  },
  /** Changes one byte of a file, counted from its end if below zero. */
  flip: (argument) => {
    const [name = '', at = ''] = argument.split(' ')
    const bytes = readFileSync(join(cwd, name))
    const place = (Number(at) + bytes.length) % bytes.length
    bytes[place] = (bytes[place] ?? 0) ^ 1
    writeFileSync(join(cwd, name), bytes)
  },
  copy: (argument) => {
    const [from = '', to = ''] = argument.split(' ')
    copyFileSync(join(cwd, from), join(cwd, to))
  },
  /** The first peer finds that facts before those of a bundle are missing. */
  gaps: (argument) => {
    const [peer] = peers
    if (peer) peer.backend.gaps = argument === 'on'
  },
  chmod: (argument) => {
    const [mode = '', name = ''] = argument.split(' ')
    chmodSync(join(cwd, name), Number.parseInt(mode, 8))
  },
  /** A file must have this mode. */
  mode: (argument) => {
    const [mode, name = ''] = argument.split(' ')
    expect((statSync(join(cwd, name)).mode & 0o777).toString(8), name).toBe(mode)
  },
  env: (argument) => {
    const [name = '', value = ''] = argument.split('=')
    env[name] = value
  },
  /** Serves the fleet that `bootstrap --out fleet` made, at a socket for each of these hosts. */
  serve: async (argument) => {
    const trust = {
      rootHash: readFileSync(join(cwd, 'fleet/trust/root.hash'), 'utf8').trim(),
      root: new Uint8Array(readFileSync(join(cwd, 'fleet/trust/root.cbor'))),
      config: new Uint8Array(readFileSync(join(cwd, 'fleet/trust/group.cbor'))),
    }
    const [first = '', ...others] = argument.split(' ')
    const backend = new FakeBackend(first, trust)
    for (const name of [first, ...others]) {
      const path = join(cwd, '.nixfleet-demo', 'sockets', `${name}.sock`)
      peers.push({
        name,
        backend,
        listening: await listenUnix(createApi({ backend, log: quiet }), path),
      })
    }
  },
  /** Free ports of loopback, which commands name as {port-1}, {port-2}, … */
  ports: async (count) => {
    const first = await freePorts(Number(count), Math.random)
    for (let i = 0; i < Number(count); i++) values.set(`port-${i + 1}`, String(first + i))
  },
  /** Names a value of a JSON file: its name, the file, the key. */
  take: (argument) => {
    const [name = '', file = '', key = ''] = argument.split(' ')
    const found = (JSON.parse(readFileSync(join(cwd, file), 'utf8')) as Record<string, unknown>)[
      key
    ]
    values.set(name, String(found))
  },
  /** Starts real nodes, each with the configuration in its folder, and waits until all of them answer. */
  nodes: async (names) => {
    const started = names.split(' ').map((name) => startDaemon(program, join(cwd, name), env))
    daemons.push(...started)
    await Promise.all(started.map((daemon) => daemon.answers()))
  },
  /** A peer stops answering. */
  kill: async (name) => {
    await peers.find((peer) => peer.name === name)?.listening.close()
  },
  verdict: (verdict) => {
    const [peer] = peers
    if (peer) peer.backend.knobs.verdict = verdict as 'admit' | 'conflict' | 'silent'
  },
  failing: (host) => {
    const [peer] = peers
    if (peer) peer.backend.knobs.failing = host === '-' ? undefined : host
  },
  reachable: (count) => {
    const [peer] = peers
    if (peer) peer.backend.knobs.reachable = Number(count)
  },
}

describe('scripts of the command line', () => {
  it('are there', () => {
    expect(scripts.length).toBeGreaterThan(3)
  })

  it.each(scripts)('%s', async (name) => {
    const steps = parseScript(readFileSync(join(folder, name), 'utf8'))
    expect(steps.length).toBeGreaterThan(0)
    for (const step of steps) {
      if ('directive' in step) {
        const act = directives[step.directive]
        if (act === undefined)
          throw new Error(`${name}:${step.line}: no directive ${step.directive}`)
        await act(step.argument)
      } else await check(name, step)
    }
  })
})

function named(text: string, name: string): string {
  return values.get(name) ?? text
}

async function check(name: string, step: Step): Promise<void> {
  const [first, ...args] = words(step.text.replaceAll(/{([a-z0-9-]+)}/g, named))
  expect(first, `${name}:${step.line}`).toBe('nixfleet')
  const redirect = args.indexOf('>>')
  const target = redirect < 0 ? undefined : args[redirect + 1]
  const ran = await runProgram(program, redirect < 0 ? args : args.slice(0, redirect), { cwd, env })
  if (target !== undefined) writeFileSync(join(cwd, target), ran.stdout)
  const stdout = target === undefined ? ran.stdout : ''
  const where = `${name}:${step.line}: ${step.text}\n`
  expect(ran.exit, `${where}${ran.stdout}${ran.stderr}`).toBe(step.exit)
  expect(difference(step.stdout, stdout), `${where}stdout`).toBeUndefined()
  expect(difference(step.stderr, ran.stderr), `${where}stderr`).toBeUndefined()
}
