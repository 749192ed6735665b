/** One feed of a pull: every signature, the chain, and that it holds what blocks stand on. */
import { type Fact, feedKey, feedOrigin, NO_FACT, openLoggedFact } from '../../protocol/index.ts'
import { type KnownTrust, messageOf, personOf } from './documents.ts'
import type { Report } from './findings.ts'
import type { FeedPlace } from './layout.ts'
import { clashes, type PinBytes, PinWriter } from './pins.ts'
import { type SeenEntry, verifyLog } from './verify-log.ts'

/** What was seen of a feed. */
export interface SeenFeed {
  /** How many facts verify. */
  readonly facts: number
  /** The sequence after the last fact. */
  readonly next: number
  /** The facts that verify. */
  readonly ids: PinBytes
}

/** Verifies a feed by itself; `noted` is called for each fact that verifies. */
export function verifyFeed(
  place: FeedPlace,
  input: { readonly trust: KnownTrust; readonly noted?: (fact: Fact) => void },
  report: Report,
): SeenFeed {
  const { trust } = input
  const { author, session, name: where } = place
  const whose = whoseOf(place, trust)
  if (personOf(trust, author) === undefined)
    report({
      code: 'AUTHOR',
      where,
      text: `expected a host, operator, release key or admin, found the key ${author}`,
    })
  const chain = { next: 0, prev: NO_FACT, verified: 0 }
  const ids = new PinWriter()
  const origin = feedOrigin(trust.fleet, author, session)
  for (const seen of verifyLog(place, { origin, certified: false, whose }, report)) {
    const fact = open(seen, { trust, where, whose, report })
    if (fact === undefined) {
      // Its place is counted by where it lies; what follows it shows whether the chain holds.
      chain.next++
      chain.prev = ''
      continue
    }
    if (fact.author !== author || fact.session !== session)
      report({
        code: 'FACT',
        where,
        text: `expected a fact of this feed at entry ${seen.index}, found one of ${feedKey(fact.author, fact.session)}`,
      })
    link(fact, { chain, whose, where, report })
    chain.verified++
    ids.add(fact.seq, fact.id)
    input.noted?.(fact)
  }
  return { facts: chain.verified, next: chain.next, ids: ids.bytes() }
}

/** Compares a feed with what blocks name of it: the same facts, and all of them. */
export function verifyPins(
  place: FeedPlace,
  { trust, pins, seen }: { trust: KnownTrust; pins: PinBytes; seen: SeenFeed },
  report: Report,
): void {
  const whose = whoseOf(place, trust)
  const { name: where } = place
  for (const { seq, pinned, held } of clashes(pins, seen.ids)) {
    const text = `fact ${seq} of ${whose} is ${held.slice(0, 16)}…, the gate log stands on ${pinned.slice(0, 16)}…`
    report({ code: 'BASIS', where, text })
  }
  const last = pins.seqs.at(-1) ?? -1
  if (last < seen.next) return
  const text = `facts ${seen.next} to ${last} of ${whose} are missing: the gate log stands on them`
  report({ code: 'FACT_MISSING', where, text })
}

function whoseOf({ author, session }: FeedPlace, trust: KnownTrust): string {
  const name = personOf(trust, author)?.name ?? author.slice(0, 16)
  return `${name} (session ${session.slice(0, 8)})`
}

interface Around {
  readonly whose: string
  readonly where: string
  readonly report: Report
}

function open(seen: SeenEntry, around: Around & { trust: KnownTrust }): Fact | undefined {
  const { trust, where, whose, report } = around
  try {
    const options = { fleet: trust.fleet, whose: `entry ${seen.index} of ${whose}` }
    return openLoggedFact(seen, options)
  } catch (error) {
    report({ code: 'FACT', where, text: `fact ${seen.index} of ${whose}: ${messageOf(error)}` })
    return undefined
  }
}

function link(fact: Fact, around: Around & { chain: { next: number; prev: string } }): void {
  const { chain, whose, where, report } = around
  if (fact.seq > chain.next) {
    const last = fact.seq - 1
    const range = last === chain.next ? `fact ${last}` : `facts ${chain.next} to ${last}`
    report({
      code: 'FACT_MISSING',
      where,
      text: `${range} of ${whose}: missing before fact ${fact.seq}`,
    })
  } else if (fact.seq < chain.next) {
    report({
      code: 'FACT_ORDER',
      where,
      text: `expected fact ${chain.next} of ${whose}, found fact ${fact.seq} in its place`,
    })
  } else if (chain.prev !== '' && fact.prev !== chain.prev) {
    report({
      code: 'FACT_ORDER',
      where,
      text: `fact ${fact.seq} of ${whose} names another fact before it than the one that is here`,
    })
  }
  chain.next = Math.max(chain.next, fact.seq + 1)
  chain.prev = fact.id
}
