/**
 * What a command is. One registry feeds the parser, the help pages and the tests, so they cannot
 * disagree; the code of a command is loaded only when it runs.
 */
import type { Context } from './context.ts'

/** One option of a command. */
export interface OptionSpec {
  /** Long name without dashes; `no-x` gives the flag `x`, which is then true by default. */
  readonly name: string
  readonly short?: string | undefined
  /** What stands for its value in help; absent for a flag. */
  readonly value?: string | undefined
  /** May be given several times. */
  readonly repeat?: boolean | undefined
  readonly summary: string
}

/** One positional argument. */
export interface ArgSpec {
  readonly name: string
  readonly required: boolean
  readonly variadic?: boolean | undefined
  readonly summary: string
}

export interface ExampleSpec {
  readonly run: string
  readonly does: string
}

/** One command: `name` is one word, or a group and a word. */
export interface CommandSpec {
  readonly name: string
  readonly aliases?: readonly string[] | undefined
  readonly section: 'START' | 'LOOK' | 'CHANGE' | 'PROVE' | 'ACCESS' | 'NODE'
  readonly summary: string
  /** More lines for its help page. */
  readonly about?: readonly string[] | undefined
  readonly args: readonly ArgSpec[]
  readonly options: readonly OptionSpec[]
  /** Formats of --format that this command alone knows; it reads the option itself. */
  readonly formats?: readonly string[] | undefined
  readonly examples: readonly ExampleSpec[]
  /** Exit codes besides 0, 64 and 69 that it uses. */
  readonly exits: readonly number[]
  readonly load: () => Promise<CommandModule>
}

/** What a command's file exports: it returns the exit code, or throws. */
export interface CommandModule {
  readonly run: (context: Context, input: CommandInput) => Promise<number>
}

/** What was given on the command line, as text. */
export interface CommandInput {
  readonly command: CommandSpec
  readonly args: readonly string[]
  readonly options: OptionValues
}

export type OptionValues = Readonly<Record<string, string | boolean | readonly string[]>>

/** Options that every command takes. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  {
    name: 'peer',
    value: 'ADDR',
    summary: 'a peer: unix:/path, or a multiaddr with /p2p/ ($NIXFLEET_PEER)',
  },
  { name: 'socket', value: 'PATH', summary: 'the unix socket of a local node ($NIXFLEET_SOCKET)' },
  {
    name: 'identity',
    value: 'FILE',
    summary: "the operator's key file, mode 0600 ($NIXFLEET_IDENTITY)",
  },
  {
    name: 'config',
    value: 'FILE',
    summary: "the client's configuration, TOML or JSON ($NIXFLEET_CONFIG)",
  },
  { name: 'format', value: 'F', summary: 'table, wide, json, ndjson or csv ($NIXFLEET_FORMAT)' },
  { name: 'json', summary: 'the same as --format json' },
  { name: 'no-headers', summary: 'no heading line in tables and CSV' },
  { name: 'color', value: 'WHEN', summary: 'auto, always or never; NO_COLOR is respected' },
  { name: 'ascii', summary: 'no glyphs beyond ASCII' },
  { name: 'quiet', short: 'q', summary: 'data and errors only' },
  { name: 'verbose', short: 'v', summary: 'say which peers are asked' },
  { name: 'yes', short: 'y', summary: 'do not ask before a change' },
  {
    name: 'timeout',
    value: 'DUR',
    summary: 'give up waiting after this long, as 90s or 30m ($NIXFLEET_TIMEOUT)',
  },
  { name: 'help', short: 'h', summary: 'show help for the command' },
]

/** The value of an option that was given once, or undefined. */
export function textOption(options: OptionValues, name: string): string | undefined {
  const value = options[name]
  if (typeof value === 'string') return value
  return Array.isArray(value) ? String(value.at(-1)) : undefined
}

/** Every value of an option, in order. */
export function listOption(options: OptionValues, name: string): readonly string[] {
  const value = options[name]
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.map(String) : []
}

/** Whether a flag was given. */
export function flagOption(options: OptionValues, name: string): boolean {
  return options[name] === true
}
