/** The known word that was probably meant. */

/** Edits that a typing mistake makes at most; more, and the suggestion would be a guess. */
const EDITS_MAX = 3

/** The nearest of `known` to `word` by edit distance, or undefined when none is near. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const limit = Math.min(EDITS_MAX, Math.max(1, Math.floor(word.length / 3)))
  let best: { name: string; edits: number } | undefined
  for (const name of known) {
    const edits = distance(word, name)
    if (edits <= limit && (best === undefined || edits < best.edits)) best = { name, edits }
  }
  return best?.name
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
export function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  const at = (i: number, j: number): number => rows[i]?.[j] ?? 0
  for (let i = 1; i <= a.length; i++) {
    rows.push([i])
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      const swap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const best = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + change)
      rows[i]?.push(swap ? Math.min(best, at(i - 2, j - 2) + 1) : best)
    }
  }
  return at(a.length, b.length)
}
