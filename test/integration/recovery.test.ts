/**
 * kill −9 of a host's daemon at every moment of its own rollout (issue "Crash recovery", S9): it goes
 * on or goes back, it never forgets. Five real daemons; the generations' switch takes a third of a
 * second, so that kills meet it too.
 *
 * After each kill the disk is read as it lies there; after each restart the host must come to rest
 * with what runs, what boots and what it committed last being one.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RolloutStatus } from '../../node/index.ts'
import { type Phase, phaseRank } from '../../protocol/index.ts'
import { announce, baseOver, signPlan, submitPlan } from './fleet-api.ts'
import { FleetProcesses, pause, until } from './fleet-processes.ts'
import { deadmanWatches, journalOf, type SystemOnDisk, systemOf } from './victim.ts'

const PATIENCE_MS = 90_000
/** Between two looks at a victim's disk: far shorter than any phase. */
const WATCH_MS = 2
const REST_MS = 1_500

/** What is known of a victim while one waits for the moment to kill it. */
interface Moment {
  readonly generation: string
  readonly label: string
  readonly before: SystemOnDisk
  readonly now: SystemOnDisk
  readonly phase: string | null
  readonly folder: string
}

type When = (moment: Moment) => boolean

/** In the phase or past it: what a peer shows may jump over a short one. */
const reached =
  (from: Phase): When =>
  ({ phase }) =>
    phase !== null && phaseRank(phase as Phase) >= phaseRank(from)
const SWITCHING: When = ({ folder, label }) => {
  const file = join(folder, 'state', 'switches')
  return existsSync(file) && readFileSync(file, 'utf8').includes(label)
}
const STAGED: When = ({ folder, generation }) =>
  existsSync(join(folder, 'system', 'store', generation))
const ARMED: When = ({ before, now }) => now.mark > before.mark
const RUNS: When = ({ now, generation }) => now.running === generation
const RENEWED: When = ({ before, now }) => now.mark > before.mark + 1
const BOOTS: When = ({ now, generation }) => now.bootDefault === generation
const DISARMED: When = ({ before, now }) => now.mark > before.mark && now.deadman === 'idle'

/** When to kill, how much later, and how long to leave the host without a daemon. */
interface Kill {
  readonly name: string
  readonly when: When
  readonly laterMs: number
  /** `deadman`: until the way back has been gone without the daemon. */
  readonly down: number | 'deadman'
  /** Kill the restarted daemon too, so long after its start. */
  readonly again?: number
}

const KILLS: readonly (readonly [Kill, Kill])[] = [
  [
    { name: 'staged', when: STAGED, laterMs: 0, down: 100 },
    { name: 'armed', when: ARMED, laterMs: 0, down: 0 },
  ],
  [
    { name: 'switch begun', when: SWITCHING, laterMs: 0, down: 0, again: 400 },
    { name: 'in the switch', when: SWITCHING, laterMs: 150, down: 'deadman' },
  ],
  [
    { name: 'switched', when: RUNS, laterMs: 0, down: 200 },
    { name: 'probation', when: reached('PROBATION'), laterMs: 0, down: 'deadman' },
  ],
  [
    { name: 'renewed', when: RENEWED, laterMs: 0, down: 0 },
    { name: 'confirmed', when: reached('CONFIRMED'), laterMs: 0, down: 500, again: 200 },
  ],
  [
    { name: 'in the soak', when: RENEWED, laterMs: 700, down: 0 },
    { name: 'late in the soak', when: RENEWED, laterMs: 1_300, down: 'deadman' },
  ],
  [
    { name: 'boot default set', when: BOOTS, laterMs: 0, down: 0 },
    { name: 'just after it', when: BOOTS, laterMs: 4, down: 1_000 },
  ],
  [
    { name: 'disarmed', when: DISARMED, laterMs: 0, down: 0, again: 600 },
    { name: 'just after it', when: DISARMED, laterMs: 6, down: 200 },
  ],
  [
    { name: 'soaked', when: reached('SOAKED'), laterMs: 0, down: 0 },
    { name: 'committed', when: reached('COMMITTED'), laterMs: 0, down: 0 },
  ],
  [
    { name: 'ready', when: reached('READY'), laterMs: 30, down: 0, again: 100 },
    { name: 'switched, later', when: RUNS, laterMs: 60, down: 0, again: 50 },
  ],
]
/** A voter and two others take turns. */
const PAIRS: readonly (readonly string[])[] = [
  ['host-4', 'host-5'],
  ['host-3', 'host-4'],
  ['host-3', 'host-5'],
]

