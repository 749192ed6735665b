/** The role table: the product does what the policy says, and the table sees it when it does not. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Workspace } from '../mutants/workspace.ts'
import { ACTIONS, ROLES, SCOPES, STATES } from './policy.ts'
import { accessTable, type Cell, wrongCells } from './table.ts'

const cells = accessTable()

describe('the role table', () => {
  it('has every cell once', () => {
    const count = ROLES.length * ACTIONS.length * SCOPES.length * STATES.length
    expect(cells).toHaveLength(count)
    expect(new Set(cells.map(placeOf)).size).toBe(count)
    for (const verdict of ['allowed', 'refused'])
      expect(cells.some(({ actual }) => actual === verdict)).toBe(true)
  })

  it('is what the policy says', () => {
    expect(wrongCells(cells)).toEqual([])
  })
})

/** One rule broken in a copy of the source, and the cells that have to change. */
const BROKEN = [
  {
    rule: 'readonly may not deploy',
    file: 'rollout/trust.ts',
    find: "if (operator === undefined || operator.role === 'readonly') return false",
    replace: 'if (operator === undefined) return false',
    cells: ['readonly deploy in/valid', 'readonly halt in/valid'],
  },
  {
    rule: 'a date that has passed',
    file: 'rollout/admit-rules.ts',
    find: 'operator.expires > 0 && scene.local.wallMs >= operator.expires',
    replace: 'operator.expires < 0',
    cells: ['deploy deploy in/expired'],
  },
] as const

describe('a broken rule', () => {
  let workspace: Workspace
  beforeAll(() => {
    workspace = new Workspace()
  })
  afterAll(() => workspace.remove())

  it.each(BROKEN)(
    '($rule) changes its cells',
    async ({ file, find, replace, cells: changed }) => {
      workspace.apply([{ file, find, replace }])
      try {
        const wrong = wrongCells(await tableIn(workspace.path)).map(placeOf)
        for (const cell of changed) expect(wrong).toContain(cell)
        expect(wrong.length).toBeLessThan(cells.length / 2)
      } finally {
        workspace.revert()
      }
    },
    60_000,
  )
})

async function tableIn(folder: string): Promise<readonly Cell[]> {
  const args = ['--import', 'tsx', join('test', 'access', 'main.ts'), '--json']
  const ran = await promisify(execFile)(process.execPath, args, {
    cwd: folder,
    maxBuffer: 8_000_000,
  }).catch((error: { stdout: string }) => error)
  return (JSON.parse(ran.stdout) as { cells: readonly Cell[] }).cells
}

function placeOf({ role, action, scope, state }: Cell): string {
  return `${role} ${action} ${scope}/${state}`
}
