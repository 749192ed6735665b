/**
 * One voter lies, in real processes: a test build that votes twice and forks its feed. Every other node
 * proves it, freezes what it forked and shows it; the others carry the rollout on; and whoever has the
 * fleet's root hash and a pull checks the proof without a node.
 */
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { ForkRow } from '../../node/index.ts'
import { announce, baseOver, signPlan, submitPlan } from './fleet-api.ts'
import { FleetProcesses, until } from './fleet-processes.ts'
import { chainOf } from './gate-chain.ts'

const MS_MAX = 90_000
const LIAR = 'host-4'

let fleet: FleetProcesses | undefined

afterEach(async () => {
  await fleet?.destroy()
  fleet = undefined
})

async function started(hosts: number, voters: number, liar: string): Promise<FleetProcesses> {
  const one = await FleetProcesses.create({
    ...{ label: 'liar', hosts, voters, liars: [liar] },
    // Slow probes: on a busy machine a second without an answer is no failed host.
    timing: { viewMs: 500, probeMs: 2_000, windowMs: 4_000 },
  })
  fleet = one
  await one.start()
  return one
}

async function forksAt(at: FleetProcesses, name: string): Promise<readonly ForkRow[]> {
  const ran = await at.cli(name, 'alice', ['peers', 'forks', '--json'])
  expect(ran.exit, ran.stderr).toBe(0)
  return (JSON.parse(ran.stdout) as { items: readonly ForkRow[] }).items
}

async function deploy(at: FleetProcesses, waves: readonly (readonly string[])[]): Promise<string> {
  const api = at.api('host-1')
  const from = { trust: at.trust, key: at.release, api }
  const release = (await announce(from, { folder: at.folder, label: 'next', version: 1 })).id
  const base = baseOver(await api.base(), waves.flat())
  return await submitPlan(api, signPlan(at.trust, at.operator(), { release, base, waves }))
}

/** Kinds of proof against the liar that a node shows. */
async function provenAt(at: FleetProcesses, name: string, liar: string) {
  const rows = (await forksAt(at, name)).filter((row) => row.accused.name === liar)
  return { feed: rows.find((row) => row.kind === 'feed'), vote: rows.find(isVote) }
}

function isVote({ kind }: ForkRow): boolean {
  return kind === 'skip-final' || kind === 'ballot'
}

describe('a voter that equivocates among four', () => {
  it('is proven, frozen and shown on every other node, and the rollout goes on without it', async () => {
    const four = await started(5, 4, LIAR)
    const honest = ['host-1', 'host-2', 'host-3', 'host-5']
    const r = await deploy(four, [['host-1'], ['host-2', 'host-3', 'host-5']])
    const api = four.api('host-1')
    await until(MS_MAX, 'the rollout is over', async () => (await api.rollout(r)).closed)
    expect((await api.rollout(r)).state).toBe('complete')
    for (const name of honest) {
      let shown = await provenAt(four, name, LIAR)
      await until(MS_MAX, `${name} shows both lies`, async () => {
        shown = await provenAt(four, name, LIAR)
        return shown.feed !== undefined && shown.vote !== undefined
      })
      expect(shown.feed?.effect).toMatch(/counts/)
      expect(shown.vote?.effect).toBe('its votes still count: one such voter is tolerated')
      const { warnings } = await four.api(name).fleet()
      expect(warnings.join('\n')).toMatch(
        /the voter host-4 signed messages that exclude each other/,
      )
      expect(warnings.join('\n')).toMatch(/host-4 signed two facts for one place of its feed/)
    }
    const chains = await Promise.all(honest.map((name) => chainOf(four.api(name), four.trust)))
    for (const chain of chains) expect(chain).toEqual(chains[0])

    const folder = join(four.folder, 'pull')
    const pulled = await four.cli('host-5', 'alice', ['audit', 'pull', '--out', folder])
    expect(pulled.exit, pulled.stderr).toBe(0)
    await Promise.all(four.names.map((name) => four.stop(name)))
    const words = ['audit', 'verify', folder, '--root-hash', four.rootHash, '--json']
    const verified = await four.cli('host-5', 'alice', words)
    const { pulls } = JSON.parse(verified.stdout) as {
      pulls: readonly { verdict: { lies: readonly { accused: string; kind: string }[] } }[]
    }
    const lies = pulls.flatMap(({ verdict }) => verdict.lies)
    expect(new Set(lies.map((lie) => lie.accused))).toEqual(new Set([LIAR]))
    expect(lies.map((lie) => lie.kind)).toEqual(expect.arrayContaining(['feed', 'skip-final']))
    expect(verified.exit, verified.stdout).toBe(0)
  }, 200_000)
})