let fleet: FleetProcesses
const tally = new Map<string, number>()
let kills = 0
let deadmen = 0
let facts = 0

beforeAll(async () => {
  fleet = await FleetProcesses.create({
    label: 'kill',
    hosts: 5,
    voters: 3,
    timing: { probeMs: 300, failRounds: 6, windowMs: 600, activateMs: 3_000 },
  })
  await fleet.start()
}, 60_000)

afterAll(async () => {
  await fleet?.destroy()
})

async function begin(
  index: number,
  hosts: readonly string[],
): Promise<{ id: string; label: string; generation: string }> {
  const api = fleet.api('host-1')
  const label = `gen${index}`
  const script = 'sleep 0.3'
  const release = { folder: fleet.folder, label, version: index, script }
  const from = { trust: fleet.trust, key: fleet.release, api }
  const { id: of, built } = await announce(from, release)
  const base = await api.base()
  const rows = base.hosts.filter((row) => hosts.includes(row.host))
  const stopped = rows.filter((row) => row.lastHalted || row.claimedBy !== null)
  const plan = signPlan(fleet.trust, fleet.operator(), {
    release: of,
    base: baseOver(base, hosts),
    waves: [hosts],
    supersedes: [...new Set(stopped.flatMap((row) => row.last ?? []))],
    policy: {
      soakMs: 1_500,
      confirmMs: 2_500,
      startTimeoutMs: 15_000,
      budget: { kind: 'count', count: 2 },
    },
  })
  const id = await submitPlan(api, plan)
  return { id, label, generation: built.generation }
}

function phaseOf(status: RolloutStatus | undefined, host: string): string | null {
  const rows = status?.waves.flatMap((wave) => wave.hosts) ?? []
  return rows.find((row) => row.name === host)?.phase ?? null
}

/** The host as its own signed facts have it: generations committed and not gone back from. */
async function committedTop(host: string, initial: string): Promise<string> {
  return (await fleet.api('host-1').host(host)).committed[0]?.generation ?? initial
}

/** Kills the daemon of `name` and holds what lies on the disk against S9. */
async function killAndLook(name: string): Promise<{ inFlight: boolean }> {
  await fleet.kill(name)
  kills += 1
  const host = fleet.host(name)
  const { state, facts: held } = await journalOf(host, fleet.trust.fleet)
  facts += held
  const disk = systemOf(host)
  const top = state.stack.at(-1)?.generation
  const newest = state.rollouts.at(-1)
  const phase = newest === undefined ? 'none' : newest.phase
  tally.set(phase, (tally.get(phase) ?? 0) + 1)
  const inFlight = state.flight !== undefined && disk.deadman === 'armed'
  if (disk.running === top && disk.bootDefault === top) return { inFlight }
  const onItsWay = disk.deadman === 'going back' || newest?.phase === 'REVERTING'
  const armed = disk.deadman === 'armed' && deadmanWatches(host)
  const found = `${name} at ${phase}: ${JSON.stringify(disk)}, top ${top}`
  expect(onItsWay || armed || disk.deadman === 'back', found).toBe(true)
  return { inFlight }
}

/** Waits for the kill's moment, kills, and starts the daemon again as the kill says. */
async function carryOut(
  name: string,
  kill: Kill,
  rollout: { id: string; label: string; generation: string },
  before: SystemOnDisk,
): Promise<void> {
  const host = fleet.host(name)
  const { label, generation } = rollout
  let phase: string | null = null
  let over = false
  const reading = (async () => {
    while (!over) {
      const status = await fleet
        .api('host-2')
        .rollout(rollout.id)
        .catch(() => undefined)
      phase = phaseOf(status, name)
      await pause(15)
    }
  })()
  const end = performance.now() + PATIENCE_MS
  const moment = (): Moment => {
    return { generation, label, before, now: systemOf(host), phase, folder: host.data }
  }
  // One that was given up before its moment is killed all the same.
  const isOver = (): boolean => phase === 'REVERTED' || phase === 'SKIPPED'
  while (!kill.when(moment()) && !isOver()) {
    if (performance.now() > end) throw new Error(`${name} never was ${kill.name}; phase ${phase}`)
    await pause(WATCH_MS)
  }
  over = true
  await pause(kill.laterMs)
  const { inFlight } = await killAndLook(name)
  await reading
  if (kill.down !== 'deadman') await pause(kill.down)
  else if (inFlight) await expectDeadman(name, before)
  fleet.spawn(name)
  if (kill.again !== undefined) {
    await pause(kill.again)
    await killAndLook(name)
    fleet.spawn(name)
  }
  await fleet.untilServing(name)
}

