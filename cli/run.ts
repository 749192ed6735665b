/** One run of the CLI: argv to a command, its outcome to an exit code, its error to people. */

import { type Client, createClient } from './client.ts'
import { COMMANDS } from './commands.ts'
import type { Context } from './context.ts'
import { type Dispatched, dispatch } from './dispatch.ts'
import { type CliError, HandOver, Interrupted, toCliError } from './errors.ts'
import { EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, EXIT_TERMINATED, EXIT_USAGE } from './exit-codes.ts'
import { helpPage } from './help.ts'
import { createOutput, type Output } from './output.ts'
import { peerAddresses, siblingSockets } from './places.ts'
import type { World } from './process-world.ts'
import type { CommandInput, CommandModule } from './registry.ts'
import { resolveSettings, type Settings } from './settings.ts'
import { type Transport, transportOf } from './transport.ts'
import { VERSION } from './version.ts'
import { createWords } from './words.ts'

/** What a build of the program may hold or hand over. */
export interface CliParts {
  readonly load: (input: CommandInput) => Promise<CommandModule>
  /** A way to a peer over libp2p. */
  readonly transport: (address: string, settings: Settings, world: World) => Transport
}

const ALL: CliParts = { load: ({ command }) => command.load(), transport: lateP2p }

/**
 * Runs `argv` (without program names) and gives the exit code. Throws HandOver where `parts` do, and
 * nothing else.
 */
export async function runCli(
  argv: readonly string[],
  world: World,
  parts: CliParts = ALL,
): Promise<number> {
  const json = argv.includes('--json')
  try {
    const words = helpWords(argv)
    const asked: Dispatched = words ?? dispatch(argv, COMMANDS)
    if (asked.kind === 'version') return printVersion(world, json)
    if (asked.kind === 'help') {
      const stream = asked.asked ? world.stdout : world.stderr
      stream.write(`${helpPage(asked.topic, COMMANDS)}\n`)
      return asked.asked ? EXIT_OK : EXIT_USAGE
    }
    return await runCommand(asked.input, world, parts)
  } catch (error) {
    if (error instanceof HandOver) throw error
    return fail(error, world, json)
  }
}

/** `help …` and `version` are no commands of the table: they load nothing. */
function helpWords(argv: readonly string[]): Dispatched | undefined {
  const words = argv.filter((word) => !word.startsWith('-'))
  if (words[0] === 'help') return { kind: 'help', topic: words.slice(1).join(' '), asked: true }
  if (words[0] === 'version' && words.length === 1) return { kind: 'version' }
  return undefined
}

function printVersion(world: World, json: boolean): number {
  const text = json
    ? JSON.stringify({ version: VERSION, node: process.versions.node })
    : `nixfleet ${VERSION}`
  world.stdout.write(`${text}\n`)
  return EXIT_OK
}

async function runCommand(input: CommandInput, world: World, parts: CliParts): Promise<number> {
  const settings = await resolveSettings(input.options, world, input.command.formats)
  const { run } = await parts.load(input)
  const { context, close } = createContext(settings, world, parts)
  try {
    return await run(context, input)
  } finally {
    await close()
  }
}

function createContext(
  settings: Settings,
  world: World,
  parts: CliParts,
): { context: Context; close: () => Promise<void> } {
  const { stdout, stderr, env, cwd, signal, now, sleep, random, ask } = world
  const out = createOutput({ ...settings, stdout, stderr, env })
  let client: Client | undefined
  const others: Client[] = []
  const clientOf = (addresses: readonly string[], spare: () => readonly string[]): Client =>
    createClient({
      addresses,
      spare,
      transport: (address) =>
        transportOf(address, (remote) => parts.transport(remote, settings, world)),
      note: out.note,
      verbose: out.verbose,
      signal,
      sleep,
    })
  const connect = async (): Promise<Client> => {
    const addresses = peerAddresses(settings, env, cwd)
    client ??= clientOf(addresses, () => siblingSockets(addresses))
    return client
  }
  const connectTo = (address: string): Client => {
    const other = clientOf([address], () => [])
    others.push(other)
    return other
  }
  const siblings = (address: string): readonly string[] => siblingSockets([address])
  const words = createWords(out.paint, out.ascii)
  const context = {
    out,
    words,
    settings,
    env,
    cwd,
    signal,
    now,
    sleep,
    random,
    ask,
    connect,
    connectTo,
    siblings,
  }
  return {
    context,
    close: async () => void (await Promise.all([client, ...others].map((one) => one?.close()))),
  }
}

function lateP2p(address: string, settings: Settings, world: World): Transport {
  const opened = import('./p2p-transport.ts').then((module) =>
    module.p2pTransport(address, settings, world),
  )
  opened.catch(() => undefined)
  return {
    address,
    ask: async (question, signal) => (await opened).ask(question, signal),
    close: async () => {
      const transport = await opened.catch(() => undefined)
      await transport?.close()
    },
  }
}

function fail(error: unknown, world: World, json: boolean): number {
  const { stderr } = world
  if (error instanceof Interrupted) {
    stderr.write(`${error.message}\n`)
    return world.signal.reason === 'SIGTERM' ? EXIT_TERMINATED : error.exit
  }
  if (world.signal.aborted) {
    return world.signal.reason === 'SIGTERM' ? EXIT_TERMINATED : EXIT_INTERRUPTED
  }
  const failure = toCliError(error)
  stderr.write(json ? `${JSON.stringify(errorDocument(failure))}\n` : errorText(failure, world))
  if (failure.exit === EXIT_BUG && error instanceof Error) stderr.write(`${error.stack ?? ''}\n`)
  return failure.exit
}

function errorDocument(error: CliError): object {
  const { code, message, why, fix, exit } = error
  return { apiVersion: 'nixfleet/v1', kind: 'Error', code, message, why, fix, exit }
}

function errorText(error: CliError, world: World): string {
  const { stdout, stderr, env } = world
  const plain: Output = createOutput({
    stdout,
    stderr,
    env,
    format: 'table',
    color: 'auto',
    ascii: false,
    headers: true,
    quiet: false,
    verbose: false,
  })
  const { red, bold, dim } = plain.notePaint
  const block = (label: string, lines: readonly string[]): string[] =>
    lines.map((line, index) => `  ${dim((index === 0 ? label : '').padEnd(5))} ${line}`)
  return [
    `${red(bold(`error[${error.code}]`))} ${error.message}`,
    ...block('why', error.why),
    ...block('fix', error.fix),
    ...block('docs', [`nixfleet help ${error.code}`]),
    '',
  ].join('\n')
}
