/** The system's contract over the adapters that need nothing of the machine but a shell. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock, System } from '../../node/ports.ts'
import { removeTree } from '../../node/system/durable.ts'
import { createMemorySystem, MemoryMachine } from '../../node/system/memory.ts'
import { openPortableSystem } from '../../node/system/portable.ts'
import { buildPortable } from '../portable-build.ts'
import { type SystemSubject, systemContract } from './system.ts'

const GIVE_UP_MS = 10_000

systemContract('portable', openPortable)
systemContract('memory', openMemory)

async function openPortable(): Promise<SystemSubject> {
  const root = await mkdtemp(join(tmpdir(), 'nixfleet-system-'))
  const bootIdFile = join(root, 'boot-id')
  const options = {
    directory: join(root, 'system'),
    stateDirectory: join(root, 'state'),
    bootIdFile,
    path: process.env['PATH'],
  }
  let boots = 1
  await writeFile(bootIdFile, `boot-${boots}\n`)
  await buildPortable(root, 'first')
  let system = await openPortableSystem(options)
  const { path: initial } = await system.addDirectory(join(root, 'first'), 'first')
  await system.enrol(initial, GIVE_UP_MS)
  return {
    initial,
    system: () => system,
    build: (label, { fails } = { fails: false }) => {
      return buildPortable(root, label, { exitCode: fails ? 1 : 0 })
    },
    restart: async () => {
      system = await openPortableSystem(options)
    },
    reboot: async () => {
      boots++
      await writeFile(bootIdFile, `boot-${boots}\n`)
      system = await openPortableSystem(options)
    },
    settled: (promise) => promise,
    until: async (condition) => {
      const giveUp = Date.now() + GIVE_UP_MS
      while (!(await condition())) {
        if (Date.now() > giveUp) throw new Error('expected a condition to hold within 10 s')
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    close: async () => {
      // Another boot id ends the script of a deadman that a test left armed.
      await writeFile(bootIdFile, 'over\n')
      await removeTree(root)
    },
  }
}

async function openMemory(): Promise<SystemSubject> {
  const root = await mkdtemp(join(tmpdir(), 'nixfleet-builds-'))
  const clock = new StepClock()
  const failing = new Set<string>()
  const machine = new MemoryMachine({
    clock,
    initial: 'first',
    behaviour: (generation) => ({
      activateMs: 100,
      activation: failing.has(generation) ? 'fails' : 'ok',
    }),
  })
  let system: System = createMemorySystem(machine, () => undefined)
  const restart = async (): Promise<void> => {
    system = createMemorySystem(machine, () => undefined)
  }
  return {
    initial: 'first',
    system: () => system,
    build: async (label, { fails } = { fails: false }) => {
      const built = await buildPortable(root, label)
      if (fails) failing.add(built.generation)
      return built
    },
    restart,
    reboot: () => {
      machine.reboot()
      return restart()
    },
    settled: async (promise) => {
      let settled = false
      const done = (): void => {
        settled = true
      }
      promise.then(done, done)
      await clock.until(async () => settled)
      return promise
    },
    until: (condition) => clock.until(condition),
    close: () => rm(root, { recursive: true, force: true }),
  }
}

/** A clock that moves in steps, while somebody waits for something. */
class StepClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>()

  bootMs(): number {
    return this.#now
  }

  wallMs(): number {
    return this.#now
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  async until(condition: () => Promise<boolean>): Promise<void> {
    for (const end = this.#now + GIVE_UP_MS; this.#now <= end; this.#now += 10) {
      for (let turn = 0; turn < 5; turn++) if (await condition()) return
      for (const timer of [...this.#timers].filter(({ at }) => at <= this.#now)) {
        if (this.#timers.delete(timer)) timer.run()
      }
    }
    throw new Error('expected a condition to hold within 10 s of the clock')
  }
}
