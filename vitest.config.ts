/** One project per folder of test/: a suite is a folder, and its time limits fit what it runs. */
import { defineConfig } from 'vitest/config'
import { SuiteTimes } from './test/suite-times.ts'

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS

/** `alone`: fleets of real processes, which a second suite beside them would starve of the two cores. */
function suite(
  name: string,
  include: string[],
  options: { timeoutMs: number; alone?: number },
): object {
  const { timeoutMs, alone } = options
  const order = alone === undefined ? {} : { maxWorkers: 1, sequence: { groupOrder: alone } }
  return {
    extends: true,
    test: {
      name,
      include,
      testTimeout: timeoutMs,
      hookTimeout: Math.max(timeoutMs, MINUTE_MS),
      ...order,
    },
  }
}

function folder(name: string, options: { timeoutMs: number; alone?: number }): object {
  return suite(name, [`test/${name}/**/*.test.ts`], options)
}

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    setupFiles: ['./node/shims.ts'],
    reporters: ['default', new SuiteTimes()],
    projects: [
      suite('repository', ['test/*.test.ts'], { timeoutMs: MINUTE_MS }),
      folder('unit', { timeoutMs: 2 * MINUTE_MS }),
      folder('access', { timeoutMs: 2 * MINUTE_MS }),
      folder('contract', { timeoutMs: MINUTE_MS }),
      folder('simulation', { timeoutMs: 5 * MINUTE_MS }),
      folder('explore', { timeoutMs: 2 * MINUTE_MS }),
      folder('mutants', { timeoutMs: 2 * MINUTE_MS }),
      folder('model', { timeoutMs: 5 * MINUTE_MS }),
      folder('cli', { timeoutMs: 2 * MINUTE_MS }),
      folder('integration', { timeoutMs: 5 * MINUTE_MS, alone: 1 }),
      folder('nix', { timeoutMs: 5 * MINUTE_MS, alone: 2 }),
    ],
  },
})
