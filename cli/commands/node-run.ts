/** `nixfleet node run`: the daemon, until it is told to stop. */
import { resolve } from 'node:path'
import type { Context } from '../context.ts'
import { spareMemory } from '../daemon-memory.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { type CommandInput, textOption } from '../registry.ts'

const CONFIG_DEFAULT = '/etc/nixfleet/node.json'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const path = resolve(context.cwd, textOption(input.options, 'node-config') ?? CONFIG_DEFAULT)
  spareMemory()
  const { readNodeConfig, startNode } = await import('../../node/index.ts')
  const node = await startNode(readNodeConfig(path))
  await new Promise<void>((stop) => {
    if (context.signal.aborted) stop()
    else context.signal.addEventListener('abort', () => stop(), { once: true })
  })
  await node.stop()
  return EXIT_OK
}
