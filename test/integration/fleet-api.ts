/**
 * What a test says to a node: the local API over its socket, and facts signed in this process. Every
 * submission takes a feed of its own, as every run of the command line does.
 */
import { randomBytes } from 'node:crypto'
import { blobSource } from '../../cli/client.ts'
import { type Reply, transportOf } from '../../cli/transport.ts'
import type {
  FleetStatus,
  HostDetail,
  PlanBase,
  Problem,
  RolloutStatus,
  Submitted,
} from '../../node/index.ts'
import {
  type FactBodies,
  type FactOf,
  type FactType,
  type HealthCheck,
  type KeyPair,
  type Manifest,
  manifestBlob,
  NO_FACT,
  type PlanBody,
  planBlob,
  sealFact,
  toHex,
} from '../../protocol/index.ts'
import type { Trust } from '../../rollout/index.ts'
import { type BuiltNars, buildPortable } from '../portable-build.ts'

/** A node's API at its socket. Everything throws `Refused` on an answer of 400 and above. */
export interface Api {
  readonly get: <Body>(path: string) => Promise<Body>
  readonly post: (bytes: Uint8Array) => Promise<Submitted>
  readonly put: (hash: string, bytes: Uint8Array) => Promise<void>
  readonly fleet: () => Promise<FleetStatus & { readonly head: string }>
  readonly rollout: (id: string) => Promise<RolloutStatus>
  readonly host: (name: string) => Promise<HostDetail>
  readonly base: () => Promise<PlanBase>
}

/** So many random bytes. */
export function fresh(count: number): Uint8Array {
  return new Uint8Array(randomBytes(count))
}

/** The API said no. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly problem: Problem

  constructor(problem: Problem) {
    super(`${problem.code} ${problem.title}: ${problem.why}`)
    this.problem = problem
  }
}

const PATIENCE_MS = 10_000

export function apiAt(socket: string): Api {
  const transport = transportOf(`unix:${socket}`, () => {
    throw new TypeError('a socket needs no libp2p')
  })
  const ask = async <Body>(
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    bytes?: Uint8Array,
  ): Promise<Body> => {
    const body = bytes && blobSource(bytes)
    const signal = AbortSignal.timeout(PATIENCE_MS)
    return bodyOf<Body>(await transport.ask({ method, path, body }, signal))
  }
  const get = <Body>(path: string): Promise<Body> => ask<Body>('GET', path)
  return {
    get,
    post: (bytes) => ask('POST', '/api/v1/operations', bytes),
    put: async (hash, bytes) => {
      await ask('PUT', `/api/v1/blobs/${hash}`, bytes)
    },
    fleet: () => get('/api/v1/fleet'),
    rollout: (id) => get(`/api/v1/rollouts/${id}`),
    host: (name) => get(`/api/v1/hosts/${name}`),
    base: () => get('/api/v1/base?group=main'),
  }
}

function bodyOf<Body>(reply: Reply): Body {
  const value: unknown = JSON.parse(reply.text)
  if (reply.status >= 400) throw new Refused(value as Problem)
  return value as Body
}

/** The problem with which `work` is refused. Throws when it is not. */
export async function refusal(work: Promise<unknown>): Promise<Problem> {
  try {
    await work
  } catch (error) {
    if (error instanceof Refused) return error.problem
    throw error
  }
  throw new Error('expected a refusal, found none')
}

/** One fact in a feed of its own. */
export function signed<T extends FactType>(
  trust: Trust,
  key: KeyPair,
  type: T,
  body: FactBodies[T],
): FactOf<T> {
  const session = toHex(fresh(16))
  const draft = { type, body, session, seq: 0, prev: NO_FACT, epoch: 1, ts: Date.now() }
  return sealFact(draft, { fleet: trust.fleet, key })
}

/** A plan as fact and body, not yet sent. */
export interface SignedPlan {
  readonly fact: FactOf<'rollout.plan'>
  readonly blob: ReturnType<typeof planBlob>
}

/** What a test leaves out of a plan's body. */
export type PlanWish = Pick<PlanBody, 'release'> & {
  readonly base: string
  readonly waves: readonly (readonly string[])[]
  readonly supersedes?: readonly string[]
  readonly policy?: Partial<PlanBody['policy']>
}

export function signPlan(trust: Trust, key: KeyPair, wish: PlanWish): SignedPlan {
  const { probeMs, activateMs } = trust.config.timing
  const body: PlanBody = {
    release: wish.release,
    kind: 'forward',
    groups: [{ group: 'main', base: wish.base, waves: wish.waves }],
    policy: {
      soakMs: probeMs * 4,
      confirmMs: probeMs * 12,
      startTimeoutMs: activateMs,
      budget: { kind: 'count', count: 0 },
      onFailure: 'halt',
      maxInFlight: [],
      ...wish.policy,
    },
    supersedes: [...(wish.supersedes ?? [])].sort(),
    strategy: 'test',
    reason: 'test',
  }
  const blob = planBlob(body)
  const fact = signed(trust, key, 'rollout.plan', {
    plan: blob.hash,
    planBytes: blob.bytes.length,
    release: body.release,
    groups: ['main'],
  })
  return { fact, blob }
}

/** Hands a plan to a node as the command line does: the fact, then the body if it is wanted. */
export async function submitPlan(api: Api, plan: SignedPlan): Promise<string> {
  await api.post(plan.fact.bytes)
  await api.put(plan.blob.hash, plan.blob.bytes).catch((error: unknown) => {
    // Held already: a peer was faster than we were.
    if (!(error instanceof Refused) || error.problem.code !== 'NF-4005') throw error
  })
  return plan.fact.id
}

/** The base of a plan over `hosts`: the newest block that touched one of them. */
export function baseOver(base: PlanBase, hosts: readonly string[]): string {
  const touched = base.hosts.flatMap((row) =>
    hosts.includes(row.host) && row.base !== null ? [row.base] : [],
  )
  touched.sort((a, b) => b.slot - a.slot)
  return touched[0]?.block ?? base.genesis
}

/** A release of one portable generation for every host, built, announced, and sent to `api`. */
export async function announce(
  input: { readonly trust: Trust; readonly key: KeyPair; readonly api: Api },
  release: {
    readonly folder: string
    readonly label: string
    readonly version: number
    readonly script?: string
    readonly checks?: readonly HealthCheck[]
  },
): Promise<{ readonly id: string; readonly built: BuiltNars }> {
  const { trust, key, api } = input
  const { folder, label, version, script, checks } = release
  const built = await buildPortable(folder, label, script === undefined ? {} : { script })
  const manifest: Manifest = {
    kind: 'portable',
    hosts: trust.config.hosts.map(({ name }) => ({
      host: name,
      generation: built.generation,
      closure: built.closure,
      checks: checks ?? [],
    })),
    paths: built.paths,
    caches: [],
  }
  const blob = manifestBlob(manifest)
  const fact = signed(trust, key, 'release.announce', {
    name: label,
    channel: 'stable',
    version,
    minVersion: 0,
    manifest: blob.hash,
    manifestBytes: blob.bytes.length,
    notRevertable: [],
  })
  await api.post(fact.bytes)
  await api.put(blob.hash, blob.bytes)
  for (const [hash, bytes] of built.nars) await api.put(hash, bytes)
  return { id: fact.id, built }
}
