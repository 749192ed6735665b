/**
 * Pulls of a fleet in virtual time, made by the shipped pull from the shipped API, and what a forger
 * would do to one.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { feedsIn } from '../cli/audit/layout.ts'
import { type Pulled, pullInto } from '../cli/audit/pull.ts'
import type { Client } from '../cli/client.ts'
import { runCli } from '../cli/run.ts'
import { createApi } from '../node/api/server.ts'
import { NodeBackend } from '../node/backend.ts'
import { FileDepot } from '../node/depot.ts'
import type { Runtime } from '../node/runtime.ts'
import { DEMO } from '../protocol/index.ts'
import { SimFleet } from './simulation/fleet.ts'

export interface PulledFleet {
  readonly fleet: SimFleet
  readonly rootHash: string
  /** A folder for pulls; the caller removes it. */
  readonly folder: string
  /** Pulls from a node into a folder of that name. */
  pull(host: string, into: string): Promise<Pulled & { readonly path: string }>
  /** The API of a node. */
  client(host: string): Client
}

/** A fleet that has rolled out `rollouts` releases and whose newest close is cosigned everywhere. */
export async function pulledFleet(rollouts = 1): Promise<PulledFleet> {
  const fleet = new SimFleet({ hosts: 4, voters: 4, timing: { ...DEMO, anchorMs: 5_000 } })
  await fleet.start()
  const first = nodeOf(fleet, 'host-01')
  for (let version = 1; version <= rollouts; version++) await rollOut(fleet, first, version)
  await cosigned(fleet, first)
  return await pullsOf(fleet)
}

/** Waits until every node holds what `first` does, and its newest close is cosigned. */
export async function cosigned(fleet: SimFleet, first: Runtime): Promise<void> {
  const settled = await fleet.until(60_000, () =>
    fleet.nodes.every(
      ({ cosign: { sizes } }) =>
        sizes.log === first.cosign.sizes.log && sizes.due > 0 && sizes.standing === sizes.due,
    ),
  )
  if (!settled) throw new Error('the last close was not cosigned')
}

/** Pulls of a fleet, whatever it has lived through. */
export async function pullsOf(fleet: SimFleet): Promise<PulledFleet> {
  const folder = mkdtempSync(join(tmpdir(), 'nixfleet-pull-'))
  const depot = await FileDepot.open(join(folder, 'nars'))
  const { documents, trust } = fleet
  const client = (host: string): Client =>
    clientOf(
      new NodeBackend({
        node: nodeOf(fleet, host),
        depot,
        files: { ...documents, trust, newer: [] },
      }),
    )
  const pull = async (host: string, into: string): Promise<Pulled & { path: string }> => {
    const path = join(folder, into)
    const pulled = await pullInto(path, {
      client: client(host),
      signal: new AbortController().signal,
      sleep: (ms) => fleet.clock.advance(ms),
      progress: () => undefined,
    })
    return { ...pulled, path }
  }
  return { fleet, rootHash: documents.rootHash, folder, pull, client }
}

/** A rollout over these hosts in two waves, from its release to its close. */
export async function rollOut(
  fleet: SimFleet,
  first: Runtime,
  version: number,
  hosts: readonly string[] = fleet.names,
): Promise<void> {
  const release = await fleet.announce(first, version)
  const rollout = await fleet.plan(first, release, [hosts.slice(0, 1), hosts.slice(1)])
  const done = await fleet.until(120_000, () =>
    fleet.nodes.every((node) => node.gate.state.rollouts.get(rollout)?.status === 'complete'),
  )
  if (!done) throw new Error(`release ${version} did not complete`)
}

/** The node of a host that runs. */
export function nodeOf(fleet: SimFleet, name: string): Runtime {
  const { node } = fleet.host(name)
  if (node === undefined) throw new Error(`${name} does not run`)
  return node
}

