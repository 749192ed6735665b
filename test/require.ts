/**
 * What a suite needs from the machine: Nix, network namespaces, tmux. Where it is missing the suite
 * is skipped loudly, and under `NIXFLEET_CI=1`, where everything must be there, it fails instead.
 */
import { describe, it } from 'vitest'

/** As `describe`: a name and a body that declares tests. */
export type DeclareSuite = (name: string, body: () => void) => void

/**
 * `describe` where `probe` finds what the suite needs, else a skip that says why.
 *
 * The probe answers true, or false, or a sentence that says what is missing. Throwing counts as
 * missing, with the error's message as the reason.
 *
 * @example
 * const suite = suiteNeeds('Nix', () => spawnSync('nix', ['--version']).status === 0)
 * suite('a closure from the cache', () => { … })
 */
export function suiteNeeds(what: string, probe: () => boolean | string): DeclareSuite {
  const missing = missingReason(probe)
  if (missing === undefined) return (name, body) => void describe(name, body)

  const reason = `needs ${what}: ${missing}`
  if (process.env['NIXFLEET_CI'] === '1') {
    return (name) =>
      void describe(name, () => {
        it(reason, () => {
          throw new Error(`${name} ${reason}. Under NIXFLEET_CI=1 nothing may be skipped.`)
        })
      })
  }
  return (name, body) => {
    process.stderr.write(`SKIPPED ${name}: ${reason}\n`)
    // biome-ignore lint/suspicious/noSkippedTests: this is the one place that may skip, and it says why.
    describe.skip(name, body)
  }
}

function missingReason(probe: () => boolean | string): string | undefined {
  try {
    const answer = probe()
    if (answer === true) return undefined
    return answer === false ? 'not found on this machine' : answer
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
