/** What no storm may bring about, read from a trial. */
import type { Trial } from './gate-network.ts'

/** Where two honest logs say different things, if they do. */
export function disagreement({ logs }: Trial): string | undefined {
  for (const one of logs) {
    for (const other of logs) {
      const at = one.log.findIndex((block, i) => (other.log[i]?.id ?? block.id) !== block.id)
      if (at >= 0) return `${one.name} and ${other.name} differ at ${at}`
    }
  }
  return undefined
}

/** What an honest voter said in one view that excludes something else it said there. */
export function doubleVoices({ votes, proposals }: Trial): readonly string[] {
  const said = new Map<string, string>()
  const found: string[] = []
  const once = (place: string, what: string): void => {
    const before = said.get(place) ?? what
    if (before !== what) found.push(`${place}: ${before} and ${what}`)
    said.set(place, what)
  }
  for (const { kind, voter, body } of votes) {
    const what = body.block ?? 'skip'
    once(`${voter} ${kind === 'notarize' ? 'notarizes' : 'ends'} ${body.epoch}/${body.view}`, what)
  }
  for (const block of proposals)
    once(`${block.leader} proposes ${block.body.epoch}/${block.body.view}`, block.id)
  return found
}
