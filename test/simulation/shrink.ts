/**
 * Makes a failing scenario smaller while it still breaks the same invariant: fewer hosts, no liars,
 * fewer acts (delta debugging: halves, then quarters, then single acts).
 */
import type { Scenario } from './scenario.ts'

/** Whether a scenario still fails as the first one did. */
export type StillFails = (scenario: Scenario) => Promise<boolean>

/** Runs that one shrinking may take. */
const TRIES_MAX = 120

export async function shrink(scenario: Scenario, fails: StillFails): Promise<Scenario> {
  let best = scenario
  let tries = 0
  const attempt = async (smaller: Scenario): Promise<boolean> => {
    if (tries++ >= TRIES_MAX || !(await fails(smaller))) return false
    best = smaller
    return true
  }
  await attempt({ ...best, liars: [] })
  for (const fault of best.faults) {
    const liars = best.liars
      .map((liar) => ({ ...liar, lies: liar.lies.filter((lie) => lie !== fault) }))
      .filter((liar) => liar.lies.length > 0)
    const without = best.faults.filter((one) => one !== fault)
    if (liars.length < best.liars.length || lieCount(liars) < lieCount(best.liars)) {
      await attempt({ ...best, liars, faults: without })
    }
  }
  await shrinkActs(() => best, attempt)
  for (let hosts = best.hosts - 1; hosts >= Math.max(1, best.voters); hosts--) {
    if (!(await attempt({ ...best, hosts }))) break
  }
  await shrinkActs(() => best, attempt)
  return best
}

async function shrinkActs(
  best: () => Scenario,
  attempt: (smaller: Scenario) => Promise<boolean>,
): Promise<void> {
  for (let size = Math.ceil(best().acts.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < best().acts.length; ) {
      const acts = best().acts.filter((_, i) => i < at || i >= at + size)
      if (!(await attempt({ ...best(), acts }))) at += size
    }
  }
}

function lieCount(liars: Scenario['liars']): number {
  return liars.reduce((sum, liar) => sum + liar.lies.length, 0)
}
