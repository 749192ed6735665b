/** `nixfleet cache add|remove URL`: the upstream caches in the configuration file of this host. */
import {
  accessSync,
  chownSync,
  constants,
  existsSync,
  readFileSync,
  realpathSync,
  statSync,
} from 'node:fs'
import { resolve } from 'node:path'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { safeText } from '../words.ts'

const DEFAULT_CONFIG = '/etc/nixfleet/node.json'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out, cwd } = context
  const [url = ''] = input.args
  const path = resolve(cwd, textOption(input.options, 'node-config') ?? DEFAULT_CONFIG)
  assertEditable(path)
  const { readNodeConfig, validateNodeConfig, writeDurably } = await import('../../node/index.ts')
  const before = readNodeConfig(path).substituter.caches
  const caches =
    input.command.name === 'cache add' ? added(before, url) : removed(before, url, path)
  const file = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  const given = file['substituter'] as Record<string, unknown> | undefined
  const next = { ...file, substituter: { ...given, caches } }
  // What the node would not start with is not written.
  validateNodeConfig(next, { source: path, base: resolve(path, '..') })
  const changed = caches.join() !== before.join()
  if (changed) {
    const place = realpathSync(path)
    const { mode, uid, gid } = statSync(place)
    await writeDurably(place, `${JSON.stringify(next, null, 2)}\n`, mode & 0o777)
    // The node may run as another user than whoever edits its file.
    if (process.getuid?.() === 0) chownSync(place, uid, gid)
  }
  if (out.human) for (const one of caches) out.line(safeText(one))
  else out.document(cliDocument('CachesConfigured', { path, caches, changed }))
  out.note(changed ? 'the node reads it when it starts again' : 'nothing to change')
  return EXIT_OK
}

function added(before: readonly string[], url: string): readonly string[] {
  return before.includes(url) ? before : [...before, url]
}

function removed(before: readonly string[], url: string, path: string): readonly string[] {
  if (before.includes(url)) return before.filter((one) => one !== url)
  throw new CliError('NF-1005', `${safeText(url)} is not in ${path}`, {
    why: [
      before.length === 0 ? 'it names no cache' : `it names ${before.map(safeText).join(', ')}`,
    ],
    fix: ['nixfleet cache list shows which releases name it: those are not changed here'],
  })
}

/** Where Nix makes the file, or a person wrote TOML with comments, it is theirs to change. */
function assertEditable(path: string): void {
  if (!existsSync(path)) {
    throw new CliError('NF-1005', `${path} is not there`, {
      why: [],
      fix: ["give --node-config with the node's configuration"],
    })
  }
  if (path.endsWith('.toml')) {
    throw usage(
      `${path} is TOML, whose comments would be lost`,
      'add it to caches under [substituter] by hand',
    )
  }
  const file = realpathSync(path)
  if (file.startsWith('/nix/store/')) {
    throw new CliError('NF-1007', `${path} is made by NixOS`, {
      why: [`it leads to ${file}, which never changes`],
      fix: ["set the node's substituter.caches in the host's NixOS configuration"],
    })
  }
  try {
    accessSync(file, constants.W_OK)
  } catch (error) {
    throw new CliError('NF-1008', `${path} may not be written`, {
      why: [],
      fix: ['run it as the owner of the file'],
      cause: error,
    })
  }
}
