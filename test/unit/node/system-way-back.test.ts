/** A way back waits for nothing: neither for an activation that hangs nor for a staging. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ManifestPath } from '../../../protocol/index.ts'
import { buildPortable, sourceOf } from '../../portable-build.ts'
import { isRunning, makeHostRoot, openHost, removeHostRoot, until } from './portable-host.ts'

const LONG_MS = 60_000

let root: string
beforeEach(() => {
  root = makeHostRoot()
})
afterEach(() => removeHostRoot(root))

it('an activation that hangs is ended at once, children included', async () => {
  const system = await openHost(root)
  const script = 'sleep 600 & echo $! >"$NIXFLEET_STATE_DIR/child"; wait'
  const slow = await buildPortable(join(root, 'build'), 'slow', { script })
  expect(await system.stage(slow.generation, sourceOf(slow))).toEqual({ ok: true })
  const begun = Date.now()
  const outcome = system.activate(slow.generation, LONG_MS)
  await until(() => existsSync(join(root, 'state', 'child')))
  await system.endActivation()
  expect((await outcome).ok).toBe(false)
  expect(Date.now() - begun).toBeLessThan(LONG_MS / 4)
  const child = Number(readFileSync(join(root, 'state', 'child'), 'utf8'))
  await until(() => !isRunning(child))
})

it('ending nothing does nothing', async () => {
  const system = await openHost(root)
  await system.endActivation()
  const next = await buildPortable(join(root, 'build'), 'next')
  await system.stage(next.generation, sourceOf(next))
  expect((await system.activate(next.generation, LONG_MS)).ok).toBe(true)
})

it('the boot default is set while a staging stands still', async () => {
  const system = await openHost(root)
  const old = await buildPortable(join(root, 'build'), 'old')
  await system.stage(old.generation, sourceOf(old))
  const next = await buildPortable(join(root, 'build'), 'next')
  let stalled = false
  let end = (): void => undefined
  const still = new Promise<void>((resolve) => {
    end = resolve
  })
  const staging = system.stage(next.generation, {
    ...sourceOf(next),
    async *nar(_: ManifestPath) {
      stalled = true
      await still
      yield new Uint8Array()
    },
  })
  await until(() => stalled)
  await system.setBootDefault(old.generation)
  expect(await system.bootDefault()).toBe(old.generation)
  end()
  expect((await staging).ok).toBe(false)
})
