/**
 * A closure that this host holds, into an empty store by `nix copy`: through the node's substituter, and
 * from a static http server over the very same NARs. Loopback, uncompressed, turn by turn in one run.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import {
  fromHex,
  type ManifestPath,
  nixPublicKeyOf,
  parseStoreName,
  printNixSignature,
  signPathInfo,
  storePathOf,
} from '../../protocol/index.ts'
import type { Bench, BenchOptions, BenchResult } from './bench.ts'
import { percentile, round, target } from './bench.ts'
import { nixEnvironment, plantTrees, runToEnd, STATIC_SERVER, writeCache } from './http-cache.ts'

const RATIO_MAX = 1.3

export const bench: Bench = { hosts: 1, runs: 7, mib: 200, run }

interface Places {
  readonly folder: string
  readonly names: readonly string[]
  readonly env: Record<string, string>
  readonly trust: readonly string[]
}

async function run(options: BenchOptions): Promise<BenchResult> {
  if (spawnSync('nix', ['--version']).status !== 0) throw new Error('nix is not installed')
  const folder = mkdtempSync(join(tmpdir(), 'nixfleet-bench-substituter-'))
  const children: ChildProcess[] = []
  try {
    const trees = plantTrees(join(folder, 'trees'), options.mib)
    const env = nixEnvironment(folder)
    const made = spawnSync('nix', ['key', 'generate-secret', '--key-name', 'bench-1'], { env })
    const secret = made.stdout.toString().trim()
    const script = fileURLToPath(new URL('./substituter-host.ts', import.meta.url))
    const host = start(['--import', 'tsx', script, join(folder, 'host'), ...trees], children)
    const { paths } = (await host.next()) as { paths: readonly ManifestPath[] }
    host.say({ paths: paths.map((path) => signed(path, secret)) })
    const { url } = (await host.next()) as { url: string }
    const cache = join(folder, 'cache')
    const names = await writeCache(cache, { trees, paths, secret })
    const files = start(['-e', STATIC_SERVER, cache, '0'], children)
    const { port } = (await files.next()) as { port: number }
    const trust = ['--option', 'trusted-public-keys', nixPublicKeyOf(secret)]
    const places = { folder, names, env, trust }
    return await compare(options, places, { ours: url, files: `http://127.0.0.1:${port}` })
  } finally {
    for (const child of children) child.kill('SIGKILL')
    removeStore(folder)
  }
}

async function compare(
  options: BenchOptions,
  places: Places,
  urls: { readonly ours: string; readonly files: string },
): Promise<BenchResult> {
  const seconds: { ours: number[]; files: number[] } = { ours: [], files: [] }
  // The first turn fills the page cache and is not counted.
  for (let turn = 0; turn <= options.runs; turn++) {
    for (const side of turn % 2 === 0
      ? (['ours', 'files'] as const)
      : (['files', 'ours'] as const)) {
      const took = await copy(options, places, urls[side])
      if (turn > 0) seconds[side].push(took)
      options.tell(`${side}: ${took.toFixed(2)} s`)
    }
  }
  const ours = percentile(seconds.ours, 0.5)
  const files = percentile(seconds.files, 0.5)
  const ratio = round(ours / files)
  const command = (url: string): string =>
    `nix copy --from ${url} --to local?root=EMPTY --option trusted-public-keys KEY PATHS`
  return {
    kind: 'SubstituterReport',
    top: { ratio },
    figures: { oursSeconds: round(ours), filesSeconds: round(files), mib: options.mib },
    targets: [target('time through the substituter ÷ time from static files', RATIO_MAX, ratio)],
    commands: [command(urls.ours), command(urls.files)],
    notes: [
      'medians; both sides take turns, each in a process of its own, into a new store each time',
    ],
    lines: [
      `substituter   ${ours.toFixed(2)} s for ${options.mib} MiB`,
      `static files  ${files.toFixed(2)} s`,
      `ratio         ${ratio}`,
    ],
    raw: seconds,
  }
}

/** Seconds that one copy into an empty store takes. */
async function copy(options: BenchOptions, places: Places, url: string): Promise<number> {
  const { folder, names, env, trust } = places
  const root = join(folder, 'store')
  const own = { ...env, XDG_CACHE_HOME: join(root, 'home') }
  const command = ['nix', 'copy', '--from', url, '--to', `local?root=${root}`, ...trust, ...names]
  const begun = performance.now()
  await runToEnd(command, own, options.signal)
  const seconds = (performance.now() - begun) / 1000
  const held = readdirSync(join(root, 'nix', 'store')).filter((name) => !name.startsWith('.'))
  if (held.length !== names.length) throw new Error(`expected ${names.length} paths, found ${held}`)
  removeStore(root)
  return seconds
}

/** Store paths are read-only, which root does not mind and others do. */
function removeStore(root: string): void {
  if (process.getuid?.() !== 0) chmodSync(root, 0o755)
  rmSync(root, { recursive: true, force: true })
}

function signed(path: ManifestPath, secret: string): ManifestPath {
  const { narHash, narSize } = path
  const storePath = storePathOf(parseStoreName(path.path))
  const info = { storePath, narHash: fromHex(narHash), narSize, references: [] }
  return { ...path, signatures: [printNixSignature(signPathInfo(info, secret))] }
}

/** A Node process that is spoken to in lines of JSON. */
function start(
  args: readonly string[],
  children: ChildProcess[],
): { say(message: object): void; next(): Promise<object> } {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    say: (message) => void child.stdin.write(`${JSON.stringify(message)}\n`),
    next: async () => {
      const line = await lines.next()
      if (line.done) throw new Error('expected an answer of a process, found that it ended')
      return JSON.parse(line.value) as object
    },
  }
}
