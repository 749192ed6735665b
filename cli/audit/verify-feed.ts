/** One feed of a pull: every signature, the chain, and every fact that a block stands on. */
import {
  envelopeOf,
  type Fact,
  feedKey,
  feedOrigin,
  NO_FACT,
  openFact,
} from '../../protocol/index.ts'
import { type KnownTrust, messageOf, personOf } from './documents.ts'
import type { Report } from './findings.ts'
import type { FeedPlace } from './layout.ts'
import { type SeenEntry, verifyLog } from './verify-log.ts'

/** Verifies a feed; `heads` are the facts that blocks name, by sequence. Gives the facts that verify. */
export function verifyFeed(
  place: FeedPlace,
  input: {
    readonly trust: KnownTrust
    readonly heads: ReadonlyMap<number, string> | undefined
    /** Called for each fact that verifies. */
    readonly noted?: (fact: Fact) => void
  },
  report: Report,
): number {
  const { trust, heads = new Map<number, string>() } = input
  const { author, session, name: where } = place
  const person = personOf(trust, author)
  const whose = `${person?.name ?? author.slice(0, 16)} (session ${session.slice(0, 8)})`
  if (person === undefined)
    report({
      code: 'AUTHOR',
      where,
      text: `expected a host, operator, release key or admin, found the key ${author}`,
    })
  const chain = { next: 0, prev: NO_FACT, verified: 0 }
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
    pinned(fact, { heads, whose, where, report })
    chain.verified++
    input.noted?.(fact)
  }
  for (const seq of [...heads.keys()]
    .filter((one) => one >= chain.next)
    .sort((a, b) => a - b)
    .slice(-1)) {
    const text = `facts ${chain.next} to ${seq} of ${whose} are missing: the gate log stands on them`
    report({ code: 'FACT_MISSING', where, text })
  }
  return chain.verified
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
    return openFact(envelopeOf(seen, trust.fleet), options)
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

function pinned(fact: Fact, around: Around & { heads: ReadonlyMap<number, string> }): void {
  const { heads, whose, where, report } = around
  const head = heads.get(fact.seq)
  if (head === undefined || head === fact.id) return
  const text = `fact ${fact.seq} of ${whose} is ${fact.id.slice(0, 16)}…, the gate log stands on ${head.slice(0, 16)}…`
  report({ code: 'BASIS', where, text })
}
