/** What every adapter of a host's system promises (node/ports.ts, design D7), whatever lies below. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { System } from '../../node/ports.ts'
import { type BuiltNars, bytesOf, pieces, sourceOf } from '../portable-build.ts'

/** One host under test, and the power over it that only a test has. */
export interface SystemSubject {
  /** The generation that it ran and booted when it was enrolled. */
  readonly initial: string
  system(): System
  /** Builds a generation, which the host does not hold yet. Its switch fails if asked to. */
  build(label: string, options?: { readonly fails: boolean }): Promise<BuiltNars>
  /** The daemon dies without a word and starts again. */
  restart(): Promise<void>
  /** The machine goes down without a word and up again, and so does the daemon. */
  reboot(): Promise<void>
  /** Waits for `promise`; where time is virtual, lets it pass. */
  settled<T>(promise: Promise<T>): Promise<T>
  /** Waits until `condition` holds; throws when it does not within 10 s. */
  until(condition: () => Promise<boolean>): Promise<void>
  close(): Promise<void>
}

const LONG_MS = 30_000

/** Declares the suite of one adapter. */
export function systemContract(name: string, open: () => Promise<SystemSubject>): void {
  describe(`the ${name} system`, () => {
    let host: SystemSubject

    beforeEach(async () => {
      host = await open()
    })
    afterEach(() => host.close())

    stagingContract(() => host)
    runningContract(() => host)
    deadmanContract(() => host)
  })
}

function stagingContract(host: () => SystemSubject): void {
  it('starts with its first generation running, booting, held, and nothing armed', async () => {
    const system = host().system()
    expect(await system.running()).toBe(host().initial)
    expect(await system.bootDefault()).toBe(host().initial)
    expect(await system.holds(host().initial)).toBe(true)
    expect(await system.deadman.state()).toEqual({ kind: 'idle' })
  })

  it('stages a generation without touching what runs or boots, as often as it is asked', async () => {
    const system = host().system()
    const built = await host().build('next')
    expect(await system.holds(built.generation)).toBe(false)
    for (let time = 0; time < 2; time++) {
      expect(await system.stage(built.generation, sourceOf(built))).toEqual({ ok: true })
      expect(await system.holds(built.generation)).toBe(true)
    }
    expect(await system.running()).toBe(host().initial)
    expect(await system.bootDefault()).toBe(host().initial)
  })

  it('refuses a generation that the signed manifest does not name', async () => {
    const system = host().system()
    const built = await host().build('next')
    const other = await host().build('other')
    const outcome = await system.stage(built.generation, sourceOf(other))
    expect(outcome).toMatchObject({ ok: false, why: 'signature' })
    expect(await system.holds(built.generation)).toBe(false)
  })

  it.each([
    [
      'other bytes',
      'signature',
      (nar: Uint8Array) => nar.map((byte, i) => (i === 200 ? byte ^ 1 : byte)),
    ],
    ['more bytes', 'signature', (nar: Uint8Array) => new Uint8Array([...nar, 0])],
    ['fewer bytes', 'fetch', (nar: Uint8Array) => nar.subarray(0, -8)],
  ] as const)('refuses %s (%s), and takes the right ones later', async (_, why, change) => {
    const system = host().system()
    const built = await host().build('next')
    const bad = sourceOf(built, {
      nar: (path) => pieces(change(built.nars.get(path.narHash) ?? new Uint8Array()), 64),
    })
    expect(await system.stage(built.generation, bad)).toMatchObject({ ok: false, why })
    expect(await system.holds(built.generation)).toBe(false)
    expect(await system.stage(built.generation, sourceOf(built))).toEqual({ ok: true })
  })

  it('says fetch when nobody has the bytes, and takes them when somebody has', async () => {
    const system = host().system()
    const built = await host().build('next')
    const nobody = sourceOf(built, { nar: () => pieces(undefined, 1) })
    expect(await system.stage(built.generation, nobody)).toMatchObject({ ok: false, why: 'fetch' })
    expect(await system.stage(built.generation, sourceOf(built))).toEqual({ ok: true })
  })

  it('serves what it holds from any offset, and nothing else', async () => {
    const system = host().system()
    const built = await host().build('next')
    const entry = built.paths[0]
    const whole = entry && built.nars.get(entry.narHash)
    if (!whole) throw new Error('expected a NAR')
    expect(await system.nar(entry.narHash, 0)).toBe(undefined)
    await system.stage(built.generation, sourceOf(built))
    for (const offset of [0, 1, whole.length - 1, whole.length]) {
      const stream = await system.nar(entry.narHash, offset)
      if (!stream) throw new Error('expected the NAR to be served')
      expect(await bytesOf(stream)).toEqual(whole.subarray(offset))
    }
    expect(await system.nar('00'.repeat(32), 0)).toBe(undefined)
  })
}

