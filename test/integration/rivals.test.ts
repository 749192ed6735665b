/**
 * Two operators at two peers want the same hosts at the same moment, round after round (acceptance
 * 4): the voters admit exactly one plan, on every node the same, and the other operator is told who
 * won. Five real daemons; the switch of a generation is one line of shell.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RolloutStatus } from '../../node/index.ts'
import { type Api, announce, baseOver, signed, signPlan, submitPlan } from './fleet-api.ts'
import { FleetProcesses, until } from './fleet-processes.ts'

const ROUNDS = 100
/** Every so many rounds the winner is halted only when its canary runs the new generation. */
const RUNNING_EVERY = 10
/** A round takes about a second; a machine that is busy with other things may need many. */
const ROUND_MS_MAX = 60_000
const RIVALS = [
  { operator: 'alice', peer: 'host-1' },
  { operator: 'bob', peer: 'host-4' },
] as const
const OPEN = new Set(['admitted', 'wave'])

let fleet: FleetProcesses
const releases = new Map<string, string>()

beforeAll(async () => {
  fleet = await FleetProcesses.create({
    label: 'rivals',
    hosts: 5,
    voters: 4,
    operators: ['alice', 'bob'],
    timing: { viewMs: 500, probeMs: 1_000 },
  })
  await fleet.start()
  const from = { trust: fleet.trust, key: fleet.release, api: fleet.api('host-2') }
  for (const { operator } of RIVALS) {
    const release = { folder: fleet.folder, label: `for-${operator}`, version: 1 }
    releases.set(operator, (await announce(from, release)).id)
  }
  await until(20_000, 'every node holds both releases', async () => {
    const lists = await Promise.all(
      apis().map((api) => api.get<{ items: { hosts: unknown }[] }>('/api/v1/releases')),
    )
    return lists.every(({ items }) => items.length === 2 && items.every((one) => one.hosts === 5))
  })
}, 60_000)

afterAll(async () => {
  await fleet?.destroy()
})

function apis(): readonly Api[] {
  return fleet.names.map((name) => fleet.api(name))
}

/** Both sign a plan over all hosts on what their own peer shows, and hand it in at once. */
async function race(supersedes: readonly string[]): Promise<readonly string[]> {
  const plans = await Promise.all(
    RIVALS.map(async ({ operator, peer }) => {
      const base = baseOver(await fleet.api(peer).base(), fleet.names)
      const release = releases.get(operator) ?? ''
      const waves = [['host-5'], fleet.names.filter((name) => name !== 'host-5')]
      const wish = { release, base, waves, supersedes }
      return { peer, plan: signPlan(fleet.trust, fleet.operator(operator), wish) }
    }),
  )
  return await Promise.all(plans.map(({ peer, plan }) => submitPlan(fleet.api(peer), plan)))
}

/** Waits until every node has decided both plans, and gives each node's view of them. */
async function decided(ids: readonly string[]): Promise<readonly (readonly RolloutStatus[])[]> {
  let views: readonly (readonly RolloutStatus[])[] = []
  await until(ROUND_MS_MAX, 'every node has decided both plans', async () => {
    views = await Promise.all(
      apis().map((api) => Promise.all(ids.map((id) => api.rollout(id)))),
    ).catch(() => [])
    return views.length > 0 && views.flat().every((view) => view.state !== 'proposed')
  })
  return views
}

/** From PROBATION on the canary runs the release; a quick look at it may find it already further on. */
const RUNNING = new Set(['PROBATION', 'CONFIRMED', 'SOAKED', 'COMMITTED'])

async function untilRunning(winner: string): Promise<void> {
  await until(ROUND_MS_MAX, `the canary of ${winner.slice(0, 8)} runs`, async () => {
    const { waves } = await fleet.api('host-3').rollout(winner)
    return RUNNING.has(waves[0]?.hosts[0]?.phase ?? '')
  })
}

