/**
 * The fleet over real Nix, as shipped: four daemons, each on a machine of its own with its own /nix,
 * the real command line, generations that Nix built, a signed http cache. `require-sigs` is on.
 *
 * The tests share one fleet and begin where the one before ended; each deploys paths of its own, and
 * Nix on every host has forgotten what it knew of the cache.
 */
import { copyFile } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { ReleaseRow } from '../../node/index.ts'
import { parseStoreName } from '../../protocol/index.ts'
import { suiteNeeds } from '../require.ts'
import type { BinaryCache } from './binary-cache.ts'
import { canHoldMachines } from './machine.ts'
import { type Deployed, NAMES, NixFleet, until } from './nix-fleet.ts'
import type { NixHost } from './nix-host.ts'

interface Spoiling {
  readonly title: string
  readonly label: string
  readonly key?: string
  /** Spoils what the cache holds of `path`; `twin` is a good path beside it. */
  readonly spoil?: (cache: BinaryCache, path: string, twin: string) => Promise<void>
}

const SPOILINGS: readonly Spoiling[] = [
  {
    title: 'whose NAR was replaced',
    label: 'tampered',
    spoil: async (cache, path, twin) =>
      copyFile(await cache.narFile(twin), await cache.narFile(path)),
  },
  {
    title: 'with the signature of another path',
    label: 'missigned',
    spoil: async (cache, path, twin) => {
      const signature = await cache.field(twin, 'Sig')
      await cache.changeInfo(path, (text) => text.replace(/^Sig: .*$/m, `Sig: ${signature}`))
    },
  },
  { title: 'signed by an unknown key', label: 'unknown', key: 'stranger-1' },
]

