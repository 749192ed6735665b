/**
 * One closure to every host of a site with thin lines: through the swarm, and with `nix copy` from one
 * http cache, in the same run, over the same lines, both uncompressed.
 *
 * Each host is a process in a network namespace whose line is bounded both ways. The clock stops when
 * the closure is in every host's store, unpacked and with its hash checked.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type ManifestPath, nixPublicKeyOf } from '../../protocol/index.ts'
import { labIsPossible, NetworkLab } from '../integration/network-lab.ts'
import type { Bench, BenchOptions, BenchResult } from './bench.ts'
import { round, target } from './bench.ts'
import { nixEnvironment, plantTrees, runToEnd, STATIC_SERVER, writeCache } from './http-cache.ts'

const SEEDER = 'seeder'
const MIB = 1024 * 1024
const CACHE_PORT = 8080
const BURST = '128kb'
const RATIO_MAX = 0.17
const SEEDER_RATIO_MAX = 1.2
const LINK_USE_MIN = 0.8

export const bench: Bench = { hosts: 8, runs: 1, mib: 100, run }

/** One side of the comparison. */
interface Side {
  readonly seconds: number
  /** Bytes that left the seeder's line. */
  readonly seederBytes: number
}

async function run(options: BenchOptions): Promise<BenchResult> {
  const possible = labIsPossible()
  if (possible !== true) throw new Error(`this machine holds no namespaces: ${possible}`)
  if (spawnSync('nix', ['--version']).status !== 0) throw new Error('nix is not installed')
  const folder = mkdtempSync(join(tmpdir(), 'nixfleet-bench-swarm-'))
  const hosts = Array.from({ length: options.hosts }, (_, i) => `host${i + 1}`)
  const lab = new NetworkLab([SEEDER, ...hosts])
  try {
    lab.shape(options.uplink, BURST)
    const trees = plantTrees(join(folder, 'trees'), options.mib)
    const swarm = await throughSwarm({ options, lab, hosts, folder, trees })
    const nix = await throughNix({ options, lab, hosts, folder, trees, paths: swarm.paths })
    return reportOf(options, swarm, nix)
  } finally {
    lab.destroy()
    rmSync(folder, { recursive: true, force: true })
  }
}

interface Setting {
  readonly options: BenchOptions
  readonly lab: NetworkLab
  readonly hosts: readonly string[]
  readonly folder: string
  readonly trees: readonly string[]
}

async function throughSwarm(setting: Setting): Promise<Side & { paths: readonly ManifestPath[] }> {
  const { options, lab, hosts, folder, trees } = setting
  const names = [SEEDER, ...hosts]
  const book = names.map((name) => ({ name, address: lab.address(name) }))
  const workers = names.map((name) => {
    const settings = { name, folder: join(folder, 'swarm', name), hosts: book }
    return new Worker(lab.command(name), settings)
  })
  try {
    await Promise.all(workers.map((worker) => worker.hear('ready')))
    options.tell(`${names.length} hosts are connected`)
    const [seeder, ...takers] = workers
    if (seeder === undefined) throw new Error('expected a seeder')
    seeder.say({ add: trees })
    const { paths } = (await seeder.hear('paths')) as { paths: readonly ManifestPath[] }
    // The first needs all others: one closure.
    const [first, ...rest] = paths
    if (first === undefined) throw new Error('expected paths')
    const closure = [{ ...first, references: rest.map(({ path }) => path).sort() }, ...rest]
    const before = lab.sentBytes(SEEDER)
    const start = performance.now()
    for (const taker of takers) taker.say({ stage: closure })
    const ends = await Promise.all(takers.map((taker) => taker.hear('staged')))
    const seconds = (performance.now() - start) / 1000
    for (const end of ends) {
      const { staged } = end as { staged: { ok: boolean } }
      if (!staged.ok) throw new Error(`expected the closure, found ${JSON.stringify(end)}`)
    }
    options.tell(`the swarm: ${seconds.toFixed(1)} s ${JSON.stringify(ends)}`)
    return { seconds, seederBytes: lab.sentBytes(SEEDER) - before, paths }
  } finally {
    for (const worker of workers) worker.end()
  }
}

