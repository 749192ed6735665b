/**
 * The cache that everything came from is gone, and every host's garbage is collected, in the middle of
 * a rollout that then fails: every host goes back all the same, with what it and its LAN hold.
 *
 * Real Nix on four machines, the shipped daemon, `nix-collect-garbage -d`. After the cache is closed
 * there is nothing that any of them could reach but the three others.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { RolloutStatus } from '../../node/index.ts'
import { suiteNeeds } from '../require.ts'
import { canHoldMachines } from './machine.ts'
import { NAMES, NixFleet, until } from './nix-fleet.ts'
import type { NixHost } from './nix-host.ts'

/** The last to change is never reached: the one before it fails. */
const ORDER = NAMES.map((name) => `name=${name}`).join(';')
const FAILING = 'cedar'
const UNTOUCHED = 'dogwood'

suiteNeeds('Nix, and root for namespaces', canHoldMachines)(
  'a fleet whose upstream is gone',
  () => {
    let fleet: NixFleet

    beforeAll(async () => {
      fleet = await NixFleet.start()
    })
    afterEach(async ({ task }) => {
      if (task.result?.state !== 'fail') return
      for (const host of fleet.hosts) process.stderr.write(`${host.name}:\n${await host.log()}\n`)
    })
    afterAll(() => fleet?.stop())

    it('goes back everywhere from a failing rollout, after a collection of garbage on every host', async () => {
      const before = await fleet.release({ label: 'before' })
      const done = await fleet.deploy({
        release: before.id,
        options: ['--strategy', 'all-at-once'],
      })
      expect(done).toMatchObject({ code: 0, status: { state: 'complete' } })
      const rubbish = await Promise.all(fleet.hosts.map(withRubbish))

      const good = await fleet.builder.publish({ label: 'good' })
      const broken = await fleet.builder.publish({ label: 'broken', page: '' })
      const given = new Map(NAMES.map((name) => [name, name === FAILING ? broken : good]))
      const release = await fleet.announce('late', given)
      const options = ['--waves-by', ORDER, '--soak', '12s', '--on-failure', 'rollback']
      const rollout = await fleet.submit({ release, options })
      await until(
        'the first host to have changed, and all others to have their bytes',
        async () => {
          const hosts = hostsOf(await fleet.rollout(rollout))
          const [first, ...others] = hosts
          const changed = first?.phase === 'PROBATION' || first?.phase === 'CONFIRMED'
          return changed && others.every((host) => host.phase === 'READY')
        },
      )

      await fleet.builder.cache.close()
      expect(await fetch(fleet.builder.cache.url).catch(() => 'gone')).toBe('gone')
      const startedAt = performance.now()
      const freed = await Promise.all(fleet.hosts.map(collect))
      for (const [i, host] of fleet.hosts.entries()) {
        expect(await host.holds(rubbish[i] ?? ''), `the garbage of ${host.name}`).toBe(false)
        for (const path of [before.generation, given.get(host.name) ?? '']) {
          expect(await host.holds(path), `${path} on ${host.name}`).toBe(true)
        }
      }

      await until('the failure to send everybody back', async () => {
        const status = await fleet.rollout(rollout)
        return status.closed && status.state === 'reverted'
      })
      const status = await fleet.rollout(rollout)
      fleet.note(status)
      const phases = new Map(hostsOf(status).map((host) => [host.name, host.phase]))
      for (const name of NAMES.filter((one) => one !== UNTOUCHED)) {
        expect(phases.get(name), name).toBe('REVERTED')
      }
      expect(hostsOf(status).find((host) => host.name === UNTOUCHED)?.started).toBe(false)
      let back = 0
      for (const host of fleet.hosts) {
        const rests = [await host.running(), await host.bootDefault(), await host.profile()]
        expect(rests).toEqual([before.generation, before.generation, before.generation])
        expect(await host.page()).toBe('before')
        back++
      }
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(0)
      process.stdout.write(
        `upstream gone, real Nix: ${back} of ${NAMES.length} hosts rest on the generation before, ${seconds} s after the cache closed; collected: ${freed.join(', ')}\n`,
      )
      expect(back).toBe(NAMES.length)
    }, 240_000)
  },
)

function hostsOf(status: RolloutStatus): RolloutStatus['waves'][number]['hosts'] {
  return status.waves.flatMap((wave) => wave.hosts)
}

/** A path that nothing needs, so that a collection that does nothing is seen. */
async function withRubbish(host: NixHost): Promise<string> {
  const line = 'echo "$0" >/run/rubbish && nix-store --add /run/rubbish'
  return (await host.machine.run('sh', '-c', line, host.name)).trim()
}

/** As an operator's timer does it; gives what Nix says of it. */
async function collect(host: NixHost): Promise<string> {
  const { code, stdout, stderr } = await host.machine.try('nix-collect-garbage', '-d')
  expect(code, stderr).toBe(0)
  const lines = `${stdout}\n${stderr}`.split('\n')
  const line = lines.find((one) => one.includes('store paths deleted'))
  expect(line, lines.join('\n')).toBeDefined()
  return line ?? ''
}
