/**
 * The process that reports: it asks each node once for its digest, waits until the nodes have ended,
 * then reads their stores and verifies every envelope again.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FleetStatus, Page, Replay, Stamped } from '../../node/index.ts'
import type { Context } from '../context.ts'
import { CliError } from '../errors.ts'
import { EXIT_CHANGES, EXIT_FAILED, EXIT_OK } from '../exit-codes.ts'
import { transportOf } from '../transport.ts'
import { composeReport, faultsOf, type NodeDigest } from './report.ts'
import type { Act } from './steps.ts'

/** What the script leaves for the report: which rollout each step was about, and whom it killed. */
export interface Playbill {
  readonly rootHash: string
  readonly hosts: readonly { readonly name: string; readonly data: string; readonly api: string }[]
  readonly acts: readonly Act[]
}

/** What the reporter says to the process that started it once the nodes may end. */
export const DIGESTS_READ = 'digests read'

/** Nothing was learned anywhere for so long: whatever had to travel has arrived. */
const SILENCE_MS = 5_000
/** A fleet that is never silent is not at rest, and its digests would say nothing. */
const SILENCE_WAIT_MS_MAX = 60_000
/** From the word that the nodes may end until the last store is free. */
const STORE_WAIT_MS_MAX = 60_000
const POLL_MS = 250

/** Leaves the playbill for the reporter. */
export function writePlaybill(folder: string, playbill: Playbill): void {
  writeFileSync(playbillFile(folder), `${JSON.stringify(playbill, null, 2)}\n`)
}

/** Computes and prints the report of the demo in `folder`: one line of JSON. */
export async function report(context: Context, folder: string): Promise<number> {
  try {
    return await compute(context, folder)
  } finally {
    if (process.connected) process.disconnect()
  }
}

async function compute(context: Context, folder: string): Promise<number> {
  const { out } = context
  const { readTrustFiles } = await import('../../node/index.ts')
  const playbill: Playbill = JSON.parse(readFileSync(playbillFile(folder), 'utf8'))
  const { trust } = await readTrustFiles(join(folder, 'trust'), playbill.rootHash)
  await silence(context, playbill)
  const digests = await Promise.all(playbill.hosts.map(digestOf))
  if (process.send === undefined)
    out.note('the digests are read; end the demo, and its stores are too')
  process.send?.(DIGESTS_READ)
  const logs: Replay[] = []
  for (const { data } of playbill.hosts) logs.push(await storedLog(context, data, trust))
  const { acts, hosts } = playbill
  const { voters, quorum } = trust.config
  const sizes = { hosts: hosts.length, voters: voters.length, quorum }
  const composed = composeReport({ ...sizes, acts, logs, digests })
  out.stdout.write(`${JSON.stringify(composed)}\n`)
  const faults = faultsOf(composed, acts)
  for (const fault of faults) out.note(`not as it should be: ${fault}`)
  if (composed.missing.length > 0) out.note(`not played: ${composed.missing.join(', ')}`)
  if (faults.length > 0) return EXIT_FAILED
  return composed.missing.length > 0 ? EXIT_CHANGES : EXIT_OK
}

/** Waits until no node has learned anything, nor committed anything, for the whole silence. */
async function silence({ now, sleep }: Context, { hosts }: Playbill): Promise<void> {
  const giveUp = now() + SILENCE_WAIT_MS_MAX
  let seen = ''
  let since = now()
  while (now() - since < SILENCE_MS) {
    const marks = JSON.stringify(await Promise.all(hosts.map(markOf)))
    if (marks !== seen) since = now()
    seen = marks
    if (now() > giveUp) {
      throw new CliError('NF-1010', `expected ${SILENCE_MS / 1000} s of silence, found none`)
    }
    await sleep(POLL_MS)
  }
}

type Named = Playbill['hosts'][number]

/** Where a node's own log ends and what it committed last. */
async function markOf(host: Named): Promise<readonly string[]> {
  const page = await ask<Stamped<'EventList', Page<{ readonly id: string }>>>(
    host,
    '/api/v1/events?limit=1&newest=yes',
  )
  return [page.head, page.items[0]?.id ?? '']
}

async function digestOf(host: Named): Promise<NodeDigest> {
  const { digest } = await ask<FleetStatus>(host, '/api/v1/fleet?hosts=no')
  return { host: host.name, digest }
}

async function ask<Body>({ name, api }: Named, path: string): Promise<Body> {
  const transport = transportOf(api, () => {
    throw new TypeError('expected a unix socket')
  })
  const reply = await transport.ask({ method: 'GET', path }, AbortSignal.timeout(10_000))
  if (reply.status === 200) return JSON.parse(reply.text) as Body
  throw new CliError('NF-1103', `${name} answered ${reply.status} to ${path}`)
}

/** A store is free as soon as its daemon has ended. */
async function storedLog(
  { now, sleep }: Context,
  data: string,
  trust: Parameters<typeof import('../../node/index.ts')['replayData']>[1],
): Promise<Replay> {
  const { replayData } = await import('../../node/index.ts')
  const giveUp = now() + STORE_WAIT_MS_MAX
  for (;;) {
    try {
      return await replayData(data, trust)
    } catch (error) {
      const locked = error instanceof Error && 'code' in error && error.code === 'STORE_LOCKED'
      if (!locked || now() > giveUp) throw error
      await sleep(POLL_MS)
    }
  }
}

function playbillFile(folder: string): string {
  return join(folder, 'playbill.json')
}
