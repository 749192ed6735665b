/**
 * A disk that runs full under a daemon, a small file system made for it: what cannot be kept is
 * refused with a code and what to do, nothing changes, reading goes on, and with room the node goes
 * on by itself.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Problem } from '../../node/index.ts'
import { runProgram } from '../cli/script.ts'
import { suiteNeeds } from '../require.ts'
import { announce, baseOver, Refused, signed, signPlan, submitPlan } from './fleet-api.ts'
import { type FleetHost, FleetProcesses, until } from './fleet-processes.ts'

/** More than a store and a few generations need. */
const SIZE = '48m'
const PATIENCE_MS = 60_000
/** Small facts go into the last page of a file that is there; so many of them do not. */
const FACTS_MAX = 200

function mount(folder: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=0700`, 'tmpfs', folder])
}

function unmount(folder: string): void {
  // Lazy: a service that the host leaves behind may still have its log open there.
  spawnSync('umount', ['-l', folder], { stdio: 'ignore' })
}

function mountIsPossible(): boolean | string {
  const folder = mkdtempSync(join(tmpdir(), 'nf-mount-'))
  try {
    mount(folder)
    return true
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    unmount(folder)
    rmSync(folder, { recursive: true })
  }
}

let fleet: FleetProcesses
let host: FleetHost

/** Writes zeros until nothing fits any more. */
function fill(): void {
  const file = openSync(join(host.data, 'filler'), 'a')
  try {
    for (const size of [1024 * 1024, 4096, 1]) {
      const zeros = new Uint8Array(size)
      while (fits(() => writeSync(file, zeros) === size));
    }
  } finally {
    closeSync(file)
  }
}

function fits(write: () => boolean): boolean {
  try {
    return write()
  } catch {
    return false
  }
}

function makeRoom(): void {
  rmSync(join(host.data, 'filler'))
}

function halt(): Uint8Array {
  const rollout = 'ab'.repeat(32)
  const body = { rollout, revert: false, why: 'x'.repeat(100) }
  return signed(fleet.trust, fleet.operator(), 'rollout.halt', body).bytes
}

/** Hands in facts until one is refused. */
async function firstRefusal(): Promise<Problem> {
  for (let count = 0; count < FACTS_MAX; count++) {
    try {
      await fleet.api('host-1').post(halt())
    } catch (error) {
      if (error instanceof Refused) return error.problem
      throw error
    }
  }
  throw new Error(`${FACTS_MAX} facts were taken by a full disk`)
}

const suite = suiteNeeds('root and mount', mountIsPossible)

suite('a daemon whose disk is full', () => {
  beforeAll(async () => {
    fleet = await FleetProcesses.create({
      label: 'full',
      hosts: 1,
      voters: 1,
      timing: { anchorMs: 3_600_000 },
    })
    host = fleet.host('host-1')
    const seed = join(host.folder, 'seed')
    copyFileSync(join(host.data, 'seed'), seed)
    mount(host.data)
    process.once('exit', () => unmount(host.data))
    copyFileSync(seed, join(host.data, 'seed'))
    await fleet.start()
    const from = { trust: fleet.trust, key: fleet.release, api: fleet.api('host-1') }
    await announce(from, { folder: fleet.folder, label: 'v1', version: 1 })
  }, 60_000)

  afterAll(async () => {
    if (fleet === undefined) return
    await fleet.kill('host-1')
    unmount(host.data)
    await fleet.destroy()
  })

  it('takes no fact and no blob, changes nothing, answers questions, and recovers by itself', async () => {
    fill()
    const problem = await firstRefusal()
    expect(problem).toMatchObject({ status: 507, code: 'NF-4009' })
    expect(problem.why).toMatch(/STORE_FULL: expected room on the disk/)
    expect(problem.fix).toMatch(/Free space on that disk; the node then goes on by itself/)
    const before = await fleet.api('host-1').fleet()
    await expect(fleet.api('host-1').post(halt())).rejects.toThrow('NF-4009')
    const after = await fleet.api('host-1').fleet()
    expect(after).toMatchObject({ facts: before.facts, digest: before.digest, head: before.head })

    const ran = await fleet.cli('host-1', 'alice', ['status'])
    expect(ran.exit, ran.stderr).toBe(0)

    makeRoom()
    await until(PATIENCE_MS, 'facts are taken again', async () => {
      return await fleet
        .api('host-1')
        .post(halt())
        .then(
          () => true,
          () => false,
        )
    })
    expect((await fleet.api('host-1').fleet()).facts).toBeGreaterThan(before.facts)
  })

  it('does not keep half of a store path, and says so to the one who sends it', async () => {
    const tree = join(fleet.folder, 'large')
    mkdirSync(join(tree, 'bin'), { recursive: true })
    copyFileSync(
      join(fleet.folder, 'initial', 'bin', 'switch-to-configuration'),
      join(tree, 'bin', 'switch-to-configuration'),
    )
    const file = openSync(join(tree, 'ballast'), 'w')
    for (let count = 0; count < 64; count++) writeSync(file, new Uint8Array(1024 * 1024))
    closeSync(file)
    const before = readdirSync(join(host.data, 'nars'))
    const keys = ['--release-key', fleet.keyFile('release'), '--socket', host.socket]
    const args = ['release', 'create', '--portable', '--all', tree, '--name', 'large', '--json']
    const env = { HOME: fleet.folder, PATH: process.env['PATH'] ?? '' }
    const ran = await runProgram(fleet.program, [...args, ...keys], { cwd: fleet.folder, env })
    expect(ran.exit, ran.stderr).toBe(74)
    expect(ran.stderr).toContain('NF-4009')
    expect(ran.stderr).toContain('Free space on that disk')
    expect(readdirSync(join(host.data, 'nars'))).toEqual(before)
    expect(readdirSync(join(host.data, 'nars', 'tmp'))).toEqual([])
  })

  it('cannot be started while it is full, says so, and starts with room, with every fact', async () => {
    const { facts, digest } = await fleet.api('host-1').fleet()
    expect(await fleet.stop('host-1')).toBe(0)
    fill()
    const args = ['node', 'run', '--node-config', host.configFile, '--json']
    const env = { PATH: process.env['PATH'] ?? '' }
    const ran = await runProgram(fleet.program, args, { cwd: fleet.folder, env })
    expect(ran.exit, ran.stderr).toBe(74)
    const error = JSON.parse(ran.stderr.trim().split('\n').at(-1) ?? '') as {
      message: string
      fix: string[]
    }
    expect(error.message).toContain('STORE_FULL')
    expect(error.fix.join(' ')).toMatch(/Free space/)

    makeRoom()
    await fleet.start()
    expect(await fleet.api('host-1').fleet()).toMatchObject({ facts, digest })
  })

  it('rolls out again once there is room', async () => {
    const from = { trust: fleet.trust, key: fleet.release, api: fleet.api('host-1') }
    const release = { folder: fleet.folder, label: 'v9', version: 9 }
    const { id: of, built } = await announce(from, release)
    const base = baseOver(await fleet.api('host-1').base(), ['host-1'])
    const wish = { release: of, base, waves: [['host-1']] }
    const plan = signPlan(fleet.trust, fleet.operator(), wish)
    const id = await submitPlan(fleet.api('host-1'), plan)
    await until(PATIENCE_MS, 'it is complete', async () => {
      return (await fleet.api('host-1').rollout(id)).state === 'complete'
    })
    const running = basename(readlinkSync(join(host.data, 'system', 'running')))
    expect(running).toBe(built.generation)
  })
})
