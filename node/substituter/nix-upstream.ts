/**
 * Upstream caches that only Nix itself can read: `s3://` with its credentials, `ssh://`, and http caches
 * that ask for a password (Attic). Nix says what they hold and hands out each NAR, uncompressed.
 */
import { spawn } from 'node:child_process'
import type { ManifestPath } from '../../protocol/index.ts'
import { COMMAND_TAIL_CHARS_MAX, NIX_COPY_MS_MAX } from '../limits.ts'
import { nixFault } from '../system/nix.ts'
import { NIX_FEATURES, type NixPathInfo, parsePathInfo, runNix } from '../system/nix-info.ts'
import { type Environment, endGroup } from '../system/program.ts'
import { UPSTREAM_MS_MAX } from './limits.ts'

export class NixUpstream {
  readonly url: string
  readonly #env: Environment

  constructor(url: string, env: Environment) {
    this.url = url
    this.#env = env
  }

  /** Whether it holds the path with the very contents that a manifest says. Throws as `info`. */
  async has(path: ManifestPath): Promise<boolean> {
    const found = await this.info(path)
    return found?.narHash === path.narHash && found.narSize === path.narSize
  }

  /**
   * What it says of the path; undefined when it has none. Throws when Nix cannot ask it: of what is
   * merely not there Nix says that it is not valid.
   */
  async info({ path }: Pick<ManifestPath, 'path'>): Promise<NixPathInfo | undefined> {
    const args = [...NIX_FEATURES, 'path-info', '--json', '--store', this.url, path]
    const asked = await runNix({ env: this.#env }, 'nix', args, UPSTREAM_MS_MAX)
    if (!asked.ok) {
      if (/is not valid/.test(asked.detail)) return undefined
      throw new Error(nixFault(asked.detail))
    }
    return isNothing(asked.stdout) ? undefined : parsePathInfo(asked.stdout)[0]
  }

  /** The NAR as it comes. Throws when Nix ends with an error, which may be after some bytes. */
  async *nar(path: ManifestPath): AsyncGenerator<Uint8Array> {
    const args = [...NIX_FEATURES, 'store', 'dump-path', '--store', this.url, path.path]
    const child = spawn('nix', args, {
      ...{ env: this.#env, detached: true },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-COMMAND_TAIL_CHARS_MAX)
    })
    const ended = new Promise<number | null>((resolve) => {
      child.once('error', () => resolve(null))
      child.once('close', (code) => resolve(code))
    })
    const timer = setTimeout(() => endGroup(child), NIX_COPY_MS_MAX)
    let isOver = false
    try {
      yield* child.stdout as AsyncIterable<Uint8Array>
      const code = await ended
      isOver = true
      if (code !== 0) throw new Error(`${this.url}: ${said.trim() || 'nix could not be run'}`)
    } finally {
      clearTimeout(timer)
      if (!isOver) endGroup(child)
    }
  }
}

/** Newer versions of Nix answer null for a path that is not valid, in place of an error. */
function isNothing(text: string): boolean {
  const value: unknown = JSON.parse(text)
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => one === null)
  )
}
