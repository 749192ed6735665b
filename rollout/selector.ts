/**
 * One language to name hosts: `role=web,env!=prod,name~^web-` (SPEC §11, strategies).
 *
 * Terms are joined by commas and all must hold; `*` alone takes every host. A key is `name` or a tag.
 * `=` holds if any value of the tag equals, `!=` if none does (also where the tag is missing), `~` if
 * any value matches the pattern. Everything an operator may mistype is told with its character.
 */
import type { HostName } from '../protocol/index.ts'
import { bad, good, type Result, RolloutError } from './errors.ts'
import { SELECTOR_CHARS_MAX } from './limits.ts'
import { parsePattern } from './pattern.ts'

/** A parsed selector, as plain data. No terms: every host. */
export interface Selector {
  readonly text: string
  readonly terms: readonly SelectorTerm[]
}

/** One comparison. */
export interface SelectorTerm {
  readonly key: string
  readonly operator: '=' | '!=' | '~'
  /** The value, or for `~` a pattern that `parsePattern` took. */
  readonly value: string
}

/** What a selector looks at. A `GroupHost` is one. */
export interface Selectable {
  readonly name: HostName
  readonly tags: readonly string[]
}

const TERM = /^([a-z0-9-]+)(!=|=|~)/
const KEY = /^[a-z0-9-]+/
const VALUE = /^[a-z0-9._-]*$/
const FORM = 'Write key=value, key!=value or key~^pattern, joined by commas, or * for every host.'

/**
 * Reads a selector. The error is SELECTOR_MALFORMED or PATTERN_UNSAFE and points at the character,
 * `offset` further where the selector is part of a longer text.
 */
export function parseSelector(text: string, offset: number = 0): Result<Selector> {
  if (text.length > SELECTOR_CHARS_MAX) {
    const found = `found ${text.length}`
    return malformed(`at most ${SELECTOR_CHARS_MAX} characters`, found, offset + SELECTOR_CHARS_MAX)
  }
  if (text === '*') return good({ text, terms: [] })
  const terms: SelectorTerm[] = []
  let at = 0
  for (const part of text.split(',')) {
    const term = parseTerm(part, offset + at)
    if (!term.ok) return term
    terms.push(term.value)
    at += part.length + 1
  }
  return good({ text, terms })
}

/** Whether every term of the selector holds for `host`. */
export function matchesSelector(selector: Selector, host: Selectable): boolean {
  return selector.terms.every((term) => holds(term, host))
}

function parseTerm(part: string, at: number): Result<SelectorTerm> {
  const head = TERM.exec(part)
  if (head === null) {
    const key = KEY.exec(part)?.[0] ?? ''
    const expected = key === '' ? 'a key' : '=, != or ~'
    return malformed(expected, foundAt(part, key.length), at + key.length)
  }
  const [start, key = '', operator = ''] = head
  const value = part.slice(start.length)
  const from = at + start.length
  if (operator === '~') {
    const pattern = parsePattern(value, from)
    return pattern.ok ? good({ key, operator, value }) : pattern
  }
  const wrong = [...value].findIndex((char) => !VALUE.test(char))
  if (wrong >= 0)
    return malformed('a letter, digit, ".", "_" or "-"', foundAt(value, wrong), from + wrong)
  if (key === 'name' && value === '') return malformed('a name', foundAt(part, part.length), from)
  return good({ key, operator: operator === '=' ? '=' : '!=', value })
}

function holds(term: SelectorTerm, host: Selectable): boolean {
  const values = valuesOf(term.key, host)
  switch (term.operator) {
    case '=':
      return values.includes(term.value)
    case '!=':
      return !values.includes(term.value)
    case '~': {
      const pattern = new RegExp(term.value)
      return values.some((value) => pattern.test(value))
    }
  }
}

function valuesOf(key: string, host: Selectable): readonly string[] {
  if (key === 'name') return [host.name]
  const start = `${key}=`
  return host.tags.filter((tag) => tag.startsWith(start)).map((tag) => tag.slice(start.length))
}

function foundAt(text: string, index: number): string {
  const char = text[index]
  return char === undefined ? 'found its end' : `found "${char}"`
}

function malformed(
  expected: string,
  found: string,
  at: number,
): { readonly ok: false; readonly error: RolloutError } {
  const message = `expected ${expected} at character ${at + 1} of the selector, ${found}`
  return bad(new RolloutError('SELECTOR_MALFORMED', message, FORM, at))
}
