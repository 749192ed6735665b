/**
 * From argv to a command and its input.
 *
 * cac has one level of commands, so each group has a cac of its own, and it turns `--reason 42` into a
 * number and `7e10` into another one, so every value goes in marked and comes out as the text it was.
 */
import { type CAC, cac } from 'cac'
import { CliError, usage } from './errors.ts'
import { type CommandInput, type CommandSpec, GLOBAL_OPTIONS, type OptionSpec } from './registry.ts'
import { suggest } from './suggest.ts'

/** What argv asks for. */
export type Dispatched =
  | { readonly kind: 'run'; readonly input: CommandInput }
  /** `topic` is a command, a group, a code, or empty. */
  | { readonly kind: 'help'; readonly topic: string; readonly asked: boolean }
  | { readonly kind: 'version' }

/** Keeps a value text through cac. A private-use character that no honest argument holds. */
const MARK = '\uE000'

/**
 * Finds the command in `argv` (without program names) and parses its options. Only global options may
 * stand before the command. Throws CliError (64).
 */
export function dispatch(argv: readonly string[], commands: readonly CommandSpec[]): Dispatched {
  const [first, second] = positions(argv)
  const wantsHelp = before(argv, '--').some((token) => token === '--help' || token === '-h')
  if (first === undefined) {
    if (argv.some((token) => token === '--version' || token === '-V')) return { kind: 'version' }
    const [stray] = markValues(argv, GLOBAL_OPTIONS).filter((token) => !isGlobal(token))
    if (stray !== undefined) throw usage(`unknown option ${stray}`, 'nixfleet help')
    return { kind: 'help', topic: '', asked: wantsHelp }
  }
  const group = argv[first] ?? ''
  const isTwo = isOfTwoWords(group, second === undefined ? undefined : argv[second], commands)
  if (isTwo && second === undefined) return { kind: 'help', topic: group, asked: wantsHelp }
  const name = isTwo && second !== undefined ? `${group} ${argv[second]}` : group
  const command = findCommand(name, commands)
  if (command === undefined) throw unknownCommand(name, group, commands)
  if (wantsHelp) return { kind: 'help', topic: command.name, asked: true }
  const rest = argv.filter((_, index) => index !== first && !(isTwo && index === second))
  return { kind: 'run', input: parse(command, rest) }
}

/** The command of that name or alias. */
export function findCommand(
  name: string,
  commands: readonly CommandSpec[],
): CommandSpec | undefined {
  return commands.find((command) => command.name === name || command.aliases?.includes(name))
}

/** Whether `word` begins the names of commands of two words. */
export function isGroup(word: string, commands: readonly CommandSpec[]): boolean {
  return commands.some((command) => namesOf(command).some((name) => name.startsWith(`${word} `)))
}

/** `peers` is a command and begins another: it needs its second word only where that one names it. */
function isOfTwoWords(
  first: string,
  second: string | undefined,
  commands: readonly CommandSpec[],
): boolean {
  if (!isGroup(first, commands)) return false
  if (findCommand(first, commands) === undefined) return true
  return second !== undefined && findCommand(`${first} ${second}`, commands) !== undefined
}

function namesOf(command: CommandSpec): readonly string[] {
  return [command.name, ...(command.aliases ?? [])]
}

function unknownCommand(name: string, first: string, commands: readonly CommandSpec[]): CliError {
  const names = commands.flatMap(namesOf)
  const near = suggest(name, names) ?? suggest(first, names)
  return new CliError('NF-1001', `unknown command: ${name}`, {
    why: near ? [`did you mean: nixfleet ${near}`] : [],
    fix: [near ? `nixfleet help ${near}` : 'nixfleet help'],
  })
}

/**
 * Each `--name value` as one token `--name=<mark>value`, and each word after `--` as a marked one, so
 * that nothing looks like an option or a number to cac.
 */
function markValues(argv: readonly string[], options: readonly OptionSpec[]): string[] {
  const takesValue = new Set(options.flatMap((o) => (o.value ? [`--${o.name}`] : [])))
  const tokens: string[] = []
  for (let i = 0; i < argv.length; i++) {
    const token = argv[i] ?? ''
    if (token === '--') return [...tokens, ...argv.slice(i + 1).map((word) => `${MARK}${word}`)]
    const { name, glued } = splitOption(token)
    if (!takesValue.has(name)) tokens.push(token)
    else if (glued !== undefined) tokens.push(`${name}=${MARK}${glued}`)
    else {
      i += 1
      if (i >= argv.length) throw usage(`option ${name} needs a value`)
      tokens.push(`${name}=${MARK}${argv[i]}`)
    }
  }
  return tokens
}

