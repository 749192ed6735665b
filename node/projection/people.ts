/** Names for keys and releases, as the trust documents and the facts give them. */
import type { FactId, FactOf, KeyId, Manifest, RolloutId } from '../../protocol/index.ts'
import {
  authorHost,
  type Knowledge,
  operatorOfKey,
  releaseKeyOf,
  type Trust,
} from '../../rollout/index.ts'
import type { Author, ReleaseRef } from '../api/contract.ts'

/** Who a key belongs to. */
export function authorOf(trust: Trust, key: KeyId): Author {
  const host = authorHost(trust, key)
  if (host !== undefined) return { name: host.name, role: 'host', key }
  const operator = operatorOfKey(trust, key)
  if (operator !== undefined) return { name: operator.name, role: 'operator', key }
  const release = releaseKeyOf(trust, key)
  if (release !== undefined) return { name: release.name, role: 'release', key }
  if (trust.root.admins.includes(key))
    return { name: `admin ${key.slice(0, 8)}`, role: 'admin', key }
  return { name: key.slice(0, 16), role: 'unknown', key }
}

/** A release in one line, from its announcement. */
export function releaseRef(fact: FactOf<'release.announce'>): ReleaseRef {
  const { name, channel, version } = fact.body
  return { id: fact.id, name, channel, version }
}

/** The release of a rollout; an unknown one keeps its id. */
export function releaseOfRollout(knowledge: Knowledge, rollout: RolloutId): ReleaseRef {
  const id = knowledge.view.plans.get(rollout)?.body.release ?? '0'.repeat(64)
  const fact = knowledge.view.releases.get(id)
  return fact === undefined
    ? { id, name: 'not announced', channel: '-', version: 0 }
    : releaseRef(fact)
}

/** The manifest of a release, if it is held. */
export function manifestOf(knowledge: Knowledge, release: FactId): Manifest | undefined {
  const fact = knowledge.view.releases.get(release)
  return fact === undefined ? undefined : knowledge.bodies.manifest(fact.body.manifest)
}

/** The newest known release that gives `host` this generation. */
export function releaseRunning(
  knowledge: Knowledge,
  host: string,
  generation: string,
): ReleaseRef | undefined {
  let best: ReleaseRef | undefined
  for (const fact of knowledge.view.releases.values()) {
    const entry = manifestOf(knowledge, fact.id)?.hosts.find((one) => one.host === host)
    if (
      entry?.generation === generation &&
      (best === undefined || fact.body.version > best.version)
    ) {
      best = releaseRef(fact)
    }
  }
  return best
}
