/** One look at a peer from outside: the signed probe over our own nonce, then every outside check. */
import {
  encodeCanonical,
  fromHex,
  type HealthCheck,
  type HostName,
  openAnswer,
  type ProbeAnswer,
  type Signer,
  toHex,
} from '../protocol/index.ts'
import { hostNamed, outsideChecks, type ProbeResult, type Trust } from '../rollout/index.ts'
import type { Network, Random, System } from './ports.ts'

/** What a look needs. */
export interface Eyes {
  readonly trust: Trust
  readonly network: Network
  readonly system: System
  readonly random: Random
  readonly signer: Signer
}

/** Looks at `host` now. Never rejects: not answering is a result. */
export async function lookAt(
  eyes: Eyes,
  input: { host: HostName; checks: readonly HealthCheck[]; timeoutMs: number },
): Promise<ProbeResult> {
  const answer = await probe(eyes, input.host, input.timeoutMs).catch(() => undefined)
  const address = eyes.network.addressOf(input.host)
  if (answer === undefined || address === undefined) return { reachable: false }
  const { generation, boot, healthy } = answer
  const failedCheck = await firstFailed(eyes, outsideChecks(input.checks), address)
  return {
    reachable: true,
    generation,
    boot,
    healthy,
    ...(failedCheck === undefined ? {} : { failedCheck }),
  }
}

/** Asks `host` for its generation and boot over a fresh nonce. Rejects when it does not answer, or not for itself. */
export async function probe(eyes: Eyes, host: HostName, timeoutMs: number): Promise<ProbeAnswer> {
  const nonce = toHex(eyes.random.bytes(16))
  const request = encodeCanonical(fromHex(nonce))
  const bytes = await eyes.network.ask(host, 'probe', request, timeoutMs)
  const { trust, signer } = eyes
  const { author, body } = openAnswer('probe.rsp', bytes, {
    fleet: trust.fleet,
    whose: `probe of ${host}`,
    signer,
  })
  if (author === hostNamed(trust, host)?.fact && body.nonce === nonce && body.host === host)
    return body
  throw new Error(
    `expected an answer of ${host} over ${nonce}, found one of ${body.host} over ${body.nonce}`,
  )
}

async function firstFailed(
  eyes: Eyes,
  checks: readonly HealthCheck[],
  address: string,
): Promise<string | undefined> {
  const outcomes = await Promise.all(checks.map((check) => eyes.system.checkPeer(check, address)))
  return outcomes.find((outcome) => !outcome.ok)?.name
}
