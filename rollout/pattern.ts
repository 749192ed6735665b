/**
 * The patterns of selectors: a small part of regular expressions that cannot run away.
 *
 * Anchored at the start; letters, `.`, classes, `*` `+` `?` on one character, one level of groups with
 * alternatives, `$` at the end. A group is never repeated and repeats are few, so matching a name of
 * 63 characters stays below a million steps whatever an operator writes.
 */
import { bad, good, type Result, RolloutError } from './errors.ts'
import { PATTERN_CHARS_MAX, PATTERN_GROUPS_MAX, PATTERN_REPEATS_MAX } from './limits.ts'

interface Scan {
  /** What a repeat may follow: one character or class, nothing else. */
  readonly repeatable: boolean
  readonly inGroup: boolean
  readonly groups: number
  readonly repeats: number
}

type Token = 'atom' | 'repeat' | 'open' | 'or' | 'close' | 'end'

const TOKENS: readonly (readonly [Token, RegExp])[] = [
  ['atom', /^(?:[a-z0-9._-]|\\\.|\[\^?[a-z0-9._-]+\])/],
  ['repeat', /^[*+?]/],
  ['open', /^\(/],
  ['or', /^\|/],
  ['close', /^\)/],
  ['end', /^\$$/],
]

const FIX =
  'Begin with ^ and use lower-case letters, digits, ".", [classes], (a|b) and at most three of * + ?.'

/** Takes a pattern or says, with its character, why not. `offset` is where the pattern begins. */
export function parsePattern(pattern: string, offset: number = 0): Result<string> {
  if (pattern.length > PATTERN_CHARS_MAX) {
    return unsafe(`at most ${PATTERN_CHARS_MAX} characters`, `${pattern.length}`, offset)
  }
  if (!pattern.startsWith('^')) return unsafe('^', describe(pattern[0]), offset)
  let scan: Scan = { repeatable: false, inGroup: false, groups: 0, repeats: 0 }
  for (let at = 1; at < pattern.length; ) {
    const rest = pattern.slice(at)
    const [token, length] = nextToken(rest)
    const refused = token === undefined ? 'a character that patterns know' : refusal(scan, token)
    if (token === undefined || refused !== undefined) {
      return unsafe(refused ?? '', describe(rest[0]), offset + at)
    }
    scan = follow(scan, token)
    at += length
  }
  if (scan.inGroup) return unsafe('")"', describe(undefined), offset + pattern.length)
  return compiles(pattern) ? good(pattern) : unsafe('ascending ranges', `"${pattern}"`, offset)
}

function nextToken(rest: string): readonly [Token | undefined, number] {
  for (const [token, shape] of TOKENS) {
    const found = shape.exec(rest)
    if (found !== null) return [token, found[0].length]
  }
  return [undefined, 0]
}

/** What would have to stand here instead of `token`; undefined when it may stand. */
function refusal(scan: Scan, token: Token): string | undefined {
  switch (token) {
    case 'atom':
      return undefined
    case 'repeat':
      if (!scan.repeatable) return 'a repeat only after one character or class'
      return scan.repeats < PATTERN_REPEATS_MAX
        ? undefined
        : `at most ${PATTERN_REPEATS_MAX} repeats`
    case 'open':
      if (scan.inGroup) return 'no group inside a group'
      return scan.groups < PATTERN_GROUPS_MAX ? undefined : `at most ${PATTERN_GROUPS_MAX} groups`
    case 'or':
    case 'close':
      return scan.inGroup ? undefined : 'a group around alternatives'
    case 'end':
      return scan.inGroup ? 'the end of the group' : undefined
  }
}

function follow(scan: Scan, token: Token): Scan {
  return {
    repeatable: token === 'atom',
    inGroup: token === 'open' || (scan.inGroup && token !== 'close'),
    groups: scan.groups + (token === 'open' ? 1 : 0),
    repeats: scan.repeats + (token === 'repeat' ? 1 : 0),
  }
}

function compiles(pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp
  } catch {
    return false
  }
}

function describe(char: string | undefined): string {
  return char === undefined ? 'its end' : `"${char}"`
}

function unsafe(
  expected: string,
  found: string,
  at: number,
): { readonly ok: false; readonly error: RolloutError } {
  const message = `expected ${expected} at character ${at + 1} of the pattern, found ${found}`
  return bad(new RolloutError('PATTERN_UNSAFE', message, FIX, at))
}
