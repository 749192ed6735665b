/** The pull routes of the fake node: its facts as feeds, one envelope a page. */
import type { EnvelopePage, FeedRow } from '../../node/api/log-schema.ts'
import type { Fact } from '../../protocol/index.ts'

/** The feeds of `facts`, by author and session. */
export function fakeFeeds(facts: readonly Fact[]): readonly FeedRow[] {
  const sizes = new Map<string, FeedRow>()
  for (const { author, session } of facts) {
    const size = (sizes.get(`${author}/${session}`)?.size ?? 0) + 1
    sizes.set(`${author}/${session}`, { author, session, size })
  }
  return [...sizes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}

/** A page of one: paging is what a client must not get wrong. */
export function fakeEnvelopes(
  facts: readonly Fact[],
  { author, session, from }: { author: string; session: string; from: number },
): EnvelopePage {
  const mine = facts.filter((fact) => fact.author === author && fact.session === session)
  const items = mine.slice(from, from + 1).map(({ bytes }) => Buffer.from(bytes).toString('base64'))
  return { author, session, from, items, next: from + 1 < mine.length ? from + 1 : null }
}
