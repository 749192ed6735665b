/** `nixfleet node run`: the daemon, until it is told to stop. */
import { resolve } from 'node:path'
import type { Context } from '../context.ts'
import { spareMemory } from '../daemon-memory.ts'
import { usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { type CommandInput, textOption } from '../registry.ts'

const CONFIG_DEFAULT = '/etc/nixfleet/node.json'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { options } = input
  const path = resolve(context.cwd, textOption(options, 'node-config') ?? CONFIG_DEFAULT)
  const [cert, key] = ['tls-cert', 'tls-key'].map((name) => textOption(options, name))
  if ((cert === undefined) !== (key === undefined))
    throw usage('expected --tls-cert and --tls-key together, found one of them')
  spareMemory()
  const { readNodeConfig, startNode } = await import('../../node/index.ts')
  const config = readNodeConfig(path)
  const at = (file: string): string => resolve(context.cwd, file)
  const tls =
    cert === undefined || key === undefined ? {} : { tls: { cert: at(cert), key: at(key) } }
  const node = await startNode({ ...config, api: { ...config.api, ...tls } })
  await new Promise<void>((stop) => {
    if (context.signal.aborted) stop()
    else context.signal.addEventListener('abort', () => stop(), { once: true })
  })
  await node.stop()
  return EXIT_OK
}