/** The API of a node without a socket. */
function clientOf(backend: NodeBackend): Client {
  const api = createApi({ backend, log: { warn: () => undefined, error: () => undefined } })
  const get = async <Body>(path: string): Promise<Body> => {
    const response = await api.request(path)
    if (response.status !== 200) throw new Error(`${path}: ${await response.text()}`)
    return (await response.json()) as Body
  }
  const refuse = (): Promise<never> => Promise.reject(new Error('a pull only reads'))
  const all: Client['all'] = async (path) => {
    const items: never[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const page: { items: never[]; next: string | null } = await get(`${path}${query}`)
      items.push(...page.items)
      cursor = page.next
    }
    return { items, next: null } as never
  }
  return {
    ...{ address: () => 'test', moves: () => 0, get, all, post: refuse, put: refuse },
    ...{ download: refuse },
    ...{ learn: async () => undefined, setPatience: () => undefined, close: async () => undefined },
  }
}

/** What a checker said: its exit code and its lines. */
export interface Said {
  readonly exit: number
  readonly text: string
}

/** Runs a checker that lies in a pull. */
export function check(pull: string, command: readonly string[], rootHash: string): Said {
  const [program = '', ...words] = command
  try {
    const options = { cwd: pull, encoding: 'utf8', stdio: 'pipe' } as const
    return { exit: 0, text: execFileSync(program, [...words, rootHash], options) }
  } catch (error) {
    const { status, stdout, stderr } = error as { status: number; stdout: string; stderr: string }
    return { exit: status, text: `${stdout}${stderr}` }
  }
}

/** A copy of a pull that somebody has changed. */
export function forged(pull: string, name: string, change: (copy: string) => void): string {
  const copy = `${pull}-${name}`
  cpSync(pull, copy, { recursive: true })
  change(copy)
  return copy
}

/** The files of the longest feed of a pull: its bundle, its signatures, its tile. */
export function longestFeed(pull: string): { bundle: string; signatures: string; tile: string } {
  const [longest] = feedsIn(pull)
    .map(({ folder }) => {
      const size = Number(readFileSync(join(folder, 'head'), 'utf8').split('\n')[1])
      return { folder, size }
    })
    .sort((a, b) => b.size - a.size)
  if (longest === undefined) throw new Error('a pull without feeds')
  const name = longest.size >= 256 ? '000' : `000.p/${longest.size}`
  const at = (room: string): string => join(longest.folder, room, name)
  return { bundle: at('tile/entries'), signatures: at('signatures'), tile: at('tile/0') }
}

/** Changes the bytes of a file. */
export function rewrite(file: string, change: (bytes: Buffer) => Buffer): void {
  if (!existsSync(file)) throw new Error(`no file ${file} to change`)
  writeFileSync(file, change(readFileSync(file)))
}

/** The checkpoints of a pull, the smallest tree first. */
export function checkpointsOf(pull: string): readonly string[] {
  const rooms = join(pull, 'gate', 'site', 'checkpoints')
  return readdirSync(rooms)
    .sort((a, b) => Number(a) - Number(b))
    .map((name) => join(rooms, name))
}

/** What a command of ours said. */
export interface Ran {
  readonly exit: number
  readonly out: string
  readonly err: string
}

/** Runs a command of ours that needs no node, in a folder. */
export async function runHere(cwd: string, ...argv: string[]): Promise<Ran> {
  const [out, err]: [string[], string[]] = [[], []]
  const sink = (to: string[]) => ({
    ...{ write: (text: string) => void to.push(text), isTTY: false, columns: 80 },
  })
  const exit = await runCli(argv, {
    stdout: sink(out),
    stderr: sink(err),
    env: {},
    cwd,
    signal: new AbortController().signal,
    now: () => 0,
    sleep: () => Promise.resolve(),
    random: (count) => new Uint8Array(count),
    ask: () => Promise.resolve(undefined),
  })
  return { exit, out: out.join(''), err: err.join('') }
}
