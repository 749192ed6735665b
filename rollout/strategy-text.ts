/**
 * Strategies as an operator writes them: `canary`, `staged` with `1,25%,100%`, `all-at-once`, or one
 * selector per wave, `role=canary;role=web;*` (SPEC §11).
 */
import { GROUP_HOSTS_MAX, WAVES_MAX } from '../protocol/index.ts'
import { bad, good, type Result, RolloutError } from './errors.ts'
import { parseSelector, type Selector } from './selector.ts'

/** How many hosts a wave takes: so many, or that share of the hosts that remain, rounded up. */
export type WaveSize =
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'percent'; readonly percent: number }

/** The strategies that cut waves by size. */
export type SizedStrategy = 'canary' | 'staged' | 'all-at-once'

/** How waves are cut out of the hosts of a plan. */
export type Strategy =
  | { readonly kind: 'sizes'; readonly name: SizedStrategy; readonly sizes: readonly WaveSize[] }
  | { readonly kind: 'selectors'; readonly selectors: readonly Selector[] }

/** What the operator wrote. */
export interface StrategyText {
  readonly strategy?: string | undefined
  /** Sizes, `1,25%,100%`. Alone they mean `staged`; `canary` takes one, its own size. */
  readonly waves?: string | undefined
  /** Selectors, one per wave, joined by semicolons. */
  readonly wavesBy?: string | undefined
}

const ALL: WaveSize = { kind: 'percent', percent: 100 }
const ONE: WaveSize = { kind: 'count', count: 1 }
const STAGED: readonly WaveSize[] = [ONE, { kind: 'percent', percent: 25 }, ALL]
const NAMES = 'canary, staged or all-at-once'

/**
 * Reads a strategy; without any text it is `canary`, one host and then the rest. `staged` without
 * sizes is `1,25%,100%`. The error is STRATEGY_MALFORMED or that of a selector.
 */
export function parseStrategy(text: StrategyText): Result<Strategy> {
  const { strategy, waves, wavesBy } = text
  if (wavesBy !== undefined) {
    if (strategy === undefined && waves === undefined) return parseWavesBy(wavesBy)
    return malformed(
      'either selectors or sizes for the waves, found both',
      'Give --waves-by alone.',
    )
  }
  const sizes = waves === undefined ? good([]) : parseSizes(waves)
  if (!sizes.ok) return sizes
  return sized(strategy ?? (waves === undefined ? 'canary' : 'staged'), sizes.value)
}

/** The strategy in one line, for people: `canary 1,100%`, `waves by role=canary;*`. */
export function describeStrategy(strategy: Strategy): string {
  if (strategy.kind === 'selectors') {
    return `waves by ${strategy.selectors.map((selector) => selector.text).join(';')}`
  }
  return `${strategy.name} ${strategy.sizes.map(describeSize).join(',')}`
}

function sized(name: string, given: readonly WaveSize[]): Result<Strategy> {
  switch (name) {
    case 'canary':
      if (given.length > 1) return malformed('one size for canary, found several', 'Use staged.')
      return good({ kind: 'sizes', name, sizes: [given[0] ?? ONE, ALL] })
    case 'staged':
      return good({ kind: 'sizes', name, sizes: given.length > 0 ? given : STAGED })
    case 'all-at-once':
      if (given.length > 0) return malformed('no sizes for all-at-once, found some', 'Use staged.')
      return good({ kind: 'sizes', name, sizes: [ALL] })
    default:
      return malformed(`${NAMES}, found "${name.slice(0, 40)}"`, `Choose ${NAMES}.`)
  }
}

function describeSize(size: WaveSize): string {
  return size.kind === 'count' ? `${size.count}` : `${size.percent}%`
}

function parseWavesBy(text: string): Result<Strategy> {
  const selectors: Selector[] = []
  let at = 0
  for (const part of text.split(';')) {
    const selector = parseSelector(part, at)
    if (!selector.ok) return selector
    selectors.push(selector.value)
    at += part.length + 1
  }
  if (selectors.length > WAVES_MAX) return tooMany(selectors.length)
  return good({ kind: 'selectors', selectors })
}

function parseSizes(text: string): Result<readonly WaveSize[]> {
  const sizes: WaveSize[] = []
  let at = 0
  for (const part of text.split(',')) {
    const size = parseSize(part)
    if (size === undefined) {
      const found = part === '' ? 'nothing' : `"${part.slice(0, 40)}"`
      const fix =
        'Write numbers of hosts or percentages of the remaining hosts, such as 1,25%,100%.'
      const expected = `1 to ${GROUP_HOSTS_MAX} or 1% to 100% at character ${at + 1} of the sizes`
      return malformed(`${expected}, found ${found}`, fix, at)
    }
    sizes.push(size)
    at += part.length + 1
  }
  return sizes.length > WAVES_MAX ? tooMany(sizes.length) : good(sizes)
}

function parseSize(part: string): WaveSize | undefined {
  const [, digits, sign] = /^([1-9][0-9]{0,2})(%?)$/.exec(part) ?? []
  const value = Number(digits)
  if (sign === '%') return value <= 100 ? { kind: 'percent', percent: value } : undefined
  return value <= GROUP_HOSTS_MAX ? { kind: 'count', count: value } : undefined
}

function tooMany(found: number): { readonly ok: false; readonly error: RolloutError } {
  return malformed(`at most ${WAVES_MAX} waves, found ${found}`, 'Write fewer waves.')
}

function malformed(
  expectation: string,
  fix: string,
  at?: number,
): { readonly ok: false; readonly error: RolloutError } {
  return bad(new RolloutError('STRATEGY_MALFORMED', `expected ${expectation}`, fix, at))
}
