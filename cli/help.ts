/** Help pages, from the registry and the catalogue alone, so they need no network. */
import { CATALOGUE } from './catalogue.ts'
import { findCommand, isGroup } from './dispatch.ts'
import { CliError } from './errors.ts'
import { EXIT_MEANINGS, EXIT_NO_PEER, EXIT_OK, EXIT_USAGE } from './exit-codes.ts'
import { type CommandSpec, GLOBAL_OPTIONS, type OptionSpec } from './registry.ts'
import { suggest } from './suggest.ts'

/** The help page of `topic`: a command, a group, `exit-codes`, an error code, or nothing. */
export function helpPage(topic: string, commands: readonly CommandSpec[]): string {
  if (topic === '') return overview(commands)
  if (topic === 'exit-codes') return exitCodes()
  if (/^NF-\d{4}$/i.test(topic)) return errorPage(topic.toUpperCase())
  const command = findCommand(topic, commands)
  if (command !== undefined) return commandPage(command)
  if (isGroup(topic, commands)) return groupPage(topic, commands)
  const near = suggest(
    topic,
    commands.map((known) => known.name),
  )
  throw new CliError('NF-1001', `no help for ${topic}`, {
    why: near ? [`did you mean: nixfleet help ${near}`] : [],
    fix: ['nixfleet help'],
  })
}

function overview(commands: readonly CommandSpec[]): string {
  const sections = [...new Set(commands.map((command) => command.section))]
  return [
    'nixfleet: rollouts for NixOS fleets, agreed between the hosts themselves',
    '',
    'Usage: nixfleet <command> [options]',
    ...sections.flatMap((section) => [
      '',
      section,
      ...twoColumns(
        commands
          .filter((command) => command.section === section)
          .map((command) => [command.name, command.summary]),
      ),
    ]),
    '',
    'HELP',
    ...twoColumns([
      ['help <command>', 'options and examples'],
      ['help exit-codes', 'what each exit code means'],
      ['help NF-2101', 'an error, explained'],
      ['version', 'the version of this program'],
    ]),
    '',
    'Every command takes --json, --peer, --socket and --help.',
  ].join('\n')
}

function groupPage(group: string, commands: readonly CommandSpec[]): string {
  const members = commands.filter((command) => command.name.startsWith(`${group} `))
  return [
    `Usage: nixfleet ${group} <command> [options]`,
    '',
    ...twoColumns(members.map((command) => [command.name, command.summary])),
  ].join('\n')
}

function commandPage(command: CommandSpec): string {
  const args = command.args.map((arg) => {
    const name = arg.variadic ? `${arg.name}...` : arg.name
    return arg.required ? `<${name}>` : `[${name}]`
  })
  const exits = [EXIT_OK, ...command.exits, EXIT_USAGE, EXIT_NO_PEER]
  const meanings = EXIT_MEANINGS.filter((meaning) => exits.includes(meaning.code))
  return [
    `nixfleet ${command.name}: ${command.summary}`,
    ...(command.about ? ['', ...command.about] : []),
    '',
    `Usage: nixfleet ${[command.name, ...args].join(' ')}${command.options.length > 0 ? ' [options]' : ''}`,
    ...(command.aliases
      ? [`Also:  ${command.aliases.map((alias) => `nixfleet ${alias}`).join(', ')}`]
      : []),
    ...block(
      'Arguments',
      command.args.map((arg) => [arg.name, arg.summary]),
    ),
    ...block('Options', command.options.map(optionRow)),
    ...block('Global options', GLOBAL_OPTIONS.map(optionRow)),
    '',
    'Examples',
    ...command.examples.flatMap((example) => [`  $ ${example.run}`, `    ${example.does}`]),
    ...block(
      'Exit codes',
      meanings.map(({ code, meaning }) => [String(code), meaning]),
    ),
  ].join('\n')
}

function exitCodes(): string {
  return [
    'Exit codes',
    ...twoColumns(EXIT_MEANINGS.map(({ code, meaning }) => [String(code), meaning])),
  ].join('\n')
}

function errorPage(code: string): string {
  const page = CATALOGUE[code]
  if (page === undefined) {
    const near = suggest(code, Object.keys(CATALOGUE))
    throw new CliError('NF-1001', `no error has the code ${code}`, {
      why: near ? [`did you mean: nixfleet help ${near}`] : [],
      fix: [],
    })
  }
  return [
    `${code}: ${page.title}`,
    '',
    `  why   ${page.why}`,
    `  fix   ${page.fix}`,
    `  exit  ${page.exit}`,
  ].join('\n')
}

function optionRow(option: OptionSpec): readonly [string, string] {
  const short = option.short ? `-${option.short}, ` : ''
  const value = option.value ? ` ${option.value}` : ''
  return [`${short}--${option.name}${value}`, option.summary]
}

function block(title: string, rows: readonly (readonly [string, string])[]): string[] {
  return rows.length === 0 ? [] : ['', title, ...twoColumns(rows)]
}

function twoColumns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}
