/**
 * A way back that hangs, ended: with real processes, because all of them have to be. Waits for real
 * time (`deadman-folder.ts`).
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { DeadmanOptions, FileDeadman } from '../../../node/system/deadman.ts'
import { sendSignal } from '../../../node/system/processes.ts'
import {
  FAR_MS,
  isDone,
  isRunning,
  killWatcher,
  linesOf,
  opened,
  root,
  step,
  until,
  useDeadmanFolder,
  watcherPid,
  wentBack,
} from './deadman-folder.ts'

const OVER = { kind: 'fired', done: true, ok: false }
/** Shields itself from what can be shielded from, and begins something in a session of its own. */
const HANGING = [
  'setsid sleep 600 & echo $! >>"$1/services"',
  "trap '' TERM INT HUP",
  'echo $$ >"$1/hangs.new" && mv "$1/hangs.new" "$1/hangs"',
  'while :; do sleep 600; done',
].join('; ')

useDeadmanFolder()
// What is registered last runs first: the folder is still there.
afterEach(() => {
  for (const service of services()) sendSignal(service, 'SIGKILL')
  if (existsSync(join(root, 'hangs'))) sendSignal(pidOf('hangs'), 'SIGKILL')
})

describe('a way back that hangs and is ended', () => {
  it('is over, counts as failed, and never comes to its end', async () => {
    const deadman = await hung()
    const script = watcherPid()
    await deadman.end()
    expect(await deadman.state()).toMatchObject(OVER)
    expect([script, pidOf('hangs')].map(isRunning)).toEqual([false, false])
    const after = await opened()
    expect(await after.state()).toMatchObject(OVER)
    expect(isRunning(watcherPid())).toBe(false)
    expect(wentBack()).toEqual([])
    await after.arm({ token: 'r2', target: 'old', afterMs: 1 })
    await until(async () => isDone(after))
    expect(wentBack()).toEqual(['old'])
  })

  it('leaves alone what began a session of its own: it may be a service', async () => {
    const deadman = await hung()
    await deadman.end()
    expect(services().map(isRunning)).toEqual([true])
  })

  it('is found also when its script was killed', async () => {
    const deadman = await hung()
    const first = pidOf('hangs')
    await killWatcher()
    expect(isRunning(first)).toBe(true)
    await deadman.end()
    expect(isRunning(first)).toBe(false)
  })

  it('is found when the daemon started its script again', async () => {
    const deadman = await opened({ wayBack: sleeping })
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    await killWatcher()
    const first = watcherPid()
    await rename(join(root, 'armed.1'), join(root, 'fired.1'))
    const after = await opened()
    await until(async () => watcherPid() !== first && isRunning(watcherPid()))
    const script = watcherPid()
    await after.end()
    expect(isRunning(script)).toBe(false)
    expect(await after.state()).toMatchObject(OVER)
  })

  it('spares whoever got the number of a script that is gone', async () => {
    const deadman = await opened()
    await deadman.arm({ token: 'r1', target: 'old', afterMs: FAR_MS })
    await killWatcher()
    await rename(join(root, 'armed.1'), join(root, 'fired.1'))
    const bystander = spawn('sleep', ['600'], { detached: true })
    await writeFile(join(root, 'watcher'), `${bystander.pid} 1 r1\n`)
    await deadman.end()
    expect(bystander.exitCode ?? bystander.signalCode).toBe(null)
    bystander.kill('SIGKILL')
  })

  it('is not started again by a supervisor that starts again whatever dies', async () => {
    const deadman = await hung({ supervisor: 'systemd', env: { PATH: standIn() } })
    const [first, hangs] = [watcherPid(), pidOf('hangs')]
    await killWatcher()
    await until(async () => pidOf('hangs') !== hangs)
    const second = watcherPid()
    expect([first, hangs, second].map(isRunning)).toEqual([false, false, true])
    await deadman.end()
    await until(async () => existsSync(join(root, 'unit-over')))
    expect(linesOf(join(root, 'unit-starts'))).toHaveLength(2)
    expect([watcherPid(), isRunning(second)]).toEqual([second, false])
    expect(await deadman.state()).toMatchObject(OVER)
  })
})

async function hung(changes: Partial<DeadmanOptions> = {}): Promise<FileDeadman> {
  const argv = ['sh', '-c', HANGING, 'sh', root] as const
  const steps = [{ argv, timeoutMs: 600_000 }, step('late')]
  const wayBack = () => ({ activationPidFile: join(root, 'activation.pid'), steps })
  const deadman = await opened({ ...changes, wayBack })
  await deadman.arm({ token: 'r1', target: 'old', afterMs: 1 })
  await until(async () => readdirSync(root).includes('hangs'))
  return deadman
}

const sleeping: DeadmanOptions['wayBack'] = () => ({
  activationPidFile: join(root, 'activation.pid'),
  steps: [{ argv: ['sleep', '600'], timeoutMs: 600_000 }],
})

function pidOf(name: string): number {
  return Number(readFileSync(join(root, name), 'utf8'))
}

function services(): number[] {
  return linesOf(join(root, 'services')).map(Number)
}

/**
 * A PATH with a stand-in for systemd, which these machines need not run: a unit's job has a session of
 * its own, and begins again when it fails, unless the unit was stopped (systemd.service(5), `Restart=`).
 */
function standIn(): string {
  const bin = join(root, 'bin')
  mkdirSync(bin)
  const run = [
    '#!/bin/sh',
    'while [ "$1" != -- ]; do case $1 in --unit=*) unit=$1 ;; esac; shift; done; shift',
    '(',
    `  cd '${root}'`,
    // A test that fails must not leave a unit that begins again for ever.
    '  for start in 1 2 3 4 5; do',
    '    [ -e "stopped$unit.service" ] && break',
    '    echo "$start" >>unit-starts',
    '    setsid "$@" && break',
    '  done',
    '  : >unit-over',
    ') </dev/null >/dev/null 2>&1 &',
  ]
  const control = [
    '#!/bin/sh',
    'for unit; do :; done',
    `[ "$1" = stop ] && : >'${root}'/stopped--unit="$unit"`,
  ]
  writeFileSync(join(bin, 'systemd-run'), run.join('\n'), { mode: 0o700 })
  writeFileSync(join(bin, 'systemctl'), control.join('\n'), { mode: 0o700 })
  return `${bin}:${process.env['PATH'] ?? '/usr/bin:/bin'}`
}
