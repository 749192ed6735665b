/**
 * Where generations come from: a machine with Nix that builds, signs and publishes them.
 *
 * Every label is built anew, so that no two cases share a path that a host might hold already.
 */
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Narinfo, parseNarinfo, printNarinfo, signPathInfo } from '../../protocol/index.ts'
import { BinaryCache } from './binary-cache.ts'
import { Machine } from './machine.ts'

const GENERATION = fileURLToPath(new URL('generation.nix', import.meta.url))
const APPLETS = 'sh sed mkdir chmod ln mv cat kill sleep setsid httpd'.split(' ')
const NIX_CONF = `
sandbox = false
build-users-group =
experimental-features = nix-command
substituters =
trusted-public-keys =
require-sigs = true
`

/** What a generation is made from, and how it is published. */
export interface GenerationWish {
  readonly label: string
  /** What its web service answers; empty: it answers 404, which is what a broken one does. */
  readonly page?: string
  /** The name of the key that signs it; `good-1` is the only one that hosts trust. */
  readonly key?: string
  readonly compression?: 'zstd' | 'none'
  /** A folder of folders, each of which becomes a store path that it needs. */
  readonly ballast?: string
}

/** The environment of a machine with Nix, whose files lie in `folder`. */
export async function nixEnvironment(folder: string): Promise<Record<string, string>> {
  const home = join(folder, 'home')
  const conf = join(folder, 'conf')
  await mkdir(home, { recursive: true })
  await mkdir(conf, { recursive: true })
  await writeFile(join(conf, 'nix.conf'), NIX_CONF)
  return {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: home,
    XDG_CACHE_HOME: join(home, 'cache'),
    NIX_CONF_DIR: conf,
    NIX_REMOTE: 'local',
    LC_ALL: 'C.UTF-8',
  }
}

/** The builder and its cache. */
export class Builder {
  readonly machine: Machine
  readonly cache: BinaryCache

  private constructor(machine: Machine, cache: BinaryCache) {
    this.machine = machine
    this.cache = cache
  }

  static async start(folder: string): Promise<Builder> {
    const machine = await Machine.boot(folder, await nixEnvironment(folder))
    const applets = join(folder, 'busybox', 'bin')
    await mkdir(applets, { recursive: true })
    await copyFile((await machine.run('which', 'busybox')).trim(), join(applets, 'busybox'))
    for (const name of APPLETS) await symlink('busybox', join(applets, name))
    await mkdir(join(folder, 'cache'))
    return new Builder(machine, await BinaryCache.serve(join(folder, 'cache')))
  }

  /** Builds, signs and publishes one generation, and gives its store path. */
  async publish(wish: GenerationWish): Promise<string> {
    const path = await this.build(wish)
    await this.sign(path, wish.key ?? 'good-1')
    const cache = `file://${this.cache.folder}?compression=${wish.compression ?? 'zstd'}`
    await this.nix('copy', '--to', cache, path)
    return path
  }

  /** Builds one generation; it is neither signed nor published. */
  async build({ label, page = label, ballast = '' }: GenerationWish): Promise<string> {
    const busybox = join(this.machine.folder, 'busybox')
    const values = { label, page, busybox, ballast }
    const args = Object.entries(values).flatMap(([name, value]) => ['--argstr', name, value])
    return await this.machine.run('nix-build', '--no-out-link', GENERATION, ...args)
  }

  /** Signs the closure of `path`. */
  async sign(path: string, key: string): Promise<void> {
    await this.nix('store', 'sign', '-k', await this.#secretOf(key), '-r', path)
  }

  /** What a thief of the key could do: changes what the cache says of `path`, and signs it again. */
  async resign(path: string, change: (info: Narinfo) => Narinfo): Promise<void> {
    const secret = (await readFile(await this.#secretOf('good-1'), 'utf8')).trim()
    await this.cache.changeInfo(path, (text) => {
      const info = change(parseNarinfo(new TextEncoder().encode(text), path))
      return printNarinfo({ ...info, signatures: [signPathInfo(info, secret)] })
    })
  }

  /** What the cache says of `path`. */
  async infoOf(path: string): Promise<Narinfo> {
    return parseNarinfo(await readFile(this.cache.infoFile(path)), path)
  }

  /** The public half of a key, which is made when it is first asked for. */
  async publicKey(key: string): Promise<string> {
    const line = 'nix key convert-secret-to-public <"$0"'
    return await this.machine.run('sh', '-c', line, await this.#secretOf(key))
  }

  nix(...args: readonly string[]): Promise<string> {
    return this.machine.run('nix', ...args)
  }

  async stop(): Promise<void> {
    await this.cache.close()
    await this.machine.off()
  }

  async #secretOf(key: string): Promise<string> {
    const file = join(this.machine.folder, `${key}.secret`)
    const known = await readFile(file, 'utf8').catch(() => undefined)
    if (known === undefined) {
      const secret = await this.nix('key', 'generate-secret', '--key-name', key)
      await writeFile(file, secret, { mode: 0o600 })
    }
    return file
  }
}
