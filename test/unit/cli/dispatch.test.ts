/** What is typed is what a command gets, as text; what is not understood is refused with 64. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../../../cli/commands.ts'
import { dispatch } from '../../../cli/dispatch.ts'
import { CliError } from '../../../cli/errors.ts'
import { listOption, textOption } from '../../../cli/registry.ts'

function run(...argv: string[]) {
  const asked = dispatch(argv, COMMANDS)
  if (asked.kind !== 'run') throw new Error(`expected a command, found ${asked.kind}`)
  return asked.input
}

function refusal(...argv: string[]): CliError {
  try {
    dispatch(argv, COMMANDS)
  } catch (error) {
    if (error instanceof CliError) return error
    throw error
  }
  throw new Error(`expected a refusal of ${argv.join(' ')}`)
}

describe('an option value', () => {
  it('comes through as the very text that was given, after the command and, if global, before it', () => {
    const value = fc.string({ maxLength: 30 })
    fc.assert(
      fc.property(value, fc.boolean(), fc.boolean(), (text, glued, first) => {
        const name = first ? 'peer' : 'reason'
        const option = glued ? [`--${name}=${text}`] : [`--${name}`, text]
        const argv = first ? [...option, 'deploy'] : ['deploy', ...option]
        expect(textOption(run(...argv).options, name)).toBe(text)
      }),
    )
  })

  it.each(['42', '007', '1e5', '-1', '--', '', 'true', '0x10', '--json'])(
    '%j stays text',
    (text) => {
      expect(textOption(run('deploy', '--reason', text).options, 'reason')).toBe(text)
    },
  )

  it('repeats where it may and only there', () => {
    expect(listOption(run('deploy', '--host', '1', '--host', 'b').options, 'host')).toEqual([
      '1',
      'b',
    ])
    expect(refusal('deploy', '--soak', '1s', '--soak', '2s').message).toContain('given twice')
  })
})

describe('a positional argument', () => {
  it('stays text, also when it looks like a number or follows --', () => {
    expect(run('release', 'show', '71e4').args).toEqual(['71e4'])
    expect(run('release', 'show', '--', '0071').args).toEqual(['0071'])
    expect(run('release', 'diff', '--', '--json', '-h').args).toEqual(['--json', '-h'])
  })

  it('is counted', () => {
    expect(refusal('hosts', 'show').exit).toBe(64)
    expect(refusal('hosts', 'show', 'a', 'b').exit).toBe(64)
  })
})

describe('a command', () => {
  it.each(
    COMMANDS.flatMap((command) =>
      [command.name, ...(command.aliases ?? [])].map((name) => [name, command] as const),
    ),
  )('%s is found, and its help is', (name, command) => {
    const required = command.args.filter((arg) => arg.required).map((arg) => arg.name)
    expect(run(...name.split(' '), ...required).command).toBe(command)
    expect(dispatch([...name.split(' '), '--help'], COMMANDS)).toEqual({
      kind: 'help',
      topic: command.name,
      asked: true,
    })
  })

  it('that is unknown is 64, never silence', () => {
    const known = new Set(COMMANDS.flatMap((command) => [command.name, ...(command.aliases ?? [])]))
    const word = fc.stringMatching(/^[a-z]{1,8}$/)
    fc.assert(
      fc.property(word, word, (a, b) => {
        fc.pre(!known.has(a) && ![...known].some((name) => name.startsWith(`${a} `)))
        expect(refusal(a, b).exit).toBe(64)
      }),
    )
  })

  it('refuses every option that its registry does not name', () => {
    for (const command of COMMANDS) {
      const required = command.args.filter((arg) => arg.required).map((arg) => arg.name)
      expect(refusal(...command.name.split(' '), ...required, '--no-such-thing').exit).toBe(64)
    }
  })
})
