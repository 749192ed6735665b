/**
 * How many columns of a terminal a text takes, without the tables of a library: every command loads
 * this, and what it prints is ASCII but for its own glyphs and what operators call their hosts.
 */

/** Colours, as `picocolors` writes them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they begin with one
const COLOUR = /\u001b\[\d+m/g
const ASCII = /^[\x20-\x7e]*$/
/** Marks that stand over the letter before them, and joiners. */
const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u
/** Letters of East Asia and emoji: two columns each (Unicode UAX 11, the blocks in use). */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u

/** The columns that `text` takes; colours take none. */
export function textWidth(text: string): number {
  const plain = text.includes('\u001b') ? text.replaceAll(COLOUR, '') : text
  if (ASCII.test(plain)) return plain.length
  let width = 0
  for (const letter of plain) width += NO_WIDTH.test(letter) ? 0 : WIDE.test(letter) ? 2 : 1
  return width
}
