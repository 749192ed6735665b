/** What a portable host's scripts and services see of activations, boots and the deadman. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PortableSystem } from '../../../node/system/portable.ts'
import { type BuiltNars, buildPortable, sourceOf } from '../../portable-build.ts'
import { isRunning, makeHostRoot, openHost, removeHostRoot, until } from './portable-host.ts'

const LONG_MS = 20_000

let root: string
beforeEach(() => {
  root = makeHostRoot()
})
afterEach(() => removeHostRoot(root))

describe('an activation', () => {
  it('gives the script its four variables and no others', async () => {
    process.env['NIXFLEET_LEAK'] = 'secret'
    const system = await opened()
    const built = await staged(system, 'next', { script: 'env >"$NIXFLEET_STATE_DIR/env"' })
    await system.activate(built.generation, LONG_MS)
    delete process.env['NIXFLEET_LEAK']
    const lines = readFileSync(join(root, 'state', 'env'), 'utf8')
      .split('\n')
      .filter(Boolean)
    const own = lines.filter((line) => !/^(PWD|SHLVL|_|OLDPWD)=/.test(line)).sort()
    expect(own).toEqual([
      `NIXFLEET_GENERATION=${join(root, 'system', 'store', built.generation)}`,
      `NIXFLEET_STATE_DIR=${join(root, 'state')}`,
      `NIXFLEET_SYSTEM_DIR=${join(root, 'system')}`,
      `PATH=${process.env['PATH']}`,
    ])
  })

  it('reports the last lines of a failing script, and its exit code', async () => {
    const system = await opened()
    const built = await staged(system, 'next', {
      script: 'echo "port 80 is taken" >&2',
      exitCode: 4,
    })
    const outcome = await system.activate(built.generation, LONG_MS)
    expect(outcome).toEqual({ ok: false, detail: 'exit code 4\nport 80 is taken' })
  })

  it('ends one that hangs, children included', async () => {
    const system = await opened()
    const script = 'sleep 600 & echo $! >"$NIXFLEET_STATE_DIR/child"; wait'
    const built = await staged(system, 'next', { script })
    const outcome = await system.activate(built.generation, 500)
    expect(outcome.ok).toBe(false)
    expect(outcome.detail).toContain('no end within 500 ms')
    const child = Number(readFileSync(join(root, 'state', 'child'), 'utf8'))
    await until(() => !isRunning(child))
    await expect(system.running()).rejects.toMatchObject({ code: 'SYSTEM_FAILED' })
  })

  it('is refused while the deadman is on its way back, so that back stays back', async () => {
    const system = await opened()
    const script =
      'touch "$NIXFLEET_STATE_DIR/begun"; for _ in $(seq 200); do [ -e "$NIXFLEET_STATE_DIR/go" ] && break; sleep 0.05; done'
    const old = await staged(system, 'old', { script })
    const next = await staged(system, 'next')
    await system.deadman.arm({ token: 'r1', target: old.generation, afterMs: 1 })
    // Before that it may still be ending activations, and end this one before it is refused.
    await until(() => existsSync(join(root, 'state', 'begun')))
    expect((await system.deadman.state()).kind).toBe('fired')
    const outcome = await system.activate(next.generation, LONG_MS)
    expect(outcome.ok).toBe(false)
    expect(outcome.detail).toContain('on its way back')
    writeFileSync(join(root, 'state', 'go'), '')
    await until(async () => {
      const state = await system.deadman.state()
      return state.kind === 'fired' && state.done
    })
    expect(await system.running()).toBe(old.generation)
    expect((await system.activate(next.generation, LONG_MS)).ok).toBe(true)
  })

  it('under way is ended by the deadman, and never reported as what runs', async () => {
    const system = await opened()
    const old = await staged(system, 'old')
    const slow = await staged(system, 'slow', { script: 'sleep 600' })
    await system.deadman.arm({ token: 'r1', target: old.generation, afterMs: 400 })
    const outcome = await system.activate(slow.generation, LONG_MS)
    expect(outcome.ok).toBe(false)
    await until(async () => (await system.deadman.state()).kind === 'fired')
    await until(async () => (await system.running().catch(() => '')) === old.generation)
    expect(switches()).toEqual(['slow test', 'old test'])
  })

  it('and its services outlive the daemon that started them', async () => {
    const system = await opened()
    const script = 'setsid sleep 600 >/dev/null 2>&1 & echo $! >"$NIXFLEET_STATE_DIR/service"'
    const built = await staged(system, 'next', { script })
    await system.activate(built.generation, LONG_MS)
    const service = Number(readFileSync(join(root, 'state', 'service'), 'utf8'))
    const after = await opened()
    expect(isRunning(service)).toBe(true)
    expect(await after.running()).toBe(built.generation)
    process.kill(service, 'SIGKILL')
  })
})

describe('a boot', () => {
  it('activates the boot default once, whatever ran before', async () => {
    const system = await opened()
    const old = await staged(system, 'old')
    const next = await staged(system, 'next')
    await system.enrol(old.generation, LONG_MS)
    await system.activate(next.generation, LONG_MS)
    writeFileSync(join(root, 'boot-id'), 'boot-2\n')
    await opened()
    await opened()
    expect(switches()).toEqual(['old test', 'next test', 'old test'])
  })

  it('without a boot id is refused', async () => {
    writeFileSync(join(root, 'boot-id'), '\n')
    await expect(opened()).rejects.toThrow('boot id')
  })
})

describe('garbage', () => {
  it('is what neither runs, boots, is pinned, staged last, nor the way back', async () => {
    const system = await opened()
    const [running, boots, pinned, target, rubbish, last] = [
      await staged(system, 'running'),
      await staged(system, 'boots'),
      await staged(system, 'pinned'),
      await staged(system, 'target'),
      await staged(system, 'rubbish'),
      await staged(system, 'last'),
    ]
    await system.activate(running.generation, LONG_MS)
    await system.setBootDefault(boots.generation)
    await system.pin([rubbish.generation])
    await system.pin([pinned.generation])
    await system.deadman.arm({ token: 'r1', target: target.generation, afterMs: LONG_MS })
    expect(await system.gc()).toEqual([rubbish.generation])
    expect(await system.holds(rubbish.generation)).toBe(false)
    expect(readdirSync(join(root, 'system', 'store')).sort()).toEqual(
      [running, boots, pinned, target, last].map(({ generation }) => generation).sort(),
    )
    await system.deadman.disarm('r1')
    expect(await system.gc()).toEqual([target.generation])
    expect(await (await opened()).gc()).toEqual([last.generation])
  })
})

function switches(): string[] {
  return readFileSync(join(root, 'state', 'switches'), 'utf8')
    .split('\n')
    .filter(Boolean)
}

function opened(): Promise<PortableSystem> {
  return openHost(root)
}

async function staged(
  system: PortableSystem,
  label: string,
  options: Parameters<typeof buildPortable>[2] = {},
): Promise<BuiltNars> {
  const built = await buildPortable(root, label, options)
  const outcome = await system.stage(built.generation, sourceOf(built))
  if (!outcome.ok) throw new Error(outcome.detail)
  return built
}
