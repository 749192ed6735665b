/**
 * `npm run access-table [-- --json]`: who may do what. Each cell holds what the policy says and what the
 * shipped rules did with a real fact; exit code 1 where the two differ.
 */
import { ACTIONS, ROLES, SCOPES, STATES } from './policy.ts'
import { accessTable, type Cell, wrongCells } from './table.ts'

const cells = accessTable()
const wrong = wrongCells(cells)
if (process.argv.includes('--json')) {
  process.stdout.write(`${JSON.stringify({ kind: 'AccessTable', cells })}\n`)
} else for (const line of lines()) process.stdout.write(`${line}\n`)
process.exitCode = wrong.length === 0 && cells.length > 0 ? 0 : 1

function lines(): readonly string[] {
  const columns = SCOPES.flatMap((scope) => STATES.map((state) => `${scope}/${state}`))
  const wide =
    Math.max(...ROLES.map((role) => role.length), ...ACTIONS.map((one) => one.length)) + 2
  const row = (role: string, action: string, rest: readonly string[]): string =>
    `${role.padEnd(wide)}${action.padEnd(wide)}${rest.map((text, i) => text.padEnd((columns[i] ?? '').length + 2)).join('')}`.trimEnd()
  return [
    row('ROLE', 'ACTION', columns),
    ...ROLES.flatMap((role) =>
      ACTIONS.map((action) => {
        const of = (column: string): string => {
          const cell = cells.find(
            (one) =>
              one.role === role && one.action === action && `${one.scope}/${one.state}` === column,
          )
          return cell === undefined ? '?' : textOf(cell)
        }
        return row(role, action, columns.map(of))
      }),
    ),
    '',
    `${cells.length} cells, ${wrong.length} against the policy`,
  ]
}

function textOf({ expected, actual }: Cell): string {
  const word = actual === 'allowed' ? 'yes' : '-'
  return expected === actual ? word : `${word} WRONG`
}
