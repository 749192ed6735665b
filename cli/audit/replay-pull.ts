/** A pull as a replay reads it: envelopes put together again from entries and signatures. */
import { existsSync, readFileSync } from 'node:fs'
import type { ReplaySource, StoredBlock, StoredBytes } from '../../node/index.ts'
import { envelopeOf, type FleetId, ProtocolError } from '../../protocol/index.ts'
import type { Trust } from '../../rollout/index.ts'
import type { KnownTrust } from './documents.ts'
import { bodyAt, feedsIn, gateAt, type LogPlace, tailAt } from './layout.ts'
import { readBundles, readHead, readTail, type StoredEntry } from './log-files.ts'

/** The first byte of a block and of a certificate where they lie side by side (SPEC §7.2). */
const ENVELOPE = Uint8Array.of(0)
const CERTIFICATE = Uint8Array.of(1)

/** The trust of a group's first epoch, as the documents of a pull give it; undefined for a group that they do not name. */
export function firstTrust(
  { fleet, roots, configs }: KnownTrust,
  group: string,
): Trust | undefined {
  const [root] = roots
  const first = configs.find(({ config }) => config.group === group && config.epoch === 1)
  return root && first && { fleet, root, config: first.config, genesis: first.hash }
}

/** What lies in the pull of one group's log and of every feed. */
export function sourceOfPull(pull: string, group: string, fleet: FleetId): ReplaySource {
  return {
    async *facts() {
      for (const place of feedsIn(pull)) yield* factsOf(place, fleet)
    },
    async *strays() {},
    async *blocks() {
      yield* blocksOf(gateAt(pull, group), fleet)
    },
    loose: async (epoch) =>
      (readTail(tailAt(pull, group, epoch)) ?? []).map((one) => blockIn(one, fleet)),
    blob: async (hash) => {
      const file = bodyAt(pull, hash)
      return existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined
    },
  }
}

function* factsOf(place: LogPlace, fleet: FleetId): Generator<StoredBytes> {
  for (const { where, stored } of entriesOf(place, false))
    yield { where, bytes: envelopeIn(stored, fleet) }
}

function* blocksOf(place: LogPlace, fleet: FleetId): Generator<StoredBlock> {
  for (const { where, stored } of entriesOf(place, true)) {
    const certificate = Buffer.concat([CERTIFICATE, stored.certificate ?? new Uint8Array()])
    yield { where, block: blockIn(stored, fleet), certificate: new Uint8Array(certificate) }
  }
}

function blockIn(stored: StoredEntry, fleet: FleetId): Uint8Array {
  return new Uint8Array(Buffer.concat([ENVELOPE, envelopeIn(stored, fleet)]))
}

/** What is no entry is no envelope either: the replay says so, with its place. */
function envelopeIn(stored: StoredEntry, fleet: FleetId): Uint8Array {
  try {
    return envelopeOf(stored, fleet)
  } catch (error) {
    if (error instanceof ProtocolError) return new Uint8Array()
    throw error
  }
}

function* entriesOf(
  place: LogPlace,
  certified: boolean,
): Generator<{ readonly where: string; readonly stored: StoredEntry }> {
  let index = 0
  for (const bundle of readBundles(place, readHead(place)?.size ?? 0, certified)) {
    for (const stored of bundle.entries) yield { where: `${place.name} entry ${index++}`, stored }
  }
}
