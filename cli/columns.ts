/** The columns of every list that commands print. */
import type {
  AuditRow,
  EventRow,
  ForkRow,
  HostRow,
  PeerRow,
  ReleaseRow,
  RolloutRow,
} from '../node/index.ts'
import type { Column } from './output.ts'
import { ago, reachText, safeText, shortGeneration, shortId, type Words } from './words.ts'

/** Hosts: `status` and `hosts list`. */
export function hostColumns(words: Words): readonly Column<HostRow>[] {
  return [
    { title: 'HOST', text: (row) => row.name },
    { title: 'STATE', text: (row) => words.host(row.state), value: (row) => row.state },
    { title: 'GENERATION', text: generationText, value: (row) => row.generation },
    {
      title: 'TARGET',
      wide: true,
      text: (row) => shortGeneration(row.target),
      value: (row) => row.target,
    },
    { title: 'HEALTH', text: (row) => (row.health ? `${row.health.ok}/${row.health.total}` : '-') },
    { title: 'PATH', text: (row) => row.path },
    { title: 'SEEN', text: (row) => ago(row.seenAgeMs), value: (row) => row.seenAgeMs },
    {
      title: 'HEARD',
      wide: true,
      text: (row) => reachText(row.reach),
      value: (row) => row.reach.state,
    },
    { title: 'VOTES', wide: true, text: (row) => (row.voter ? 'yes' : 'no') },
    { title: 'TAGS', wide: true, text: (row) => row.tags.join(' ') || '-' },
    {
      title: 'WHY',
      text: (row, paint) => paint.dim(safeText(row.why ?? '')),
      value: (row) => row.why ?? '',
    },
  ]
}

/** Rollouts. */
export function rolloutColumns(words: Words): readonly Column<RolloutRow>[] {
  return [
    { title: 'ROLLOUT', text: (row) => shortId(row.id), value: (row) => row.id },
    {
      title: 'STATE',
      text: (row) => words.rollout(row.state, row.held),
      value: (row) => row.state,
    },
    {
      title: 'RELEASE',
      text: (row) =>
        `${safeText(row.release.name)} (${row.release.channel} ${row.release.version})`,
    },
    {
      title: 'WAVE',
      text: (row) => (row.wave === null ? `-/${row.waves}` : `${row.wave + 1}/${row.waves}`),
    },
    { title: 'HOSTS', text: (row) => `${row.committed}/${row.hosts}` },
    { title: 'FAILED', text: (row) => String(row.failed), value: (row) => row.failed },
    { title: 'BY', text: (row) => row.operator.name },
    { title: 'STRATEGY', wide: true, text: (row) => safeText(row.strategy) },
    { title: 'WHEN', text: (row) => timeText(row.ts), value: (row) => timeText(row.ts) },
    {
      title: 'REASON',
      text: (row) =>
        safeText(row.rejected ? `${row.rejected.code}: ${row.rejected.why}` : row.reason),
    },
  ]
}

export const RELEASE_COLUMNS: readonly Column<ReleaseRow>[] = [
  { title: 'RELEASE', text: (row) => shortId(row.id), value: (row) => row.id },
  { title: 'NAME', text: (row) => safeText(row.name) },
  { title: 'CHANNEL', text: (row) => row.channel },
  { title: 'VERSION', text: (row) => String(row.version), value: (row) => row.version },
  { title: 'SYSTEM', text: (row) => row.system ?? 'unknown' },
  {
    title: 'HOSTS',
    text: (row) => (row.hosts === null ? '?' : String(row.hosts)),
    value: (row) => row.hosts,
  },
  { title: 'BY', text: (row) => row.author.name },
  { title: 'WHEN', text: (row) => timeText(row.ts) },
]