function runningContract(host: () => SystemSubject): void {
  it('activates a generation and leaves the boot default', async () => {
    const built = await staged(host(), 'next')
    const outcome = await host().settled(host().system().activate(built.generation, LONG_MS))
    expect(outcome.ok).toBe(true)
    expect(await host().system().running()).toBe(built.generation)
    expect(await host().system().bootDefault()).toBe(host().initial)
  })

  it('activates nothing that it does not hold', async () => {
    const built = await host().build('next')
    const outcome = await host().settled(host().system().activate(built.generation, LONG_MS))
    expect(outcome.ok).toBe(false)
    expect(await host().system().running()).toBe(host().initial)
  })

  it('says when a switch fails', async () => {
    const built = await staged(host(), 'broken', { fails: true })
    const outcome = await host().settled(host().system().activate(built.generation, LONG_MS))
    expect(outcome.ok).toBe(false)
    expect(outcome.detail).not.toBe('')
    expect(await host().system().running()).toBe(host().initial)
  })

  it('boots what it was told to boot, and nothing that it does not hold', async () => {
    const system = host().system()
    const missing = await host().build('missing')
    const refused = system.setBootDefault(missing.generation)
    await expect(refused).rejects.toMatchObject({ code: 'SYSTEM_FAILED' })
    const built = await staged(host(), 'next')
    await system.setBootDefault(built.generation)
    await system.setBootDefault(built.generation)
    expect(await system.bootDefault()).toBe(built.generation)
    expect(await system.running()).toBe(host().initial)
    await host().settled(host().reboot())
    expect(await host().system().running()).toBe(built.generation)
  })

  it('a restart of the daemon changes nothing that runs', async () => {
    const built = await staged(host(), 'next')
    const bootId = await host().system().bootId()
    await host().settled(host().system().activate(built.generation, LONG_MS))
    await host().settled(host().restart())
    expect(await host().system().bootId()).toBe(bootId)
    expect(await host().system().running()).toBe(built.generation)
    expect(await host().system().holds(built.generation)).toBe(true)
  })

  it('a reboot brings another boot id and the boot default', async () => {
    const built = await staged(host(), 'next')
    const bootId = await host().system().bootId()
    await host().settled(host().system().activate(built.generation, LONG_MS))
    await host().settled(host().reboot())
    expect(await host().system().bootId()).not.toBe(bootId)
    expect(await host().system().running()).toBe(host().initial)
  })
}