/** `--name=value` in its parts; `glued` is absent without an equals sign. */
function splitOption(token: string): { name: string; glued?: string } {
  const equals = token.indexOf('=')
  if (equals < 0 || !token.startsWith('--')) return { name: token }
  return { name: token.slice(0, equals), glued: token.slice(equals + 1) }
}

/** Where the words of `argv` stand, as far as global options tell values from words. */
function positions(argv: readonly string[]): readonly number[] {
  const takesValue = new Set(GLOBAL_OPTIONS.flatMap((o) => (o.value ? [`--${o.name}`] : [])))
  const found: number[] = []
  for (let i = 0; i < argv.length; i++) {
    const token = argv[i] ?? ''
    if (token === '--') return found
    if (takesValue.has(token)) i += 1
    else if (!token.startsWith('-')) found.push(i)
  }
  return found
}

function isGlobal(token: string): boolean {
  const { name } = splitOption(token)
  return GLOBAL_OPTIONS.some((o) => name === `--${o.name}` || name === `-${o.short}`)
}

function before(argv: readonly string[], end: string): readonly string[] {
  const at = argv.indexOf(end)
  return at < 0 ? argv : argv.slice(0, at)
}

function parse(command: CommandSpec, argv: readonly string[]): CommandInput {
  const tokens = markValues(argv, [...GLOBAL_OPTIONS, ...command.options])
  const program = cac('nixfleet')
  const usages = command.args.map((arg) => {
    const name = `${arg.variadic ? '...' : ''}${arg.name}`
    return arg.required ? `<${name}>` : `[${name}]`
  })
  const parsed = program.command(['run', ...usages].join(' '), command.summary)
  for (const option of [...GLOBAL_OPTIONS, ...command.options]) {
    const names = `${option.short ? `-${option.short}, ` : ''}--${option.name}`
    parsed.option(option.value ? `${names} <${option.value}>` : names, option.summary)
  }
  parsed.action(() => undefined)
  try {
    program.parse(['node', 'nixfleet', 'run', ...tokens], { run: false })
    program.runMatchedCommand()
  } catch (error) {
    throw usageOf(error, command)
  }
  const words = program.args.map((word) => String(word).replace(MARK, ''))
  return { command, args: words, options: valuesOf(program, command) }
}

function valuesOf(program: CAC, command: CommandSpec): CommandInput['options'] {
  const values: Record<string, string | boolean | readonly string[]> = {}
  for (const option of [...GLOBAL_OPTIONS, ...command.options]) {
    const name = option.name.replace(/^no-/, '')
    const value: unknown = program.options[camelCase(name)]
    if (value === undefined) continue
    if (option.value === undefined) {
      values[name] = value === true
      continue
    }
    const texts = [value].flat().map((text) => String(text).replace(MARK, ''))
    if (texts.length > 1 && option.repeat !== true) throw usage(`option --${name} was given twice`)
    values[name] = option.repeat === true ? texts : (texts[0] ?? '')
  }
  return values
}

function usageOf(error: unknown, command: CommandSpec): CliError {
  const message = (error instanceof Error ? error.message : String(error)).replaceAll(
    /[`\uE000]/g,
    '',
  )
  const unknown = /^Unknown option (-+)(\S+)$/.exec(message)
  const dashed = unknown?.[2]?.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  const near =
    dashed &&
    suggest(
      dashed,
      [...GLOBAL_OPTIONS, ...command.options].map((o) => o.name),
    )
  const text = unknown
    ? `unknown option ${unknown[1]}${dashed}`
    : message
        .replace(/ for command run.*$/, '')
        .replace(/^missing required args$/, 'an argument is missing')
  return new CliError('NF-1002', `${text} (nixfleet ${command.name})`, {
    why: near ? [`did you mean: --${near}`] : [],
    fix: [`nixfleet help ${command.name}`],
  })
}

function camelCase(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
