/**
 * How states, ids and times look: glyph and word and colour together, never colour alone.
 */
import type { HostState, ReachRow, RolloutState, WaveState } from '../node/index.ts'
import type { Colors } from './output.ts'

type Tone = 'good' | 'busy' | 'bad' | 'wait' | 'dim'

interface Look {
  readonly glyph: string
  readonly ascii: string
  readonly tone: Tone
}

const GOOD: Look = { glyph: '✔', ascii: '+', tone: 'good' }
const BUSY: Look = { glyph: '◌', ascii: '~', tone: 'busy' }
const BAD: Look = { glyph: '✖', ascii: 'x', tone: 'bad' }
const WAIT: Look = { glyph: '◷', ascii: '.', tone: 'wait' }
const WARN: Look = { glyph: '⚠', ascii: '!', tone: 'busy' }
const BACK: Look = { glyph: '↩', ascii: '<', tone: 'bad' }
const UNKNOWN: Look = { glyph: '?', ascii: '?', tone: 'dim' }
const HELD: Look = { glyph: '॥', ascii: '=', tone: 'wait' }

const HOSTS: Readonly<Record<HostState, Look>> = {
  healthy: GOOD,
  unhealthy: BAD,
  drifted: WARN,
  behind: WAIT,
  staging: BUSY,
  'waiting-lease': BUSY,
  activating: BUSY,
  probation: BUSY,
  confirmed: BUSY,
  soaked: BUSY,
  reverting: BACK,
  reverted: BACK,
  stuck: BAD,
  unseen: UNKNOWN,
  unknown: UNKNOWN,
}

const ROLLOUTS: Readonly<Record<RolloutState, Look>> = {
  proposed: WAIT,
  rejected: BAD,
  admitted: BUSY,
  wave: BUSY,
  halted: BAD,
  complete: GOOD,
  reverted: BACK,
  superseded: UNKNOWN,
}

const WAVES: Readonly<Record<WaveState, Look>> = {
  waiting: WAIT,
  open: BUSY,
  done: GOOD,
  halted: BAD,
}

const PHASES: Readonly<Record<string, Look>> = {
  QUEUED: WAIT,
  STAGING: BUSY,
  READY: WAIT,
  ACTIVATING: BUSY,
  PROBATION: BUSY,
  CONFIRMED: BUSY,
  SOAKED: BUSY,
  COMMITTED: GOOD,
  SKIPPED: WAIT,
  REVERTING: BACK,
  STUCK: BAD,
  REVERTED: BACK,
}

/** What phases are called in front of people. */
const PHASE_WORDS: Readonly<Record<string, string>> = {
  QUEUED: 'queued',
  STAGING: 'staging',
  READY: 'ready',
  ACTIVATING: 'activating',
  PROBATION: 'in probation',
  CONFIRMED: 'confirmed by peers',
  SOAKED: 'soaked',
  COMMITTED: 'committed',
  SKIPPED: 'skipped',
  REVERTING: 'going back',
  STUCK: 'stuck',
  REVERTED: 'went back',
}

/** What turns states into painted text. */
export interface Words {
  readonly host: (state: HostState) => string
  readonly rollout: (state: RolloutState, held?: boolean) => string
  readonly wave: (state: WaveState, text: string) => string
  readonly phase: (phase: string | null) => string
  /** The glyph alone, where the word stands elsewhere on the line. */
  readonly phaseGlyph: (phase: string | null) => string
  readonly mark: (state: 'ok' | 'warn' | 'fail' | 'skipped') => string
  readonly ascii: boolean
  readonly paint: Colors
}

/** The words of one run. */
export function createWords(paint: Colors, ascii: boolean): Words {
  const show = (look: Look, word: string): string =>
    tone(paint, look.tone)(`${ascii ? look.ascii : look.glyph}${word ? ` ${word}` : ''}`)
  const marks = { ok: GOOD, warn: WARN, fail: BAD, skipped: UNKNOWN }
  return {
    host: (state) => show(HOSTS[state] ?? UNKNOWN, state),
    rollout: (state, held = false) =>
      held && (state === 'wave' || state === 'admitted')
        ? show(HELD, 'paused')
        : show(ROLLOUTS[state] ?? UNKNOWN, state),
    wave: (state, text) => show(WAVES[state] ?? UNKNOWN, text),
    phase: (phase) => show(PHASES[phase ?? ''] ?? UNKNOWN, phaseWord(phase)),
    phaseGlyph: (phase) => show(PHASES[phase ?? ''] ?? UNKNOWN, ''),
    mark: (state) => show(marks[state], state),
    ascii,
    paint,
  }
}

/** A phase in front of people. */
export function phaseWord(phase: string | null): string {
  return phase === null ? 'not begun' : (PHASE_WORDS[phase] ?? phase.toLowerCase())
}

/** The first digits of an id: enough to give back to the CLI. */
export function shortId(id: string): string {
  return id.slice(0, 8)
}

/** A generation in few letters: the name behind the hash, or the hash's beginning. */
export function shortGeneration(path: string | null): string {
  if (path === null) return '-'
  const base = path.slice(path.lastIndexOf('/') + 1)
  const dash = base.indexOf('-')
  return dash > 0 ? `${base.slice(0, 6)}…${base.slice(dash)}` : base.slice(0, 12)
}

/** An age for people: `now`, `5 s`, `3 m`, `4 h`, `2 d`. */
export function ago(ms: number | null): string {
  if (ms === null) return 'never'
  if (ms < 1500) return 'now'
  return span(ms)
}

/** A moment that lies `ms` back, in a sentence. */
export function before(ms: number | null): string {
  if (ms === null) return 'never'
  return ms < 1500 ? 'just now' : `${span(ms)} ago`
}

/** A length of time with one unit, rounded down. */
export function span(ms: number): string {
  const units: readonly (readonly [number, string])[] = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1000, 's'],
  ]
  for (const [size, unit] of units) if (ms >= size) return `${Math.floor(ms / size)} ${unit}`
  return `${Math.round(ms)} ms`
}

/** A length of time in seconds with one decimal. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** `1 host`, `3 hosts`. */
export function plural(count: number, word: string, many: string = `${word}s`): string {
  return `${count} ${count === 1 ? word : many}`
}

/** A size with one unit: `312 B`, `4.1 KiB`, `1.2 GiB`. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let size = bytes / 1024
  let unit = 0
  for (; size >= 1024 && unit < units.length - 1; unit++) size /= 1024
  return `${size.toFixed(1)} ${units[unit]}`
}

/** What other people wrote, without control characters: a reason must not move the cursor. */
export function safeText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones to take out
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\uFFFD')
}

function tone(paint: Colors, name: Tone): (text: string) => string {
  switch (name) {
    case 'good':
      return paint.green
    case 'busy':
      return paint.yellow
    case 'bad':
      return paint.red
    case 'wait':
      return paint.cyan
    case 'dim':
      return paint.dim
  }
}

/** Whether a host answers in the steady state, whose word that is, and how old. */
export function reachText({ state, sinceMs, seenBy, seenAgeMs, accusers }: ReachRow): string {
  const heard = seenBy === null ? '' : `heard by ${seenBy} ${before(seenAgeMs)}`
  switch (state) {
    case 'self':
      return '-'
    case 'unknown':
      return ['unknown', heard].filter((part) => part !== '').join(', last ')
    case 'alive':
      return heard === '' ? 'alive' : heard
    case 'suspect':
    case 'unreachable': {
      const whose = accusers.length === 0 ? '' : `, not by ${accusers.join(', ')}`
      return `${state} for ${seconds(sinceMs)}${whose}`
    }
  }
}