async function throughNix(
  setting: Setting & { readonly paths: readonly ManifestPath[] },
): Promise<Side & { readonly command: string }> {
  const { options, lab, hosts, folder, trees, paths } = setting
  const cache = join(folder, 'cache')
  const env = nixEnvironment(folder)
  const made = spawnSync('nix', ['key', 'generate-secret', '--key-name', 'bench-1'], { env })
  const secret = made.stdout.toString().trim()
  const names = await writeCache(cache, { trees, paths, secret })
  const server = spawn(
    'ip',
    [...lab.command(SEEDER).slice(1), 'node', '-e', STATIC_SERVER, cache, String(CACHE_PORT)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  try {
    await new Promise((resolve) => server.stdout.once('data', resolve))
    const from = `http://${lab.ip(SEEDER)}:${CACHE_PORT}`
    const trust = ['--option', 'trusted-public-keys', nixPublicKeyOf(secret)]
    const commandOf = (host: string): readonly string[] => [
      ...['nix', 'copy', '--from', from, '--to', `local?root=${join(folder, 'nix', host)}`],
      ...trust,
      ...names,
    ]
    const before = lab.sentBytes(SEEDER)
    const start = performance.now()
    await Promise.all(
      hosts.map((host) => {
        const own = { ...env, XDG_CACHE_HOME: join(folder, 'nix-cache', host) }
        return runToEnd([...lab.command(host), ...commandOf(host)], own, options.signal)
      }),
    )
    const seconds = (performance.now() - start) / 1000
    options.tell(`nix copy: ${seconds.toFixed(1)} s`)
    const command = commandOf('HOST').slice(0, 6).join(' ').replaceAll(folder, '')
    return { seconds, seederBytes: lab.sentBytes(SEEDER) - before, command }
  } finally {
    server.kill('SIGKILL')
  }
}

function reportOf(
  options: BenchOptions,
  swarm: Side,
  nix: Side & { readonly command: string },
): BenchResult {
  const closure = options.mib * MIB
  const ratio = round(swarm.seconds / nix.seconds)
  const seederBytesRatio = round(swarm.seederBytes / closure)
  const perSecond = bitsOf(options.uplink) / 8
  const linkUse = round(closure / (perSecond * swarm.seconds))
  const nixLinkUse = round(closure / (perSecond * nix.seconds))
  return {
    kind: 'SwarmReport',
    top: { ratio, seederBytesRatio, linkUse },
    figures: {
      swarmSeconds: round(swarm.seconds),
      nixSeconds: round(nix.seconds),
      nixSeederBytesRatio: round(nix.seederBytes / closure),
      nixLinkUse,
      mib: options.mib,
      uplink: options.uplink,
    },
    targets: [
      target('time of the swarm ÷ time of nix copy', RATIO_MAX, ratio),
      target('bytes that left the seeder ÷ closure', SEEDER_RATIO_MAX, seederBytesRatio),
      // As a bound from above, like all others: the share of the lines that stayed unused.
      target('share of the lines unused', round(1 - LINK_USE_MIN), round(1 - linkUse)),
    ],
    commands: [
      `test/bench/swarm-host.ts in ${options.hosts + 1} namespaces, tc tbf rate ${options.uplink} burst ${BURST} both ways`,
      `${nix.command} in ${options.hosts} namespaces at once, one static http server behind the same line`,
    ],
    notes: [
      'link use counts the closure alone; what left the seeder counts every header too',
      'one machine: all hosts share its processors and its disk',
    ],
    lines: [
      `swarm     ${swarm.seconds.toFixed(1)} s for ${options.hosts} hosts, seeder sent ${seederBytesRatio} × the closure, lines used ${round(100 * linkUse)} %`,
      `nix copy  ${nix.seconds.toFixed(1)} s for ${options.hosts} hosts, cache sent ${round(nix.seederBytes / closure)} × the closure`,
      `ratio     ${ratio}`,
    ],
    raw: { swarm, nix },
  }
}

/** Bits a second of a rate as tc writes it. Throws RangeError on another unit. */
function bitsOf(rate: string): number {
  const [, value = '', unit = ''] = /^(\d+)([kmg])bit$/.exec(rate) ?? []
  const scale = { k: 1e3, m: 1e6, g: 1e9 }[unit]
  if (scale !== undefined) return Number(value) * scale
  throw new RangeError(`expected a rate like 50mbit, found ${rate}`)
}

/** One host's process, spoken to in lines of JSON. */
class Worker {
  readonly #child: ChildProcess
  readonly #heard: object[] = []
  #wake: (() => void) | undefined
  #ended = false

  constructor(command: readonly string[], settings: object) {
    const [program = '', ...args] = command
    const script = fileURLToPath(new URL('./swarm-host.ts', import.meta.url))
    const node = ['node', '--import', 'tsx', script, JSON.stringify(settings)]
    this.#child = spawn(program, [...args, ...node], { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: this.#child.stdout ?? process.stdin })
    lines.on('line', (line) => {
      this.#heard.push(JSON.parse(line) as object)
      this.#wake?.()
    })
    this.#child.once('exit', () => {
      this.#ended = true
      this.#wake?.()
    })
  }

  say(message: object): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  /** The next message that has `key`. Throws when the process has ended without it. */
  async hear(key: string): Promise<object> {
    for (;;) {
      const message = this.#heard.find((one) => key in one)
      if (message !== undefined) return message
      if (this.#ended) throw new Error(`expected '${key}' from a host, found that it ended`)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  end(): void {
    this.#child.kill('SIGKILL')
  }
}
