/**
 * `footprint`: what one node costs a host that does nothing, in a fleet of N.
 *
 * Memory is read from `/proc/<pid>/status` (RSS) and `smaps_rollup` (PSS: pages that N copies of the
 * program share are counted once among them), CPU from `/proc/<pid>/stat`, bytes from the kernel's
 * own counters of each connection between daemons (`ss -tin`), payload both ways.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  loadNow,
  pause,
  percentile,
  round,
  spreadOf,
  target,
} from './bench.ts'
import { type BenchFleet, withFleet } from './fleet.ts'

/** Until compilers and start-up garbage are done with. */
const SETTLE_MS = 60_000
/** One run: long enough for two exchanges with a random peer. */
const WATCH_MS = 60_000
/** What the kernel counts CPU in: 10 ms. */
const TICK_MS = 10
const RSS_MB_MAX = 100

export const bench: Bench = { hosts: 20, runs: 2, run }

/** One node at one moment. Sizes in bytes; CPU in ms since its start. */
interface Sample {
  readonly rss: number
  readonly pss: number
  readonly peakRss: number
  readonly cpuMs: number
}

/** One node over one run. */
interface Watched extends Sample {
  readonly host: string
  readonly cpuPercent: number
  readonly sentPerMinute: number
  readonly receivedPerMinute: number
}

/** Payload bytes of one connection since it was made. */
interface Traffic {
  readonly sent: number
  readonly received: number
}

async function run(options: BenchOptions): Promise<BenchResult> {
  return await withFleet(options, async (fleet) => {
    options.tell(`letting it rest for ${SETTLE_MS / 1000} s`)
    await pause(SETTLE_MS, options.signal)
    const runs: { load: readonly number[]; nodes: readonly Watched[] }[] = []
    for (let i = 0; i < options.runs; i++) {
      const nodes = await watch(fleet, options)
      runs.push({ load: loadNow().average, nodes })
      options.tell(`run ${i + 1} of ${options.runs} done`)
    }
    return summarise(runs, fleet)
  })
}

async function watch(fleet: BenchFleet, { signal }: BenchOptions): Promise<readonly Watched[]> {
  const { hosts } = fleet.site
  const pids = hosts.map(({ name }) => pidOf(fleet, name))
  const before = { at: performance.now(), traffic: trafficByPid(), samples: pids.map(sample) }
  await pause(WATCH_MS, signal)
  const ms = performance.now() - before.at
  const traffic = trafficByPid()
  return hosts.map(({ name }, i) => {
    const pid = pidOf(fleet, name)
    const now = sample(pid)
    const bytes = gained(before.traffic.get(pid), traffic.get(pid))
    const minutes = ms / 60_000
    return {
      host: name,
      ...now,
      cpuPercent: round((100 * (now.cpuMs - (before.samples[i]?.cpuMs ?? 0))) / ms),
      sentPerMinute: Math.round(bytes.sent / minutes),
      receivedPerMinute: Math.round(bytes.received / minutes),
    }
  })
}

function summarise(
  runs: readonly { load: readonly number[]; nodes: readonly Watched[] }[],
  fleet: BenchFleet,
): BenchResult {
  const nodes = runs.flatMap((one) => one.nodes)
  const mb = (bytes: (node: Watched) => number) => nodes.map((node) => bytes(node) / 1e6)
  const rssMb = spreadOf(mb((node) => node.rss))
  const pssMb = spreadOf(mb((node) => node.pss))
  const cpuPercent = spreadOf(nodes.map((node) => node.cpuPercent))
  const bytesPerMinute = spreadOf(nodes.map((node) => node.sentPerMinute + node.receivedPerMinute))
  const sentPerMinute = spreadOf(nodes.map((node) => node.sentPerMinute))
  const peakRssMb = round(
    percentile(
      mb((node) => node.peakRss),
      1,
    ),
  )
  return {
    figures: { rssMb, pssMb, peakRssMb, cpuPercent, bytesPerMinute, sentPerMinute },
    targets: [target('RSS of the largest node, MB', RSS_MB_MAX, rssMb.max)],
    commands: [`${fleet.command}  (${fleet.site.hosts.length} of them)`],
    notes: [
      'idle: no rollout is open; probes of own checks, pings, gossip heartbeats and syncs go on',
      'bytes: TCP payload between daemons, sent and received, from the kernel (ss -tin)',
      'MB are 1,000,000 bytes; CPU is of one core',
    ],
    lines: [
      `RSS      ${rssMb.p50} MB median, ${rssMb.max} MB largest, ${peakRssMb} MB at its peak`,
      `PSS      ${pssMb.p50} MB median, ${pssMb.max} MB largest`,
      `CPU      ${cpuPercent.p50} % median, ${cpuPercent.max} % highest`,
      `traffic  ${bytesPerMinute.p50} bytes a minute and node median, ${bytesPerMinute.max} highest`,
    ],
    raw: runs,
  }
}

function pidOf(fleet: BenchFleet, name: string): number {
  const pid = fleet.site.pid(name)
  if (pid === undefined) throw new Error(`expected the daemon of ${name} to run, found it ended`)
  return pid
}

function sample(pid: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The command's name may hold blanks: fields are counted after its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    rss: kilobytes(status, 'VmRSS'),
    peakRss: kilobytes(status, 'VmHWM'),
    pss: kilobytes(rollup, 'Pss'),
    cpuMs: TICK_MS * (Number(fields[11]) + Number(fields[12])),
  }
}

function kilobytes(text: string, name: string): number {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)
  if (found === null) throw new Error(`expected ${name} in what the kernel says, found none`)
  return 1024 * Number(found[1])
}

/** Established connections by process, each by its two ends. */
function trafficByPid(): ReadonlyMap<number, ReadonlyMap<string, Traffic>> {
  const text = execFileSync('ss', ['-tinpHO', 'state', 'established'], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const byPid = new Map<number, Map<string, Traffic>>()
  for (const line of text.split('\n')) {
    const pid = Number(/pid=(\d+)/.exec(line)?.[1])
    const [, , from, to] = line.trim().split(/\s+/)
    if (!Number.isInteger(pid) || from === undefined || to === undefined) continue
    const number = (name: string): number =>
      Number(new RegExp(`\\b${name}:(\\d+)`).exec(line)?.[1] ?? 0)
    const own = byPid.get(pid) ?? new Map<string, Traffic>()
    // A connection's SYN counts as one acknowledged byte; `bytes_sent` would count it again if lost.
    byPid.set(
      pid,
      own.set(`${from} ${to}`, {
        sent: number('bytes_acked'),
        received: number('bytes_received'),
      }),
    )
  }
  if (byPid.size === 0) throw new Error('expected connections from ss -tinpHO, found none')
  return byPid
}

/** What the connections of one process gained; those that ended in between are not counted. */
function gained(
  before: ReadonlyMap<string, Traffic> | undefined,
  after: ReadonlyMap<string, Traffic> | undefined,
): Traffic {
  const sum = { sent: 0, received: 0 }
  for (const [ends, { sent, received }] of after ?? []) {
    const start = before?.get(ends)
    sum.sent += sent - (start?.sent ?? 0)
    sum.received += received - (start?.received ?? 0)
  }
  return sum
}