/** Peers. */
export function peerColumns(words: Words): readonly Column<PeerRow>[] {
  const mark = { self: 'ok', connected: 'ok', disconnected: 'fail' } as const
  return [
    { title: 'PEER', text: (row) => row.name },
    {
      title: 'STATE',
      text: (row) =>
        row.liar
          ? words.mark('fail').replace(/\S+$/, `${row.state}, sent wrong bytes`)
          : words.mark(mark[row.state]).replace(/\S+$/, row.state),
      value: (row) => row.state,
    },
    { title: 'PATH', text: (row) => row.path },
    {
      title: 'RTT',
      text: (row) => (row.rttMs === null ? '-' : `${row.rttMs.toFixed(1)} ms`),
      value: (row) => row.rttMs,
    },
    { title: 'SEEN', text: (row) => ago(row.seenAgeMs), value: (row) => row.seenAgeMs },
    {
      title: 'HEARD',
      wide: true,
      text: (row) => reachText(row.reach),
      value: (row) => row.reach.state,
    },
    { title: 'VOTES', text: (row) => (row.voter ? 'yes' : 'no') },
    { title: 'ADDRESS', text: (row) => row.address ?? '-' },
    { title: 'API', wide: true, text: (row) => row.api.join(' ') || '-' },
  ]
}

/** Proven contradictions. */
export const FORK_COLUMNS: readonly Column<ForkRow>[] = [
  { title: 'WHO', text: (row) => row.accused.name },
  { title: 'ROLE', text: (row) => row.accused.role },
  { title: 'KIND', text: (row) => row.kind },
  { title: 'PLACE', text: (row) => row.place },
  { title: 'ONE', text: (row) => shortId(row.first), value: (row) => row.first },
  { title: 'OTHER', text: (row) => shortId(row.second), value: (row) => row.second },
  { title: 'PROVED BY', text: (row) => row.provedBy.name },
  { title: 'EFFECT', text: (row) => row.effect },
  { title: 'KEY', wide: true, text: (row) => row.accused.key },
  { title: 'FACT', wide: true, text: (row) => shortId(row.fact), value: (row) => row.fact },
]

export const EVENT_COLUMNS: readonly Column<EventRow>[] = [
  { title: 'WHEN', text: (row) => timeText(row.ts) },
  { title: 'WHO', text: (row) => row.author.name },
  { title: 'TYPE', text: (row, paint) => paint.dim(row.type), value: (row) => row.type },
  { title: 'WHAT', text: (row) => safeText(row.text) },
  { title: 'SUBJECT', wide: true, text: (row) => row.subject },
  { title: 'FACT', wide: true, text: (row) => shortId(row.fact), value: (row) => row.fact },
]

export const AUDIT_COLUMNS: readonly Column<AuditRow>[] = [
  { title: 'WHEN', text: (row) => timeText(row.ts), value: (row) => timeText(row.ts) },
  { title: 'AUTHOR', text: (row) => row.author.name },
  { title: 'ROLE', text: (row) => row.author.role },
  { title: 'ACTION', text: (row) => row.action },
  { title: 'TARGET', text: (row) => safeText(row.target) },
  { title: 'OUTCOME', text: (row) => safeText(row.outcome) },
  { title: 'FACT', text: (row) => shortId(row.factId), value: (row) => row.factId },
  { title: 'KEY', wide: true, text: (row) => row.author.key },
  { title: 'SESSION', wide: true, text: (row) => row.session },
  { title: 'SEQ', wide: true, text: (row) => String(row.seq), value: (row) => row.seq },
  { title: 'PREV', wide: true, text: (row) => shortId(row.prev), value: (row) => row.prev },
]

/** A wall-clock time in UTC, to the second. */
export function timeText(ts: number): string {
  const date = new Date(ts)
  return Number.isNaN(date.getTime()) ? '?' : date.toISOString().slice(0, 19).replace('T', ' ')
}

function generationText(row: HostRow): string {
  const now = row.release ? safeText(row.release.name) : shortGeneration(row.generation)
  if (row.target === null || row.target === row.generation) return now
  const then = row.targetRelease ? safeText(row.targetRelease.name) : shortGeneration(row.target)
  return `${now} → ${then}`
}