/** Without a daemon, the deadman alone brings the host back to what it was. */
async function expectDeadman(name: string, before: SystemOnDisk): Promise<void> {
  const host = fleet.host(name)
  await until(30_000, `the deadman of ${name} is back`, () => systemOf(host).deadman === 'back')
  const { running, bootDefault } = systemOf(host)
  deadmen += 1
  expect({ running, bootDefault }).toEqual({
    running: before.running,
    bootDefault: before.bootDefault,
  })
}

/** Waits until nothing moves, then compares: what runs, what boots, what was committed last. */
async function expectRest(
  name: string,
  rollout: { id: string; generation: string },
  before: SystemOnDisk,
): Promise<void> {
  const host = fleet.host(name)
  let since = performance.now()
  let last = ''
  await until(PATIENCE_MS, `${name} rests`, async () => {
    const status = await fleet
      .api('host-2')
      .rollout(rollout.id)
      .catch(() => undefined)
    const disk = systemOf(host)
    const phase = phaseOf(status, name)
    const picture = JSON.stringify([disk, phase, status?.closed])
    const ended = ['COMMITTED', 'REVERTED', 'SKIPPED'].includes(phase ?? '')
    const quiet = disk.deadman === 'idle' || disk.deadman === 'back'
    if (picture !== last || !(ended && quiet && status?.closed)) since = performance.now()
    last = picture
    return performance.now() - since > REST_MS
  })
  const disk = systemOf(host)
  const top = await committedTop(name, before.running)
  expect([before.running, rollout.generation], `${name} rests on`).toContain(disk.running)
  expect(disk.bootDefault, `${name} boots what runs`).toBe(disk.running)
  expect(disk.running, `${name} runs what it committed last`).toBe(top)
}

describe('kill −9 of a daemon in its own rollout', () => {
  it(
    'ends on the new generation or the old one, and nothing in between, whenever it comes',
    async () => {
      const startedAt = performance.now()
      for (const [index, pair] of KILLS.entries()) {
        const hosts = PAIRS[index % PAIRS.length] ?? []
        const before = new Map(hosts.map((name) => [name, systemOf(fleet.host(name))]))
        const rollout = await begin(index + 1, hosts)
        const beforeOf = (name: string): SystemOnDisk =>
          before.get(name) ?? systemOf(fleet.host(name))
        await Promise.all(
          hosts.map((name, i) => carryOut(name, pair[i] ?? pair[0], rollout, beforeOf(name))),
        )
        for (const name of hosts) await expectRest(name, rollout, beforeOf(name))
      }
      const seconds = (performance.now() - startedAt) / 1000
      const spread = [...tally].map(([phase, count]) => `${phase} ${count}`).join(', ')
      process.stdout.write(
        `kill −9: ${kills} kills in ${seconds.toFixed(0)} s, ${deadmen} ways back without a daemon, journal at: ${spread}; ${facts} facts verified in stores that were cut\n`,
      )
      expect(kills).toBeGreaterThanOrEqual(15)
      const inFlight = ['ACTIVATING', 'PROBATION', 'CONFIRMED', 'COMMITTED']
      expect(inFlight.filter((phase) => tally.has(phase))).toEqual(inFlight)
    },
    5 * 60_000,
  )

  it('leaves journals that agree with the disk, and a fleet that agrees with itself', async () => {
    await until(PATIENCE_MS, 'all digests are equal', async () => {
      const all = await Promise.all(fleet.names.map((name) => fleet.api(name).fleet()))
      return new Set(all.map(({ digest }) => digest)).size === 1
    })
    for (const name of ['host-3', 'host-4', 'host-5']) {
      expect(await fleet.stop(name), `${name} ends orderly`).toBe(0)
      const { state } = await journalOf(fleet.host(name), fleet.trust.fleet)
      const { running, bootDefault } = systemOf(fleet.host(name))
      const top = state.stack.at(-1)?.generation
      expect({ running, bootDefault, flight: state.flight }).toEqual({
        running: top,
        bootDefault: top,
        flight: undefined,
      })
    }
  })
})
