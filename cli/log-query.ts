/** The options that `events` and `audit log` share, as a query. */
import { usage } from './errors.ts'
import { type CommandInput, textOption } from './registry.ts'

const LIMIT_DEFAULT = 50
const LIMIT_MAX = 500

/** The path of the newest page, and the filter alone for later pages. Throws CliError (64). */
export function logQuery(path: string, input: CommandInput): { path: string; filter: string } {
  const limit = limitOf(textOption(input.options, 'limit'))
  const parts = ['host', 'type', 'actor', 'rollout'].flatMap((name) => {
    const value = textOption(input.options, name)
    return value === undefined ? [] : [`&${name}=${encodeURIComponent(value)}`]
  })
  const filter = parts.join('')
  return { path: `${path}?limit=${limit}&newest=yes${filter}`, filter }
}

/** How many rows were asked for. Throws CliError (64). */
export function limitIn(input: CommandInput): number {
  return limitOf(textOption(input.options, 'limit'))
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return LIMIT_DEFAULT
  const limit = Number(text)
  if (Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX) return limit
  throw usage(`expected a number from 1 to ${LIMIT_MAX} after --limit, found ${text}`)
}
