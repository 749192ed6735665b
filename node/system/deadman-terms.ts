/**
 * `terms.N`: what the deadman's script reads when its time has come. One `word value` a line.
 *
 *     token <token>                        who armed it
 *     boot <boot id>                       the boot that `deadline` counts from
 *     boot-file <path>                     where the boot id of today stands
 *     deadline <ms>                        on the clock of /proc/uptime, which counts suspend
 *     target <store path>                  where it goes back to
 *     end-pidfile <path>, end-unit <unit>  the activation that is ended first
 *     unless-link <path>, leads-to <path>  the next step is left out when the link is right already
 *     arg <text>                           one argument of the next step, the program first
 *     run <s>                              runs it, at most so many seconds
 */
import { NodeError } from '../errors.ts'
import { DEADMAN_TOKEN_CHARS_MAX } from '../limits.ts'

/** One command of the way back. */
export interface WayBackStep {
  readonly argv: readonly [string, ...string[]]
  readonly timeoutMs: number
  /** The step is needless while `link`, followed to its end, is `target`. */
  readonly unless?: { readonly link: string; readonly target: string } | undefined
}

/** How to go back to one generation. Steps run in order, all of them, whatever fails. */
export interface WayBack {
  /** The file that holds the process id of an activation under way. */
  readonly activationPidFile: string
  /** The unit of an activation under way; absent where activations are no units. */
  readonly activationUnit?: string | undefined
  readonly steps: readonly WayBackStep[]
}

/** What `terms.N` holds. */
export interface DeadmanTerms {
  readonly token: string
  readonly bootId: string
  readonly bootIdFile: string
  readonly deadlineMs: number
  readonly target: string
  readonly wayBack: WayBack
}

/** The part of the terms that we read back. */
export type DeadmanHead = Omit<DeadmanTerms, 'bootIdFile' | 'wayBack'>

/** The text of `terms`. Throws SYSTEM_FAILED on a value with a line break: it would be two lines. */
export function printTerms(terms: DeadmanTerms): string {
  const { wayBack } = terms
  const lines: (readonly [string, string])[] = [
    ['token', terms.token],
    ['boot', terms.bootId],
    ['boot-file', terms.bootIdFile],
    ['deadline', `${Math.ceil(terms.deadlineMs)}`],
    ['target', terms.target],
    ['end-pidfile', wayBack.activationPidFile],
  ]
  if (wayBack.activationUnit) lines.push(['end-unit', wayBack.activationUnit])
  for (const { argv, timeoutMs, unless } of wayBack.steps) {
    if (unless) lines.push(['unless-link', unless.link], ['leads-to', unless.target])
    for (const argument of argv) lines.push(['arg', argument])
    lines.push(['run', `${Math.max(1, Math.ceil(timeoutMs / 1000))}`])
  }
  return lines.map(line).join('')
}

/** The head of `text`, or undefined when a line of it is missing. */
export function parseTerms(text: string): DeadmanHead | undefined {
  const heads = new Map<string, string>()
  for (const entry of text.split('\n')) {
    const blank = entry.indexOf(' ')
    const word = entry.slice(0, Math.max(blank, 0))
    if (!heads.has(word)) heads.set(word, entry.slice(blank + 1))
  }
  const token = heads.get('token')
  const bootId = heads.get('boot')
  const target = heads.get('target')
  const deadline = heads.get('deadline')
  if (token === undefined || bootId === undefined || target === undefined) return undefined
  if (deadline === undefined || !/^[0-9]{1,15}$/.test(deadline)) return undefined
  return { token, bootId, target, deadlineMs: Number(deadline) }
}

/** Throws SYSTEM_FAILED unless `token` is a word that may stand in a unit's name. */
export function assertToken(token: string): void {
  if (token.length <= DEADMAN_TOKEN_CHARS_MAX && /^[0-9a-zA-Z][0-9a-zA-Z._:-]*$/.test(token)) return
  throw new NodeError(
    'SYSTEM_FAILED',
    `expected a deadman's token of at most ${DEADMAN_TOKEN_CHARS_MAX} letters, digits and . _ : -, ` +
      `found ${JSON.stringify(token.slice(0, 80))}`,
    'This is a fault of nixfleet: report it.',
  )
}

function line([word, value]: readonly [string, string]): string {
  if (!/[\n\0]/.test(value)) return `${word} ${value}\n`
  throw new NodeError(
    'SYSTEM_FAILED',
    `expected one line for '${word}' of the deadman's terms, found ${JSON.stringify(value)}`,
    'Choose a data directory without a line break in its path.',
  )
}
