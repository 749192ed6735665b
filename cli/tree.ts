/**
 * A rollout as a tree of waves and hosts, and as lines that tell what changed. Pure.
 */
import type { RolloutStatus, WaveHost, WaveStatus } from '../node/index.ts'
import { bytesText, phaseWord, plural, safeText, shortId, span, type Words } from './words.ts'

/** Hosts of one wave that are drawn one by one; the rest of a large wave is counted by phase. */
const HOSTS_DRAWN_MAX = 24
const BAR_CELLS = 16

interface Lines {
  readonly tee: string
  readonly end: string
  readonly bar: string
  readonly gap: string
  readonly full: string
  readonly empty: string
}

const UNICODE: Lines = { tee: '├─ ', end: '└─ ', bar: '│  ', gap: '   ', full: '█', empty: '░' }
const ASCII: Lines = { tee: '|- ', end: '`- ', bar: '|  ', gap: '   ', full: '#', empty: '.' }

/** The tree, without a final line feed. `elapsedMs` is how long the viewer has been watching. */
export function rolloutTree(
  status: RolloutStatus,
  words: Words,
  options: { readonly nowMs: number },
): string {
  const draw = words.ascii ? ASCII : UNICODE
  const out = [headline(status, words, options.nowMs), ...remarks(status, words)]
  status.waves.forEach((wave, index) => {
    const last = index === status.waves.length - 1
    out.push(`${last ? draw.end : draw.tee}${waveLine(wave, words, draw)}`)
    const stem = last ? draw.gap : draw.bar
    const shown = drawnHosts(wave)
    const quiet = wave.state === 'waiting' || wave.state === 'done'
    const hidden = quiet ? 0 : wave.hosts.length - shown.length
    shown.forEach((host, at) => {
      const end = at === shown.length - 1 && hidden === 0
      out.push(`${stem}${end ? draw.end : draw.tee}${hostLine(host, words, status)}`)
    })
    if (hidden > 0)
      out.push(`${stem}${draw.end}${words.paint.dim(`and ${plural(hidden, 'more host')}`)}`)
  })
  return out.join('\n')
}

/** One line for each thing that is different in `after`: what a log keeps of a watched rollout. */
export function changeLines(
  before: RolloutStatus | undefined,
  after: RolloutStatus,
  words: Words,
): readonly string[] {
  const lines: string[] = []
  if (before?.state !== after.state || before.held !== after.held) {
    lines.push(
      `rollout ${shortId(after.id)} ${words.rollout(after.state, after.held)}${reasonOf(after)}`,
    )
  }
  for (const wave of after.waves) {
    const old = before?.waves[wave.index]
    if (old?.state !== wave.state && wave.state !== 'waiting') {
      lines.push(`wave ${wave.index + 1} ${words.wave(wave.state, wave.state)}`)
    }
    for (const host of wave.hosts) {
      const was = old?.hosts.find((other) => other.name === host.name)
      const same = was?.phase === host.phase && was.round === host.round && was.why === host.why
      if (same || (was === undefined && host.phase === null)) continue
      lines.push(`${host.name} ${words.phase(host.phase)}${whyOf(host)}`)
    }
  }
  return lines
}

/** Whether nothing more will happen to the rollout by itself. */
export function isOver(status: RolloutStatus): boolean {
  if (status.closed || status.state === 'rejected') return true
  if (status.state !== 'halted') return false
  return status.waves.every((wave) => wave.hosts.every(isAtRest))
}

/** Whether a host of a halted rollout has nothing left to do in it. */
export function isAtRest(host: WaveHost): boolean {
  const { phase } = host
  if (phase === null || phase === 'QUEUED' || phase === 'STAGING' || phase === 'READY')
    return !host.started
  return phase === 'COMMITTED' || phase === 'SKIPPED' || phase === 'REVERTED' || phase === 'STUCK'
}

function headline(status: RolloutStatus, words: Words, nowMs: number): string {
  const { release, operator } = status
  const age = nowMs > status.ts ? `   ${span(nowMs - status.ts)} ago` : ''
  return [
    `${words.rollout(status.state, status.held)}  ${words.paint.bold(shortId(status.id))}`,
    `release ${safeText(release.name)} (${release.channel} ${release.version})`,
    safeText(status.strategy),
    `by ${operator.name} (${operator.key.slice(0, 8)}…)${age}`,
  ].join('   ')
}

