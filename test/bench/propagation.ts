/**
 * `propagation`: from a plan's signing until 50 %, 99 % and 100 % of N nodes hold it.
 *
 * Every node's event stream is read by this process, which notes when a plan's fact came out of each.
 * A plan is dated when the operator's command signs it, so the way to the first peer is counted too.
 * The same is told of the voters' decision to admit it. One machine, one wall clock.
 */
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import type { SiteHost } from '../../cli/demo/site.ts'
import type { EventRow } from '../../node/index.ts'
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  loadNow,
  percentile,
  round,
  type Spread,
  spreadOf,
  until,
} from './bench.ts'
import { type BenchFleet, rolloutAt, withFleet } from './fleet.ts'

const KNOWN_MS_MAX = 120_000
const CLOSE_MS_MAX = 300_000
const POLL_MS = 100

export const bench: Bench = { hosts: 20, runs: 10, run }

/** When each node told of an event, by the event's fact or block. */
type Sightings = Map<string, Map<string, { readonly at: number; readonly row: EventRow }>>

/** One plan: ms from its signing until each node held it, and until each knew it admitted. */
interface Run {
  readonly rollout: string
  readonly planMs: Readonly<Record<string, number>>
  readonly admittedMs: Readonly<Record<string, number>>
  readonly load: readonly number[]
}

async function run(options: BenchOptions): Promise<BenchResult> {
  return await withFleet(options, async (fleet) => {
    const sightings: Sightings = new Map()
    const ends = fleet.site.hosts.map((host) => listen(host, sightings))
    try {
      const release = await fleet.release('release-1')
      const runs: Run[] = []
      for (let i = 0; i < options.runs; i++) {
        runs.push(await playRun(fleet, options, { sightings, release, before: runs.at(-1) }))
        options.tell(`run ${i + 1} of ${options.runs} done`)
      }
      return summarise(runs, fleet)
    } finally {
      for (const end of ends) end()
    }
  })
}

async function playRun(
  fleet: BenchFleet,
  { signal }: BenchOptions,
  input: { sightings: Sightings; release: string; before: Run | undefined },
): Promise<Run> {
  const { sightings, release, before } = input
  const count = fleet.site.hosts.length
  const replaces = before === undefined ? [] : ['--supersede', before.rollout]
  const { rollout } = await fleet.cli<{ readonly rollout: string }>(
    ...['deploy', release, '--strategy', 'all-at-once', '--soak', '2h', ...replaces, '--detach'],
  )
  const seenBy = (id: string | undefined) => sightings.get(id ?? '')
  const admission = (): string | undefined => blockThatAdmits(sightings, rollout)
  const all = async (): Promise<boolean> =>
    seenBy(rollout)?.size === count && seenBy(admission())?.size === count
  const ways = { withinMs: KNOWN_MS_MAX, everyMs: POLL_MS, signal }
  await until('a plan that every node holds and knows admitted', all, ways)
  const load = loadNow().average
  await fleet.cli('rollback', '--all', '--detach')
  const [asked] = fleet.site.hosts
  if (asked === undefined) throw new TypeError('expected hosts')
  const closed = async (): Promise<boolean> => (await rolloutAt(fleet, asked, rollout)).closed
  await until('the rollout closed', closed, { ...ways, withinMs: CLOSE_MS_MAX, everyMs: 1000 })
  const signedAt = seenBy(rollout)?.values().next().value?.row.ts
  if (signedAt === undefined) throw new Error(`expected the plan ${rollout} in a log, found none`)
  const since = (id: string | undefined) =>
    Object.fromEntries([...(seenBy(id) ?? [])].map(([host, { at }]) => [host, at - signedAt]))
  return { rollout, planMs: since(rollout), admittedMs: since(admission()), load }
}

function blockThatAdmits(sightings: Sightings, rollout: string): string | undefined {
  const words = `admitted ${rollout.slice(0, 12)}`
  for (const [id, seen] of sightings) {
    const row = seen.values().next().value?.row
    if (row?.type === 'gate.commit' && row.text.includes(words)) return id
  }
  return undefined
}

/** Reads a node's event stream until the returned function is called. */
function listen(host: SiteHost, sightings: Sightings): () => void {
  const asked = request(
    { socketPath: host.api.slice('unix:'.length), path: '/api/v1/stream', agent: false },
    (response) => {
      const lines = createInterface({ input: response })
      lines.on('error', ignoreCut)
      lines.on('line', (line) => {
        if (line.startsWith('data: ')) note(sightings, host, JSON.parse(line.slice(6)))
      })
    },
  )
  asked.on('error', ignoreCut)
  asked.end()
  return () => void asked.destroy()
}

/** The streams are cut at the end. Cut earlier, its node never tells of a plan, which is noticed. */
function ignoreCut(): void {}

function note(sightings: Sightings, host: SiteHost, row: Partial<EventRow>): void {
  if (row.fact === undefined || (row.type !== 'rollout.plan' && row.type !== 'gate.commit')) return
  const seen = sightings.get(row.fact) ?? new Map()
  if (!seen.has(host.name)) seen.set(host.name, { at: Date.now(), row })
  sightings.set(row.fact, seen)
}

/** Over all runs: when a share of the nodes knew, in ms. */
function sharesOf(runs: readonly Run[], of: (run: Run) => Readonly<Record<string, number>>) {
  const at = (share: number): Spread =>
    spreadOf(runs.map((one) => percentile(Object.values(of(one)), share)))
  return { half: at(0.5), most: at(0.99), all: at(1) }
}

function summarise(runs: readonly Run[], fleet: BenchFleet): BenchResult {
  const planMs = sharesOf(runs, (one) => one.planMs)
  const admittedMs = sharesOf(runs, (one) => one.admittedMs)
  const line = (name: string, { half, most, all }: typeof planMs): string =>
    `${name.padEnd(9)} 50 % after ${round(half.p50)} ms, 99 % after ${round(most.p50)} ms, 100 % after ${round(all.p50)} ms (medians of ${runs.length} runs; slowest run ${round(all.max)} ms)`
  return {
    figures: { planMs, admittedMs },
    targets: [],
    commands: [
      `${fleet.command}  (${fleet.site.hosts.length} of them)`,
      'nixfleet deploy <release> --strategy all-at-once --soak 2h --detach',
    ],
    notes: [
      'half, most, all: when 50 %, 99 % and 100 % of the nodes knew, over the runs',
      'from the signing of the plan; the node that took it first is one of the nodes',
    ],
    lines: [line('plan', planMs), line('admitted', admittedMs)],
    raw: runs,
  }
}
