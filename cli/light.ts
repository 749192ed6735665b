/**
 * The entry point of what is typed all day: one file of CommonJS that reads nothing else.
 *
 * Node takes a third of its own start to begin on modules. Whatever this file does not hold it hands
 * over before a word was printed, so that only reading commands may stand here.
 */
import { run as peers } from './commands/peers.ts'
import { run as rolloutList } from './commands/rollout-list.ts'
import { run as rolloutStatus } from './commands/rollout-status.ts'
import { run as status } from './commands/status.ts'
import { HandOver } from './errors.ts'
import { processWorld } from './process-world.ts'
import { type CommandInput, type CommandModule, flagOption } from './registry.ts'
import { runCli } from './run.ts'

const COMMANDS: ReadonlyMap<string, CommandModule> = new Map([
  ['status', { run: status }],
  ['peers', { run: peers }],
  ['rollout list', { run: rolloutList }],
  ['rollout status', { run: rolloutStatus }],
])

/** Runs what was typed, or does nothing at all. */
export async function runLight(): Promise<'done' | 'not here'> {
  const world = processWorld()
  const parts = { load: lightCommand, transport: handOver }
  const code = await runCli(process.argv.slice(2), world, parts).catch((error: unknown) => error)
  world.done()
  if (typeof code !== 'number') return 'not here'
  process.exitCode = code
  return 'done'
}

/** Who stays and watches may have to go on over libp2p in the middle of it. */
async function lightCommand({ command, options }: CommandInput): Promise<CommandModule> {
  const stays = flagOption(options, 'watch')
  return (stays ? undefined : COMMANDS.get(command.name)) ?? handOver()
}

function handOver(): never {
  throw new HandOver()
}