function remarks(status: RolloutStatus, words: Words): string[] {
  const { paint } = words
  const lines: string[] = []
  if (status.reason !== '') lines.push(paint.dim(`  "${safeText(status.reason)}"`))
  if (status.rejected)
    lines.push(paint.red(`  ${status.rejected.code}: ${safeText(status.rejected.why)}`))
  for (const hold of status.holds)
    lines.push(paint.cyan(`  paused by ${hold.operator.name}: ${safeText(hold.why)}`))
  for (const halt of status.halts) {
    const whom = halt.hosts === null ? 'all hosts' : halt.hosts.join(', ')
    const what = halt.revert ? `${whom} sent back` : `${whom} stopped`
    lines.push(paint.red(`  ${what} by ${halt.operator.name}: ${safeText(halt.why)}`))
  }
  const { used, limit, breached } = status.budget
  if (used > 0) {
    const text = `  ${plural(used, 'failure')} of ${limit} allowed: ${status.failed.join(', ')}`
    lines.push(breached ? paint.red(text) : paint.yellow(text))
  }
  const closures = closuresText(status)
  if (closures !== undefined) lines.push(paint.dim(`  ${closures}`))
  if (status.supersededBy) lines.push(`  superseded by ${shortId(status.supersededBy)}`)
  if (status.missing.length > 0)
    lines.push(paint.yellow(`  this node still lacks the ${status.missing.join(' and the ')}`))
  return lines
}

/** How much there is to bring, and by how many others the closure that the fewest hold is held. */
function closuresText({ closures, policy, waves, closed }: RolloutStatus): string | undefined {
  if (closures === null) return undefined
  const { bytes, newBytes } = closures
  const size = `${bytesText(bytes)} in all closures, ${bytesText(newBytes)} of it new`
  if (closed || policy.holders === 0) return size
  const rows = waves.flatMap((wave) => wave.hosts).flatMap(({ closure }) => closure ?? [])
  const least = (counts: readonly number[]): string =>
    counts.length === 0 ? '' : `${Math.min(...counts)}`
  const held = least(rows.map((row) => row.holders.length))
  const back = least(rows.flatMap((row) => row.previousHolders?.length ?? []))
  const wanted = least(rows.map((row) => row.needed))
  const behind = back === '' ? '' : `, what they come from by ${back}`
  return `${size}; each held by ${held} others or more${behind} (${wanted} needed)`
}

function waveLine(wave: WaveStatus, words: Words, draw: Lines): string {
  const done = wave.hosts.filter((host) => host.phase === 'COMMITTED').length
  const total = wave.hosts.length
  const full = total === 0 ? 0 : Math.floor((BAR_CELLS * done) / total)
  const bar =
    wave.state === 'open' ? ` ${draw.full.repeat(full)}${draw.empty.repeat(BAR_CELLS - full)}` : ''
  const waits = wave.waitsFor === null ? '' : `   ${words.paint.dim(safeText(wave.waitsFor))}`
  return `${words.wave(wave.state, `wave ${wave.index + 1} ${wave.state}`)}   ${done}/${total}${bar}${waits}`
}

function hostLine(host: WaveHost, words: Words, status: RolloutStatus): string {
  const age = host.phaseAgeMs === null || status.closed ? '' : `   ${span(host.phaseAgeMs)}`
  const round = host.round > 0 ? `   round ${host.round + 1}` : ''
  return `${words.phaseGlyph(host.phase)} ${host.name.padEnd(8)} ${phaseWord(host.phase)}${whyOf(host)}${witnesses(host)}${round}${words.paint.dim(age)}`
}

function witnesses(host: WaveHost): string {
  const { ok, fail } = host.witnesses
  if (host.observers.length === 0 || ok + fail === 0) return ''
  const seen =
    fail > 0
      ? `${fail} of ${host.observers.length} peers see it fail`
      : `${ok} of ${host.observers.length} peers see it well`
  return `   ${seen}`
}

function whyOf(host: WaveHost): string {
  if (host.why === null && host.detail === null) return ''
  return `: ${[host.why, host.detail]
    .filter((part) => part !== null)
    .map((part) => safeText(part ?? ''))
    .join(', ')}`
}

function reasonOf(status: RolloutStatus): string {
  if (status.rejected) return `: ${status.rejected.code}, ${safeText(status.rejected.why)}`
  const halt = status.halts.at(-1)
  if (status.state === 'halted' && halt) return `: ${safeText(halt.why)}`
  if (status.state === 'halted' && status.budget.breached)
    return `: ${plural(status.budget.used, 'host')} failed, ${status.budget.limit} allowed`
  return ''
}

/** All hosts of a small wave; of a large one those that something happens to, worst first. */
function drawnHosts(wave: WaveStatus): readonly WaveHost[] {
  if (wave.state === 'waiting' || wave.state === 'done') {
    return wave.hosts
      .filter((host) => host.why !== null || host.phase === 'STUCK')
      .slice(0, HOSTS_DRAWN_MAX)
  }
  if (wave.hosts.length <= HOSTS_DRAWN_MAX) return wave.hosts
  const weight = (host: WaveHost): number =>
    host.why !== null ? 0 : host.phase === 'COMMITTED' || host.phase === null ? 2 : 1
  return [...wave.hosts].sort((a, b) => weight(a) - weight(b)).slice(0, HOSTS_DRAWN_MAX)
}
