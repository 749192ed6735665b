/**
 * The deadman with real processes and short deadlines: it must work when nothing of ours runs, so
 * that these tests wait for real time (`deadman-folder.ts`).
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openDeadman } from '../../../node/system/deadman.ts'
import { DEADMAN_SCRIPT } from '../../../node/system/deadman-script.ts'
import { suiteNeeds } from '../../require.ts'
import {
  FAR_MS,
  isDone,
  isRunning,
  killWatcher,
  linesOf,
  NEAR_MS,
  opened,
  optionsFor,
  root,
  step,
  until,
  useDeadmanFolder,
  watcherPid,
  wentBack,
} from './deadman-folder.ts'

useDeadmanFolder()

describe('the script', () => {
  it('holds nothing that differs between hosts, and no JavaScript', () => {
    expect(DEADMAN_SCRIPT.startsWith('#!/bin/sh\n')).toBe(true)
    expect(DEADMAN_SCRIPT).not.toMatch(/undefined|\bnode\b|curl|wget|\[object/)
  })
})

describe('a deadman that nobody stops', () => {
  it('fires after its deadline and goes back to its target', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: NEAR_MS })
    expect(await deadman.state()).toEqual({ kind: 'armed', token: 'r1', target: 'old' })
    expect(wentBack()).toEqual([])
    await until(async () => isDone(deadman))
    expect(wentBack()).toEqual(['old'])
    const fired = { kind: 'fired', token: 'r1', target: 'old', done: true, ok: true }
    expect(await deadman.state()).toEqual(fired)
    expect(await deadman.disarm('r1')).toBe(false)
    expect(await deadman.renew({ token: 'r1', target: 'old', afterMs: FAR_MS })).toBe(false)
  })

  it('fires after the process that armed it, and its group, were killed', async () => {
    const child = armInAnotherProcess(1_000)
    await until(async () => readdirSync(root).includes('armed.1'))
    if (child.pid === undefined) throw new Error('expected a process id')
    process.kill(-child.pid, 'SIGKILL')
    expect(wentBack()).toEqual([])
    await until(async () => wentBack().length > 0)
    await until(async () => readdirSync(root).includes('done.ok.1'))
    expect(wentBack()).toEqual(['old'])
  })

  it('carries out every step, says that one failed, and keeps what was printed', async () => {
    const deadman = await opened({
      wayBack: (target) => ({
        activationPidFile: join(root, 'activation.pid'),
        steps: [
          { argv: ['sh', '-c', 'echo "no such service"; exit 3'], timeoutMs: 5_000 },
          step(target),
        ],
      }),
    })
    await deadman.arm({ token: 'r1', target: 'old', afterMs: 1 })
    await until(async () => isDone(deadman))
    expect(await deadman.state()).toMatchObject({ kind: 'fired', done: true, ok: false })
    expect(wentBack()).toEqual(['old'])
    expect(readFileSync(join(root, 'log.1'), 'utf8')).toContain('no such service')
  })

  it('ends an activation under way before it goes back', async () => {
    const pidFile = join(root, 'activation.pid')
    const activation = spawn('sh', ['-c', ownName(pidFile, 'sleep 600 & wait')], { detached: true })
    const ended = new Promise<string | null>((done) => {
      activation.once('exit', (_, signal) => done(signal))
    })
    await until(async () => readdirSync(root).includes('activation.pid'))
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: 1 })
    expect(await ended).toBe('SIGTERM')
    await until(async () => isDone(deadman))
    expect(wentBack()).toEqual(['old'])
  })

  it('spares a process that merely got the number of an activation', async () => {
    const bystander = spawn('sleep', ['600'], { detached: true })
    await writeFile(join(root, 'activation.pid'), `${bystander.pid} 1\n`)
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: 1 })
    await until(async () => isDone(deadman))
    expect(bystander.exitCode ?? bystander.signalCode).toBe(null)
    bystander.kill('SIGKILL')
  })

  it('leaves out a step whose link is right already', async () => {
    await writeFile(join(root, 'there'), '')
    const deadman = await opened({
      wayBack: (target) => ({
        activationPidFile: join(root, 'activation.pid'),
        steps: [
          {
            ...step('needless'),
            unless: { link: join(root, 'there'), target: join(root, 'there') },
          },
          { ...step('needed'), unless: { link: join(root, 'there'), target: '/elsewhere' } },
          step(target),
        ],
      }),
    })
    await deadman.arm({ token: 'r1', target: 'old', afterMs: 1 })
    await until(async () => isDone(deadman))
    expect(wentBack()).toEqual(['needed', 'old'])
  })

  it('takes arguments for what they are: blanks, quotes and dollars are no shell', async () => {
    const target = `a 'b' "c" $HOME \\ * ; echo`
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target, afterMs: 1 })
    await until(async () => isDone(deadman))
    expect(wentBack()).toEqual([target])
  })

  it('refuses a target with a line break, and a token that is no word', async () => {
    const deadman = await opened()
    const broken = deadman.arm({ token: 'r1', target: 'a\nrun 1', afterMs: 1 })
    await expect(broken).rejects.toThrow('one line')
    const odd = deadman.arm({ token: '../r1', target: 'old', afterMs: 1 })
    await expect(odd).rejects.toThrow('token')
    expect(await deadman.state()).toEqual({ kind: 'idle' })
  })
})

suiteNeeds('BusyBox', () => spawnSync('busybox', ['true']).status === 0)('under BusyBox', () => {
  it('the script does the same', async () => {
    const bin = join(root, 'bin')
    mkdirSync(bin)
    const install = 'ln -s "$(command -v busybox)" "$1/busybox" && busybox --install -s "$1"'
    expect(spawnSync('sh', ['-c', install, 'sh', bin]).status).toBe(0)
    const deadman = await opened({ env: { PATH: bin } })
    const pidFile = join(root, 'activation.pid')
    spawn('sh', ['-c', ownName(pidFile, 'exec sleep 600')], { detached: true, env: { PATH: bin } })
    await until(async () => readdirSync(root).includes('activation.pid'))
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    expect(readlinkSync(`/proc/${watcherPid()}/exe`)).toContain('busybox')
    await deadman.renew({ token: 'r1', target: 'old', afterMs: 1 })
    await until(async () => isDone(deadman))
    expect(await deadman.state()).toMatchObject({ done: true, ok: true })
    expect(wentBack()).toEqual(['old'])
    expect(readdirSync(root)).not.toContain('activation.pid')
  })
})

describe('a renewal', () => {
  it('postpones the firing', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: NEAR_MS })
    expect(await deadman.renew({ token: 'r1', target: 'old', afterMs: FAR_MS })).toBe(true)
    const first = Date.now() + 3 * NEAR_MS
    await until(async () => Date.now() > first)
    expect(await deadman.state()).toEqual({ kind: 'armed', token: 'r1', target: 'old' })
    expect(wentBack()).toEqual([])
    expect(await deadman.disarm('r1')).toBe(true)
  })

  it('rewrites the target, as a halt asks', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    expect(await deadman.renew({ token: 'r1', target: 'older', afterMs: 1 })).toBe(true)
    await until(async () => isDone(deadman))
    expect(wentBack()).toEqual(['older'])
  })

  it('starts the script again when somebody killed it', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    await killWatcher()
    expect(await deadman.renew({ token: 'r1', target: 'old', afterMs: 1 })).toBe(true)
    await until(async () => isDone(deadman))
    expect(wentBack()).toEqual(['old'])
  })

  it('under another token changes nothing', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    expect(await deadman.renew({ token: 'r2', target: 'new', afterMs: 1 })).toBe(false)
    expect(await deadman.disarm('r2')).toBe(false)
    expect(await deadman.state()).toEqual({ kind: 'armed', token: 'r1', target: 'old' })
    await expect(deadman.arm({ token: 'r2', target: 'old', afterMs: 1 })).rejects.toThrow('r1')
    expect(await deadman.disarm('r1')).toBe(true)
  })
})

describe('a disarming', () => {
  it('is for good, may be repeated, and leaves room for the next arming', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    expect(await deadman.disarm('r1')).toBe(true)
    expect(await deadman.disarm('r1')).toBe(true)
    expect(await deadman.state()).toEqual({ kind: 'idle' })
    await deadman.arm({ token: 'r2', target: 'old', afterMs: 1 })
    expect(await deadman.disarm('r1')).toBe(false)
    await until(async () => isDone(deadman))
    expect(wentBack()).toEqual(['old'])
  })

  it('ends its script', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    const pid = watcherPid()
    await deadman.disarm('r1')
    await until(async () => !isRunning(pid))
  })

  it('races the firing: one of the two wins, never both, never neither', async () => {
    const outcomes = await Promise.all(Array.from({ length: 24 }, (_, i) => race(i)))
    expect(outcomes.filter((won) => won).length).toBeGreaterThan(0)
    expect(outcomes.filter((won) => !won).length).toBeGreaterThan(0)
  })

  it('races renewals and the firing: what a renewal postponed does not fire', async () => {
    const directory = join(root, 'renewals')
    const log = join(root, 'renewals.log')
    const deadman = await openDeadman(optionsFor(directory, log))
    await deadman.arm({ token: 'r', target: 'old', afterMs: NEAR_MS })
    const end = Date.now() + 4 * NEAR_MS
    let alive = true
    while (alive && Date.now() < end) {
      alive = await deadman.renew({ token: 'r', target: 'old', afterMs: NEAR_MS })
    }
    if (alive) expect(await deadman.disarm('r')).toBe(true)
    await until(async () => (await deadman.state()).kind !== 'armed')
    expect(linesOf(log)).toEqual(alive ? [] : ['old'])
  })
})

describe('after a crash', () => {
  it('a half-way script is started again and finishes', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    await killWatcher()
    await rename(join(root, 'armed.1'), join(root, 'fired.1'))
    expect(await deadman.state()).toMatchObject({ kind: 'fired', done: false })
    await expect(deadman.arm({ token: 'r2', target: 'old', afterMs: 1 })).rejects.toThrow(
      'way back',
    )
    const after = await opened()
    await until(async () => isDone(after))
    expect(wentBack()).toEqual(['old'])
  })

  it('an armed file without a script gets one when the daemon starts', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: NEAR_MS })
    await killWatcher()
    const after = await opened()
    await until(async () => isDone(after))
    expect(wentBack()).toEqual(['old'])
  })

  it('terms that were never armed mean nothing', async () => {
    const deadman = await opened()
    await writeFile(join(root, 'terms.7'), 'token r0\nboot b\ndeadline 0\ntarget old\n')
    expect(await deadman.state()).toEqual({ kind: 'idle' })
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    expect(readdirSync(root)).toContain('armed.8')
    expect(await deadman.disarm('r1')).toBe(true)
  })
})

describe('after a reboot', () => {
  it('a script of the boot before, should one be left, does nothing', async () => {
    const bootIdFile = join(root, 'boot-id')
    await writeFile(bootIdFile, 'boot-1\n')
    const deadman = await opened({ bootIdFile })
    await deadman.arm({ token: 'r1', target: 'old', afterMs: NEAR_MS })
    const pid = watcherPid()
    await writeFile(bootIdFile, 'boot-2\n')
    await until(async () => !isRunning(pid))
    expect(wentBack()).toEqual([])
    expect(readdirSync(root)).toContain('armed.1')
  })

  it.each([
    ['old', true],
    ['other', false],
  ])('armed counts as fired and done; boot default %s means ok: %s', async (bootDefault, ok) => {
    const before = await opened()
    await before.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    await killWatcher()
    const fired = { kind: 'fired', token: 'r1', target: 'old', done: true, ok }
    const rebooted = { bootId: async () => 'boot-2', bootDefault: async () => bootDefault }
    const reader = { ...optionsFor(root, join(root, 'back.log')), ...rebooted }
    const after = await openDeadman(reader)
    expect(await after.state()).toEqual(fired)
    expect(await after.disarm('r1')).toBe(false)
    expect(wentBack()).toEqual([])
    await after.arm({ token: 'r2', target: 'old', afterMs: FAR_MS })
    expect(await after.disarm('r2')).toBe(true)
  })
})

async function race(index: number): Promise<boolean> {
  const directory = join(root, `race-${index}`)
  const log = join(root, `race-${index}.log`)
  const deadman = await openDeadman(optionsFor(directory, log))
  await deadman.arm({ token: 'r', target: 'old', afterMs: 2 * NEAR_MS })
  const at = Date.now() + index * 40
  await until(async () => Date.now() >= at)
  const won = await deadman.disarm('r')
  if (!won) await until(async () => isDone(deadman))
  else expect(await deadman.state()).toEqual({ kind: 'idle' })
  expect(linesOf(log)).toEqual(won ? [] : ['old'])
  const names = readdirSync(directory)
  expect(names.filter((name) => /^(fired|disarmed)\./.test(name))).toHaveLength(1)
  expect(names.filter((name) => /^armed\./.test(name))).toEqual([])
  return won
}

function armInAnotherProcess(afterMs: number): ReturnType<typeof spawn> {
  const source = `
    import { openDeadman } from ${JSON.stringify(resolve('node/system/deadman.ts'))}
    const argv = ['sh', '-c', 'echo old >>"$1"', 'sh', ${JSON.stringify(join(root, 'back.log'))}]
    const deadman = await openDeadman({
      directory: ${JSON.stringify(root)},
      supervisor: 'session',
      env: { PATH: process.env.PATH },
      bootId: async () => 'boot-1',
      bootIdFile: '/nonexistent/boot_id',
      bootDefault: async () => 'old',
      wayBack: () => ({ activationPidFile: '/nowhere', steps: [{ argv, timeoutMs: 5000 }] }),
    })
    await deadman.arm({ token: 'r1', target: 'old', afterMs: ${afterMs} })
    setInterval(() => {}, 1000)`
  return spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', source], {
    detached: true,
    stdio: 'inherit',
  })
}

/** A shell line that notes its process as an activation does, then runs `rest`. */
function ownName(pidFile: string, rest: string): string {
  const stat = `read -r stat </proc/$$/stat; set -f; set -- \${stat##*) }`
  return `${stat}; printf '%s %s\\n' $$ \${20} >'${pidFile}'; ${rest}`
}
