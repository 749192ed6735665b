/**
 * A plan made by hand and signed with a real operator's key: what the command line would never send,
 * and the voters must refuse by themselves.
 */
import { readKeyFile } from '../../cli/key-file.ts'
import { type Ask, transportOf } from '../../cli/transport.ts'
import type { PlanBase } from '../../node/index.ts'
import { fleetIdOf, NO_FACT, type PlanBody, planBlob, sealFact } from '../../protocol/index.ts'

/** What to claim, and through whom. */
export interface Forgery {
  /** Path of the API socket of the host that is handed the plan. */
  readonly socket: string
  /** Path of the operator's key file. */
  readonly key: string
  readonly release: string
  readonly waves: readonly (readonly string[])[]
  readonly supersedes: readonly string[]
}

/** Signs the plan and hands it in, with its body. Gives the rollout's id. */
export async function submitForgery(forgery: Forgery): Promise<string> {
  const key = readKeyFile([forgery.key], 'operator')
  const base = JSON.parse(await ask(forgery, { method: 'GET', path: '/api/v1/base?group=main' }))
  const plan = planBlob(bodyOf(forgery, base))
  const body = {
    plan: plan.hash,
    planBytes: plan.bytes.length,
    release: forgery.release,
    groups: ['main'],
  }
  const place = { session: 'f0'.repeat(16), seq: 0, prev: NO_FACT, epoch: 1, ts: Date.now() }
  const fact = sealFact(
    { type: 'rollout.plan', body, ...place },
    { fleet: fleetIdOf(key.rootHash), key: key.key },
  )
  await ask(forgery, { method: 'POST', path: '/api/v1/operations', body: sourceOf(fact.bytes) })
  const path = `/api/v1/blobs/${plan.hash}`
  await ask(forgery, { method: 'PUT', path, body: sourceOf(plan.bytes) })
  return fact.id
}

/** Everything but its waves is as the command line makes it. */
function bodyOf({ release, waves, supersedes }: Forgery, base: PlanBase): PlanBody {
  const hosts = base.hosts.filter((row) => waves.flat().includes(row.host))
  const slots = hosts.flatMap((row) => row.base ?? []).sort((a, b) => b.slot - a.slot)
  return {
    release,
    kind: 'forward',
    groups: [{ group: 'main', base: slots[0]?.block ?? base.genesis, waves }],
    policy: {
      soakMs: 5000,
      confirmMs: 6000,
      startTimeoutMs: 30_000,
      budget: { kind: 'count', count: 0 },
      onFailure: 'halt',
      maxInFlight: [],
    },
    supersedes: [...supersedes].sort(),
    strategy: 'all-at-once 100%',
    reason: '',
  }
}

async function ask({ socket }: Forgery, question: Ask): Promise<string> {
  const transport = transportOf(`unix:${socket}`, () => {
    throw new Error('expected a unix socket')
  })
  const { status, text } = await transport.ask(question, AbortSignal.timeout(10_000))
  if (status < 300) return text
  throw new Error(`${question.method} ${question.path} was answered with ${status}: ${text}`)
}

function sourceOf(bytes: Uint8Array): NonNullable<Ask['body']> {
  return {
    size: bytes.length,
    open: async function* () {
      yield bytes
    },
  }
}