function deadmanContract(host: () => SystemSubject): void {
  it('goes back by itself, also when the daemon has died meanwhile', async () => {
    const built = await staged(host(), 'next')
    const target = host().initial
    await host().system().deadman.arm({ token: 'r1', target, afterMs: 500 })
    await host().settled(host().system().activate(built.generation, LONG_MS))
    await host().settled(host().restart())
    await host().until(() => isDone(host().system()))
    const fired = { kind: 'fired', token: 'r1', target, done: true, ok: true }
    expect(await host().system().deadman.state()).toEqual(fired)
    expect(await host().system().running()).toBe(target)
    expect(await host().system().bootDefault()).toBe(target)
    expect(await host().system().deadman.disarm('r1')).toBe(false)
  })

  it('takes the boot default along when it goes back', async () => {
    const built = await staged(host(), 'next')
    await host().system().setBootDefault(built.generation)
    await host().system().deadman.arm({ token: 'r1', target: host().initial, afterMs: 1 })
    await host().until(() => isDone(host().system()))
    expect(await host().system().bootDefault()).toBe(host().initial)
    expect(await host().system().running()).toBe(host().initial)
  })

  it('stays quiet once it is disarmed, also after a restart', async () => {
    const built = await staged(host(), 'next')
    const target = host().initial
    await host().system().deadman.arm({ token: 'r1', target, afterMs: LONG_MS })
    await host().settled(host().system().activate(built.generation, LONG_MS))
    expect(await host().system().deadman.state()).toEqual({ kind: 'armed', token: 'r1', target })
    await host().settled(host().restart())
    expect(await host().system().deadman.disarm('r1')).toBe(true)
    expect(await host().system().deadman.state()).toEqual({ kind: 'idle' })
    expect(await host().system().running()).toBe(built.generation)
  })

  it('after a reboot counts as fired and done', async () => {
    const built = await staged(host(), 'next')
    const target = host().initial
    await host().system().deadman.arm({ token: 'r1', target, afterMs: LONG_MS })
    await host().settled(host().system().activate(built.generation, LONG_MS))
    await host().settled(host().reboot())
    const fired = { kind: 'fired', token: 'r1', target, done: true, ok: true }
    expect(await host().system().deadman.state()).toEqual(fired)
    expect(await host().system().deadman.disarm('r1')).toBe(false)
  })

  it('is not ended unless it is on its way back: armed stays armed, done stays done', async () => {
    const { deadman } = host().system()
    await deadman.end()
    expect(await deadman.state()).toEqual({ kind: 'idle' })
    const target = host().initial
    await deadman.arm({ token: 'r1', target, afterMs: LONG_MS })
    await deadman.end()
    expect(await deadman.state()).toEqual({ kind: 'armed', token: 'r1', target })
    expect(await deadman.renew({ token: 'r1', target, afterMs: 1 })).toBe(true)
    await host().until(() => isDone(host().system()))
    await deadman.end()
    const fired = { kind: 'fired', token: 'r1', target, done: true, ok: true }
    expect(await deadman.state()).toEqual(fired)
  })

  it('is of one token at a time', async () => {
    const { deadman } = host().system()
    const target = host().initial
    await deadman.arm({ token: 'r1', target, afterMs: LONG_MS })
    const second = deadman.arm({ token: 'r2', target, afterMs: LONG_MS })
    await expect(second).rejects.toMatchObject({ code: 'SYSTEM_FAILED' })
    expect(await deadman.renew({ token: 'r2', target, afterMs: LONG_MS })).toBe(false)
    expect(await deadman.disarm('r2')).toBe(false)
    expect(await deadman.renew({ token: 'r1', target, afterMs: LONG_MS })).toBe(true)
    expect(await deadman.disarm('r1')).toBe(true)
    expect(await deadman.disarm('r1')).toBe(true)
    expect(await deadman.renew({ token: 'r1', target, afterMs: LONG_MS })).toBe(false)
  })
}

async function staged(
  host: SystemSubject,
  label: string,
  options?: { readonly fails: boolean },
): Promise<BuiltNars> {
  const built = await host.build(label, options)
  const outcome = await host.system().stage(built.generation, sourceOf(built))
  if (!outcome.ok) throw new Error(outcome.detail)
  return built
}

async function isDone(system: System): Promise<boolean> {
  const state = await system.deadman.state()
  return state.kind === 'fired' && state.done
}
