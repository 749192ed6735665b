/** Rows of a pull in the formats that collectors read: JSON lines, CSV, Elastic Common Schema, CEF. */
import { csvCell } from '../csv-cell.ts'
import { EXPORT_COLUMNS, type ExportRow } from './rows.ts'

export const EXPORT_FORMATS = ['jsonl', 'csv', 'ecs', 'cef'] as const
export type ExportFormat = (typeof EXPORT_FORMATS)[number]

/** The line before the first row; undefined where the format has none. */
export function headingOf(format: ExportFormat): string | undefined {
  return format === 'csv' ? EXPORT_COLUMNS.join(',') : undefined
}

/** How lines end: RFC 4180 wants both characters in CSV. */
export function lineEndOf(format: ExportFormat): string {
  return format === 'csv' ? '\r\n' : '\n'
}

/** One row as one line, without its end. */
export function lineOf(row: ExportRow, format: ExportFormat): string {
  switch (format) {
    case 'jsonl':
      return JSON.stringify(row)
    case 'csv':
      return EXPORT_COLUMNS.map((column) => csvCell(row[column])).join(',')
    case 'ecs':
      return JSON.stringify(ecs(row))
    case 'cef':
      return cef(row)
  }
}

function ecs(row: ExportRow): object {
  const failed = ['STUCK', 'REVERTED', 'REVERTING', 'unhealthy'].includes(row.outcome)
  const isHost = row.role === 'host'
  return {
    '@timestamp': row.time,
    ecs: { version: '8.11.0' },
    event: {
      kind: 'event',
      category: ['configuration'],
      type: [isHost ? 'info' : 'change'],
      action: row.action,
      outcome: failed ? 'failure' : 'success',
      reason: row.reason,
      id: row.factId,
      sequence: row.sequence,
      provider: 'nixfleet',
    },
    user: { id: row.key, name: row.actor, roles: [row.role] },
    ...(isHost ? { host: { name: row.actor } } : {}),
    message: `${row.actor} ${row.action} ${row.target} ${row.outcome}`,
    nixfleet: {
      ...{ target: row.target, outcome: row.outcome, rollout: row.rollout, session: row.session },
      ...{ generation: { before: row.generationBefore, after: row.generationAfter } },
      ...{ epoch: row.epoch, fingerprint: row.fingerprint },
    },
  }
}

function cef(row: ExportRow): string {
  const bad = ['STUCK', 'REVERTED', 'unhealthy', 'revert', 'halt'].includes(row.outcome)
  const header = ['CEF:0', 'nixfleet', 'nixfleet', '1', row.action, row.action, bad ? '6' : '3']
  const fields: readonly (readonly [string, string])[] = [
    ['rt', row.time],
    ['suser', row.actor],
    ['suid', row.key],
    ['spriv', row.role],
    ['act', row.action],
    ['duser', row.target],
    ['outcome', row.outcome],
    ['reason', row.reason],
    ['externalId', row.factId],
    ['cs1Label', 'rollout'],
    ['cs1', row.rollout],
    ['cs2Label', 'generationBefore'],
    ['cs2', row.generationBefore],
    ['cs3Label', 'generationAfter'],
    ['cs3', row.generationAfter],
    ['cn1Label', 'sequence'],
    ['cn1', String(row.sequence)],
  ]
  const head = header.map((part) => part.replaceAll(/[\\|]/g, '\\$&').replaceAll(/[\r\n]/g, ' '))
  const tail = fields
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key}=${cefValue(value)}`)
  return `${head.join('|')}|${tail.join(' ')}`
}

function cefValue(value: string): string {
  return value.replaceAll(/[\\=]/g, '\\$&').replaceAll('\r', '\\r').replaceAll('\n', '\\n')
}