/** Halts the winner at a third peer; gives when every node has it closed. */
async function close(winner: string): Promise<void> {
  const halt = signed(fleet.trust, fleet.operator('alice'), 'rollout.halt', {
    rollout: winner,
    revert: true,
    why: 'the next round',
  })
  await fleet.api('host-3').post(halt.bytes)
  await until(ROUND_MS_MAX, `every node has ${winner.slice(0, 8)} closed`, async () => {
    const views = await Promise.all(apis().map((api) => api.rollout(winner)))
    return views.every((view) => view.closed)
  })
}

function winnerOf(ids: readonly string[], views: readonly (readonly RolloutStatus[])[]): string {
  const winners = views.map((view) => view.filter((one) => one.state !== 'rejected'))
  expect(winners.map((one) => one.length)).toEqual(fleet.names.map(() => 1))
  const found = [...new Set(winners.flat().map((one) => one.id))]
  expect(found).toHaveLength(1)
  const [winner = ''] = found
  for (const view of views) {
    const loser = view.find((one) => one.id !== winner)
    expect(ids).toContain(loser?.id)
    expect(['conflict', 'stale-base']).toContain(loser?.rejected?.code)
    expect(loser?.rejected?.winner).toBe(winner)
    expect(OPEN.has(view.find((one) => one.id === winner)?.state ?? '')).toBe(true)
  }
  return winner
}

describe('two operators, the same hosts, two peers, one moment', () => {
  it(
    `let exactly one plan win in each of ${ROUNDS} rounds, on every node the same one`,
    async () => {
      const wins = [0, 0]
      let slowest = 0
      const startedAt = performance.now()
      let last: string | undefined
      for (let round = 0; round < ROUNDS; round++) {
        const roundAt = performance.now()
        const ids = await race(last === undefined ? [] : [last])
        const winner = winnerOf(ids, await decided(ids))
        const at = ids.indexOf(winner)
        wins[at] = (wins[at] ?? 0) + 1
        if (round % RUNNING_EVERY === 0) await untilRunning(winner)
        await close(winner)
        last = winner
        slowest = Math.max(slowest, (performance.now() - roundAt) / 1000)
      }
      const seconds = (performance.now() - startedAt) / 1000
      expect(wins.reduce((sum, count) => sum + count, 0)).toBe(ROUNDS)
      const switches = readFileSync(join(fleet.host('host-5').data, 'state', 'switches'), 'utf8')
      process.stdout.write(
        `rivals: ${ROUNDS} rounds in ${seconds.toFixed(0)} s, the slowest took ${slowest.toFixed(1)} s; ${RIVALS.map(({ operator, peer }, i) => `${operator} at ${peer} won ${wins[i]}`).join(', ')}; the canary switched ${switches.split('\n').length - 1} times\n`,
      )
    },
    10 * 60_000,
  )

  it('tells the loser of two runs of the command line who won, and exits with 75', async () => {
    const last = ['--supersede', await lastOf('host-5')]
    const runs = await Promise.all(
      RIVALS.map(({ operator, peer }) =>
        fleet.cli(peer, operator, ['deploy', releases.get(operator) ?? '', '--json', ...last]),
      ),
    )
    const [won, lost] = runs[0]?.exit === 0 ? runs : [...runs].reverse()
    expect(won?.exit, won?.stderr).toBe(0)
    expect(lost?.exit, lost?.stderr).toBe(75)
    const winner = (JSON.parse(won?.stdout ?? '') as { id: string }).id
    const error = JSON.parse(lost?.stderr ?? '') as { code: string; why: string[]; fix: string[] }
    // Told by the voters, or, when the winner was admitted before the plan was made, by the peer.
    expect(['NF-2101', 'NF-2114', 'NF-2108']).toContain(error.code)
    expect([...error.why, ...error.fix].join('\n')).toContain(winner.slice(0, 8))
    await close(winner)
  })
})

/** The rollout that was admitted last for a host. */
async function lastOf(host: string): Promise<string> {
  const { hosts } = await fleet.api('host-3').base()
  return hosts.find((row) => row.host === host)?.last ?? ''
}
