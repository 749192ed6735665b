/**
 * `revocation`: from the command that revokes an operator's key until each of N nodes refuses what the
 * key signs.
 *
 * Before each run every node holds a fact of the key. Each node's event stream tells this process when the
 * revocation has arrived; it then offers the node that fact once more, and counts until the answer that
 * the key is revoked (NF-4015). Nothing is asked before, so that the nodes have the machine for themselves.
 */
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { blobSource } from '../../cli/client.ts'
import type { SiteHost } from '../../cli/demo/site.ts'
import { transportOf } from '../../cli/transport.ts'
import type { Documents, EventRow } from '../../node/index.ts'
import { type KeyPair, keyPair, NO_FACT, sealFact, sha256, utf8 } from '../../protocol/index.ts'
import {
  type Bench,
  type BenchOptions,
  type BenchResult,
  loadNow,
  percentile,
  round,
  spreadOf,
  target,
} from './bench.ts'
import { type BenchFleet, withFleet } from './fleet.ts'

const REFUSED_MS_MAX = 60_000
const ASK_MS_MAX = 30_000
/** What the product promises for the last of the nodes. */
const P99_SECONDS_MAX = 2

export const bench: Bench = { hosts: 20, runs: 3, run }

/** One key: seconds from the start of the command until each node refused it. */
interface Run {
  readonly seconds: Readonly<Record<string, number>>
  readonly load: readonly number[]
}

async function run(options: BenchOptions): Promise<BenchResult> {
  return await withFleet(options, async (fleet) => {
    const names = Array.from({ length: options.runs }, (_, i) => `thief-${i + 1}`)
    for (const name of names) await letIn(fleet, name)
    const runs: Run[] = []
    for (const name of names) {
      runs.push(await playRun(fleet, name, options))
      options.tell(`run ${runs.length} of ${options.runs} done`)
    }
    return summarise(runs, fleet)
  })
}

function keyOf(name: string): KeyPair {
  return keyPair(sha256(utf8(`bench revocation ${name}`)))
}

async function letIn(fleet: BenchFleet, name: string): Promise<void> {
  const key = ['--key', keyOf(name).publicKey, '--role', 'deploy']
  await fleet.cli('operators', 'add', name, ...key, '--admin-key', fleet.adminKey)
}

async function playRun(fleet: BenchFleet, name: string, { signal }: BenchOptions): Promise<Run> {
  const [first] = fleet.site.hosts
  if (first === undefined) throw new TypeError('expected hosts')
  const { rootHash } = await fleet.get<Documents>(first, '/api/v1/documents')
  const { bytes } = sealFact(
    {
      type: 'rollout.hold',
      body: { kind: 'on', rollout: 'ee'.repeat(32), why: 'a key that is about to be revoked' },
      session: '11'.repeat(16),
      ...{ seq: 0, prev: NO_FACT, epoch: 1, ts: Date.now() },
    },
    { fleet: rootHash.slice(0, 32), key: keyOf(name) },
  )
  for (const host of fleet.site.hosts) {
    const code = await offer(host, bytes)
    if (code !== undefined)
      throw new Error(`${host.name} refuses the key before it is revoked: ${code}`)
  }
  const heard = fleet.site.hosts.map((host) => listen(host, signal))
  const startedAt = performance.now()
  const revoked = fleet.cli('keys', 'revoke', name, '--nothing', '--admin-key', fleet.adminKey)
  const times = await Promise.all(
    fleet.site.hosts.map(async (host, i) => {
      await heard[i]
      const code = await offer(host, bytes)
      if (code !== 'NF-4015') throw new Error(`${host.name} answered ${code ?? 'that it took it'}`)
      return [host.name, (performance.now() - startedAt) / 1000] as const
    }),
  )
  await revoked
  return { seconds: Object.fromEntries(times), load: loadNow().average }
}

/** Resolves when the host's event stream tells of a revocation. */
async function listen(host: SiteHost, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const asked = request(
      {
        socketPath: host.api.slice('unix:'.length),
        path: '/api/v1/stream',
        agent: false,
        signal: AbortSignal.any([signal, AbortSignal.timeout(REFUSED_MS_MAX)]),
      },
      (response) => {
        const lines = createInterface({ input: response })
        lines.on('error', reject)
        lines.on('line', (line) => {
          if (!line.startsWith('data: ')) return
          if ((JSON.parse(line.slice(6)) as Partial<EventRow>).type !== 'key.revoke') return
          resolve()
          asked.destroy()
        })
      },
    )
    asked.on('error', reject)
    asked.end()
  })
}

/** The code of the refusal; undefined when the fact was taken, or was known. */
async function offer(host: SiteHost, bytes: Uint8Array): Promise<string | undefined> {
  const transport = transportOf(host.api, () => {
    throw new TypeError('a socket needs no libp2p')
  })
  const body = blobSource(bytes)
  const question = { method: 'POST', path: '/api/v1/operations', body } as const
  const reply = await transport.ask(question, AbortSignal.timeout(ASK_MS_MAX))
  if (reply.status < 400) return undefined
  return (JSON.parse(reply.text) as { code?: string }).code ?? `status ${reply.status}`
}

function summarise(runs: readonly Run[], fleet: BenchFleet): BenchResult {
  const all = runs.flatMap(({ seconds }) => Object.values(seconds))
  const spread = spreadOf(all)
  const p99Seconds = round(percentile(all, 0.99))
  const p50Seconds = round(percentile(all, 0.5))
  return {
    kind: 'RevocationReport',
    top: { nodes: fleet.site.hosts.length, p50Seconds, p99Seconds },
    figures: { seconds: spread },
    targets: [target('seconds until a node refuses, p99', P99_SECONDS_MAX, p99Seconds)],
    commands: [
      `${fleet.command}  (${fleet.site.hosts.length} of them)`,
      'nixfleet keys revoke <name> --nothing --admin-key <file> --yes',
    ],
    notes: [
      'from the start of the command, its process included, until each node refused; over all nodes and runs',
      'a node refuses from the moment on that it tells of the revocation; one more offer confirms it',
    ],
    lines: [
      `refused  50 % after ${p50Seconds} s, 99 % after ${p99Seconds} s, all after ${round(spread.max)} s (${runs.length} keys, ${fleet.site.hosts.length} nodes)`,
    ],
    raw: runs,
  }
}
