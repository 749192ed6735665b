/** A seeder and a getter on loopback, as processes of their own that a test can kill and start again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { freePorts } from '../../cli/demo/ports.ts'
import { seededRandom } from '../../node/network/memory-hub.ts'
import type { SwarmCounts } from '../../node/swarm/swarm.ts'
import type { ManifestPath } from '../../protocol/index.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const NAMES = ['seeder', 'getter'] as const
export type PeerName = (typeof NAMES)[number]

/** What a host says once a closure is in its store. */
export interface Staged {
  readonly generation: string
  readonly outcome: { readonly ok: boolean }
  /** Bytes that came in for it, with everything around the pieces. */
  readonly moved: number
  readonly counts: SwarmCounts
}

interface Told {
  readonly ready?: boolean
  readonly paths?: readonly ManifestPath[]
  readonly staged?: Staged
}

export class SwarmPair {
  readonly folder: string
  readonly #program: string
  readonly #first: number
  readonly #downloadRate: number
  readonly #random: () => number
  readonly #children = new Map<PeerName, ChildProcess>()
  readonly #listeners = new Map<PeerName, (told: Told) => void>()
  #trees = 0

  static async create(options: { seed: number; downloadRate: number }): Promise<SwarmPair> {
    const folder = mkdtempSync(join(tmpdir(), 'nf-pair-'))
    const program = join(repository, 'dist', `swarm-peer-${process.pid}.mjs`)
    await build({
      entryPoints: [fileURLToPath(new URL('./swarm-peer.ts', import.meta.url))],
      outfile: program,
      ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'silent' },
      external: ['classic-level'],
      banner: {
        js: "import { createRequire as nodeCreateRequire } from 'node:module';const require = nodeCreateRequire(import.meta.url);",
      },
    })
    return new SwarmPair(folder, program, await freePorts(NAMES.length, Math.random), options)
  }

  private constructor(
    folder: string,
    program: string,
    firstPort: number,
    options: { seed: number; downloadRate: number },
  ) {
    this.folder = folder
    this.#program = program
    this.#first = firstPort
    this.#downloadRate = options.downloadRate
    this.#random = seededRandom(options.seed)
  }

  /** A folder with one file of so many random bytes, the same for the same seed. */
  tree(bytes: number): string {
    const folder = join(this.folder, 'trees', String(this.#trees++))
    mkdirSync(folder, { recursive: true })
    const words = new Uint32Array(Math.ceil(bytes / 4)).map(() => this.#random() * 2 ** 32)
    writeFileSync(join(folder, 'bulk'), new Uint8Array(words.buffer).subarray(0, bytes))
    return folder
  }

  dataOf(name: PeerName): string {
    return join(this.folder, name)
  }

  /** Every piece that the host accepted in all its lives. */
  accepted(name: PeerName): readonly { nar: string; from: number; hash: string }[] {
    const file = join(this.folder, `${name}.accepted`)
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1)
    return lines.map((line) => {
      const [nar = '', from = '', hash = ''] = line.split(' ')
      return { nar, from: Number(from), hash }
    })
  }

  /** Files of unfinished work in the host's folders: pieces, drafts, unpacked halves. */
  leftovers(name: PeerName): readonly string[] {
    const root = this.dataOf(name)
    const found: string[] = []
    const look = (folder: string): void => {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        const path = join(folder, entry.name)
        const inside = relative(root, path)
        // What is in the store is whole; its own files may be called as they like.
        if (inside === join('system', 'store')) continue
        const isTemporary = /(^\.|\.new$|\.part$|^gone-)/.test(entry.name)
        if (isTemporary || inside.startsWith(join('system', 'tmp', '/'))) found.push(inside)
        else if (entry.isDirectory()) look(path)
      }
    }
    look(root)
    return found
  }

  /** Starts a host and waits until it answers. */
  async start(name: PeerName): Promise<void> {
    const hosts = NAMES.map((one, i) => {
      return { name: one, address: `/ip4/127.0.0.1/tcp/${this.#first + i}` }
    })
    const settings = {
      ...{ name, hosts, downloadRate: name === 'getter' ? this.#downloadRate : 0 },
      folder: this.dataOf(name),
      accepted: join(this.folder, `${name}.accepted`),
    }
    const args = [this.#program, JSON.stringify(settings)]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    let errors = ''
    child.stderr.on('data', (bytes: Buffer) => {
      errors = `${errors}${bytes}`.slice(-2000)
    })
    // It may die between two lines, which is what it is there for.
    child.stdin.on('error', () => undefined)
    this.#children.set(name, child)
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (this.#children.get(name) === child) this.#listeners.get(name)?.(JSON.parse(line) as Told)
    })
    await new Promise<void>((resolve, reject) => {
      this.#listeners.set(name, ({ ready }) => ready && resolve())
      child.once('exit', (code, signal) => {
        if (signal === 'SIGKILL') resolve()
        else reject(new Error(`${name} ended with ${code}: ${errors}`))
      })
    })
  }

  /** kill −9. */
  async kill(name: PeerName): Promise<void> {
    const child = this.#children.get(name)
    this.#children.delete(name)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve())
      child.kill('SIGKILL')
    })
  }

  /** Brings trees into the seeder's store. */
  async add(trees: readonly string[]): Promise<readonly ManifestPath[]> {
    return await new Promise((resolve) => {
      this.#listeners.set('seeder', ({ paths }) => paths && resolve(paths))
      this.#tell('seeder', { add: trees })
    })
  }

  know(name: PeerName, paths: readonly ManifestPath[]): void {
    this.#tell(name, { know: paths })
  }

  /** Asks the getter for a closure; `done` hears of it, unless the getter dies before. */
  stage(paths: readonly ManifestPath[], done: (staged: Staged) => void): void {
    this.#listeners.set('getter', ({ staged }) => staged && done(staged))
    this.#tell('getter', { stage: paths })
  }

  async destroy(): Promise<void> {
    for (const name of NAMES) await this.kill(name)
    rmSync(this.#program, { force: true })
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  #tell(name: PeerName, message: object): void {
    this.#children.get(name)?.stdin?.write(`${JSON.stringify(message)}\n`)
  }
}

/** The paths as one closure: the first refers to all others. */
export function closureOf(paths: readonly ManifestPath[]): readonly ManifestPath[] {
  const [first, ...others] = paths
  if (first === undefined) return []
  return [{ ...first, references: others.map(({ path }) => path).sort() }, ...others]
}
