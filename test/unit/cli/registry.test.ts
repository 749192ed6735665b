/** The registry, the catalogue and the node's codes tell one story. */
import { describe, expect, it } from 'vitest'
import { CATALOGUE } from '../../../cli/catalogue.ts'
import { COMMANDS } from '../../../cli/commands.ts'
import { dispatch } from '../../../cli/dispatch.ts'
import { EXIT_MEANINGS } from '../../../cli/exit-codes.ts'
import { helpPage } from '../../../cli/help.ts'
import { GLOBAL_OPTIONS } from '../../../cli/registry.ts'
import { API_ERRORS } from '../../../node/api/problem.ts'
import { words } from '../../cli/script.ts'

const codes = EXIT_MEANINGS.map(({ code }) => code)

describe('every command', () => {
  it.each(COMMANDS.map((command) => [command.name, command] as const))(
    '%s has a summary, an example that parses, and code',
    async (_, command) => {
      expect(command.summary).not.toBe('')
      expect(command.examples.length).toBeGreaterThan(0)
      for (const { run } of command.examples) {
        const [program, ...argv] = words(run.split(/\s>\s/)[0] ?? '')
        expect(program).toBe('nixfleet')
        expect(dispatch(argv, COMMANDS)).toMatchObject({
          kind: 'run',
          input: { command: { name: command.name } },
        })
      }
      expect(typeof (await command.load()).run).toBe('function')
    },
  )

  it('takes no option that is also a global one', () => {
    const global = new Set(GLOBAL_OPTIONS.map((option) => option.name))
    const twice = COMMANDS.flatMap((command) =>
      command.options
        .filter((option) => global.has(option.name))
        .map((option) => `${command.name} --${option.name}`),
    )
    expect(twice).toEqual([])
  })

  it('names only exit codes that have a meaning', () => {
    expect(
      COMMANDS.flatMap((command) => command.exits).filter((code) => !codes.includes(code)),
    ).toEqual([])
  })
})

describe('every error code', () => {
  it.each(Object.entries(CATALOGUE))('%s has a page and a meaningful exit code', (code, page) => {
    expect(code).toMatch(/^NF-\d{4}$/)
    expect(codes).toContain(page.exit)
    expect(helpPage(code, COMMANDS)).toContain(page.fix)
  })

  it('of the API is in the catalogue under the same title', () => {
    expect(Object.keys(API_ERRORS).length).toBeGreaterThan(10)
    for (const [code, { title }] of Object.entries(API_ERRORS))
      expect(CATALOGUE[code]?.title).toBe(title)
  })
})