suiteNeeds('Nix, and root for namespaces', canHoldMachines)('a fleet over real Nix', () => {
  let fleet: NixFleet

  beforeAll(async () => {
    fleet = await NixFleet.start()
  })
  beforeEach(() => Promise.all(fleet.hosts.map((host) => host.forgetCaches())))
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return
    for (const host of fleet.hosts) process.stderr.write(`${host.name}:\n${await host.log()}\n`)
  })
  afterAll(() => fleet?.stop())

  it('rolls a generation out to every host, canary first', async () => {
    const { id, generation } = await fleet.release({ label: 'second' })
    const done = await fleet.deploy({ release: id, options: ['--strategy', 'canary'] })
    expect(done).toMatchObject({ code: 0, status: { state: 'complete' } })
    expect(done.status.waves.map((wave) => wave.hosts.length)).toEqual([1, 3])
    for (const host of fleet.hosts) {
      await expectRests(host, generation, 'second')
      const generations = await host.generations()
      expect(generations.map((one) => one.current)).toEqual([false, true])
      expect(generations.at(-1)?.path).toBe(generation)
      expect(await host.switches()).toEqual(['installed switch', 'second test', 'second boot'])
    }
  })

  it('goes back where a health check fails, halts, and starts nobody else', async () => {
    const before = await fleet.host('alder').running()
    const { id, generation } = await fleet.release({ label: 'broken', page: '' })
    const options = ['--strategy', 'canary', '--on-failure', 'halt']
    const done = await fleet.deploy({ release: id, options })
    expect(done).toMatchObject({ code: 3, status: { state: 'halted' } })
    const [canary = '', ...others] = done.status.waves
      .flatMap((wave) => wave.hosts)
      .map((host) => host.name)
    expect(others).toHaveLength(3)
    await until(
      `${canary} to be back`,
      async () => phaseOf(await look(done), canary) === 'REVERTED',
    )
    const { waves } = await look(done)
    expect(waves[1]?.hosts.map((host) => host.started)).toEqual([false, false, false])
    for (const host of fleet.hosts) {
      await expectRests(host, before, 'second')
      expect((await host.switches()).includes('broken test')).toBe(host.name === canary)
      expect((await host.generations()).map((one) => one.path)).not.toContain(generation)
    }
    expect((await fleet.host(canary).switches()).slice(-3, -1)).toEqual([
      'broken test',
      'second test',
    ])
  })

  it('is brought back by the deadman alone when the daemon is killed in probation', async () => {
    const cedar = fleet.host('cedar')
    const before = await cedar.running()
    const { id, generation } = await fleet.release({ label: 'third' }, ['cedar'])
    const options = ['--strategy', 'all-at-once', '--soak', '50s']
    const rollout = await fleet.submit({ release: id, hosts: ['cedar'], options })
    await until('cedar to be in probation', async () => {
      const log = await cedar.log()
      return log.includes(rollout) && log.slice(log.indexOf(rollout)).includes('"to":"PROBATION"')
    })
    await cedar.killDaemon()
    expect(await cedar.running()).toBe(generation)
    expect(await cedar.page()).toBe('third')
    await until('the deadman to go back', async () => (await cedar.running()) === before)
    expect(await cedar.hasDaemon()).toBe(false)
    await expectRests(cedar, before, 'second')
    expect((await cedar.switches()).slice(-2)).toEqual(['third test', 'second test'])
    cedar.restartDaemon()
    await until('cedar to say so', async () => {
      fleet.note(await fleet.rollout(rollout))
      return phaseOf(await fleet.rollout(rollout), 'cedar') === 'REVERTED'
    })
    await fleet.reachable('cedar')
    const { transitions } = await fleet.detail('cedar')
    const first = transitions.filter((one) => one.rollout === rollout && one.round === 0)
    expect(first[0]).toMatchObject({ phase: 'REVERTED', why: 'unconfirmed' })
    expect(first.map((one) => one.phase)).toContain('PROBATION')
    expect(first.map((one) => one.phase)).not.toContain('COMMITTED')
    expect((await cedar.switches()).slice(-2)).toEqual(['third test', 'second test'])
    expect(await cedar.log()).not.toContain('a task failed')
  })

  it.each(SPOILINGS)('skips a host that is given a path $title', async (spoiling) => {
    const { label, key, spoil } = spoiling
    const birch = fleet.host('birch')
    const before = await birch.running()
    const page = await birch.page()
    const twin = await fleet.builder.publish({ label: `${label}-twin` })
    const bad = await fleet.builder.publish({ label, ...(key === undefined ? {} : { key }) })
    await spoil?.(fleet.builder.cache, bad, twin)
    const release = await fleet.announce(
      label,
      new Map([
        ['birch', bad],
        ['cedar', twin],
      ]),
    )
    const hosts = ['birch', 'cedar']
    // Nobody holds anything for others here: who has what is what Nix took for itself.
    const options = ['--strategy', 'all-at-once', '--holders', '0']
    const done = await fleet.deploy({ release, hosts, options })
    expect(done).toMatchObject({ code: 0, status: { state: 'complete' } })
    const skipped = done.status.waves[0]?.hosts.find((host) => host.name === 'birch')
    expect(skipped).toMatchObject({ phase: 'SKIPPED', why: 'signature', started: false })
    expect(skipped?.detail).toContain(label)
    expect(await fleet.detail('birch')).toMatchObject({ state: 'behind', generation: before })
    await expectRests(birch, before, page)
    expect(await birch.holds(bad)).toBe(false)
    // Each host holds what the manifest names for it, and nothing of the other one's.
    await expectRests(fleet.host('cedar'), twin, `${label}-twin`)
    expect([await birch.holds(twin), await fleet.host('cedar').holds(bad)]).toEqual([false, false])
  })

  it('halts when nobody can take the release, and starts nobody', async () => {
    const before = await Promise.all(fleet.hosts.map((host) => host.running()))
    const { id, generation } = await fleet.release({ label: 'foreign', key: 'stranger-2' })
    const done = await fleet.deploy({ release: id, options: ['--strategy', 'canary'] })
    expect(done).toMatchObject({ code: 3, status: { state: 'halted' } })
    const hosts = done.status.waves.flatMap((wave) => wave.hosts)
    expect(hosts.map((host) => [host.why, host.started])).toEqual(
      NAMES.map(() => ['signature', false]),
    )
    expect(await Promise.all(fleet.hosts.map((host) => host.running()))).toEqual(before)
    for (const host of fleet.hosts) expect(await host.holds(generation)).toBe(false)
  })

  it('activates nothing beside the manifest, even for a thief of the cache key', async () => {
    const { builder } = fleet
    const [birch, cedar] = [fleet.host('birch'), fleet.host('cedar')]
    const before = [await birch.running(), await cedar.running()]
    const swapped = await builder.publish({ label: 'swapped' })
    const burdened = await builder.publish({ label: 'burdened' })
    const release = await fleet.announce(
      'stolen',
      new Map([
        ['birch', swapped],
        ['cedar', burdened],
      ]),
    )
    const stowaway = await builder.publish({ label: 'stowaway', compression: 'none' })
    const other = await builder.infoOf(stowaway)
    await builder.resign(swapped, ({ storePath }) => ({ ...other, storePath }))
    await builder.resign(burdened, (info) => ({
      ...info,
      references: [...info.references, parseStoreName(stowaway.slice('/nix/store/'.length))].sort(),
    }))
    const options = ['--strategy', 'all-at-once']
    const { status } = await fleet.deploy({ release, hosts: ['birch', 'cedar'], options })
    expect(status.state).toBe('halted')
    expect(
      status.waves.flatMap((wave) => wave.hosts.map((host) => [host.phase, host.why])),
    ).toEqual([
      ['SKIPPED', 'signature'],
      ['SKIPPED', 'signature'],
    ])
    // Nix alone was content: it was the manifest that stopped them.
    expect([await birch.holds(swapped), await cedar.holds(stowaway)]).toEqual([true, true])
    expect([await birch.running(), await cedar.running()]).toEqual(before)
    for (const host of fleet.hosts) {
      const labels = (await host.switches()).map((line) => line.split(' ')[0])
      for (const label of ['swapped', 'burdened', 'stowaway']) expect(labels).not.toContain(label)
    }
  })

  it('rejects a plan that claims a host to which the manifest gives nothing', async () => {
    const { id, generation } = await fleet.release({ label: 'narrow' }, ['alder'])
    const refused = await fleet.cli('alder', 'deploy', id, '--host', 'dogwood', '--json')
    expect(refused.code).not.toBe(0)
    expect(refused.stderr).toContain('NF-2110')
    const rollout = await fleet.forge(id, [['alder', 'dogwood']])
    await until(
      'the plan to be rejected',
      async () => (await fleet.rollout(rollout)).state === 'rejected',
    )
    expect((await fleet.rollout(rollout)).rejected?.why).toContain('no generation for dogwood')
    for (const host of fleet.hosts) expect(await host.holds(generation)).toBe(false)
  })

  it('announces no release of a store path that is not there', async () => {
    const list = (): Promise<{ items: readonly ReleaseRow[] }> =>
      fleet.ask('alder', 'release', 'list')
    const before = await list()
    const there = await fleet.builder.publish({ label: 'there' })
    const missing = there.replace(/system-there$/, 'system-nowhere')
    const sources = [`alder=${there}`, `birch=${missing}`]
    const refused = await fleet.cli('alder', 'release', 'create', '--nix', ...sources, '--json')
    expect(refused).toMatchObject({ code: 66, stdout: '' })
    expect(refused.stderr).toContain('GENERATION_MISSING')
    expect(refused.stderr).toContain(missing)
    const after = await list()
    expect(after.items.length).toBeGreaterThan(0)
    expect(after.items).toEqual(before.items)
  })

  function look({ status }: Deployed): ReturnType<NixFleet['rollout']> {
    return fleet.rollout(status.id)
  }
})

/** The host runs `generation`, will boot it, has it as its profile, and serves its page. */
async function expectRests(host: NixHost, generation: string, page: string): Promise<void> {
  const found = [await host.running(), await host.bootDefault(), await host.profile()]
  expect([...found, await host.page()]).toEqual([generation, generation, generation, page])
}

function phaseOf(status: Deployed['status'], name: string): string | null | undefined {
  return status.waves.flatMap((wave) => wave.hosts).find((host) => host.name === name)?.phase
}
