/**
 * Builds dist/: `nixfleet.cjs` is the program, which starts `light`, the light commands in one file;
 * all else is a module, `main`, and one chunk for each lazily imported part. A bundle starts four times
 * faster than the loose modules, and light commands never read the chunk that holds libp2p.
 *
 * Trap: `await import('level')` yields a module without `Level` in a split bundle, because names of
 * CommonJS modules are lost there. Lazily import *our* file, which imports `level` statically.
 *
 * `classic-level` stays outside for its native part; from dist/ it is found in ../node_modules.
 *
 * Safe while nixfleet runs and while another build runs: modules carry their content's hash in their
 * names and are never overwritten, and nixfleet.cjs, which also carries the hash of the sources, is
 * renamed into place last.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, extname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const dist = join(root, 'dist')
const entry = 'cli/main.ts'
const light = 'cli/light.ts'
const start = 'cli/start.ts'
const sourceFolders = ['protocol', 'rollout', 'compliance', 'node', 'cli']
const notSource = new Set(['.md', '.txt'])
const checkers = ['VERIFY.md', 'verify.sh', 'verify-bytes.sh', 'verify.mjs', 'verify-bytes.mjs']

/** A running process may still import chunks of the build before this one. */
const OLD_CHUNK_KEPT_MS = 24 * 60 * 60_000

const banner =
  "import { createRequire as nodeCreateRequire } from 'node:module';" +
  'const require = nodeCreateRequire(import.meta.url);'

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await bundle({ log: (line) => process.stderr.write(`${line}\n`) })
}

/**
 * Builds dist/ unless it was built from these very sources, and returns the path of nixfleet.cjs.
 *
 * @param {{ log: (line: string) => void }} options
 * @returns {Promise<string>}
 */
export async function bundle({ log }) {
  const program = join(dist, 'nixfleet.cjs')
  const stamp = `// sources ${hashSources()}\n`
  if ((await firstBytes(program, stamp.length)) === stamp) return program

  const startedAt = Date.now()
  const files = [...(await compile()), ...besideBundle()]
  mkdirSync(dist, { recursive: true })
  for (const file of files.filter((file) => file.path !== program)) {
    if (file.beside || !existsSync(file.path)) await replace(file.path, file.text)
  }
  const main = files.find((file) => file.path === program)
  if (!main) throw new Error(`expected ${relative(root, program)} in the bundle, found none`)
  await replace(program, stamp + main.text)
  // Its compiled code is kept by the first run, which may belong to somebody who may not write here.
  spawnSync(process.execPath, [program, 'status', '--peer', 'unix:/nobody'], { stdio: 'ignore' })
  await dropOldChunks(new Set(files.map((file) => file.path)))
  log(`Bundled ${files.length} files in ${((Date.now() - startedAt) / 1000).toFixed(1)} s.`)
  return program
}

async function compile() {
  const esbuild = await import('esbuild')
  const shared = {
    absWorkingDir: root,
    outdir: dist,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node20',
    metafile: true,
    write: false,
    logLevel: 'warning',
  }
  const modules = await esbuild.build({
    ...shared,
    entryPoints: { main: entry },
    outExtension: { '.js': '.mjs' },
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    splitting: true,
    format: 'esm',
    external: ['classic-level'],
    banner: { js: banner },
  })
  const plugins = [handOver(nameOf(entry, modules.metafile))]
  const script = { ...shared, outExtension: { '.js': '.cjs' }, format: 'cjs' }
  const lights = await esbuild.build({
    ...script,
    entryPoints: { light },
    entryNames: '[name]-[hash]',
    plugins,
  })
  const program = await esbuild.build({
    ...script,
    entryPoints: { nixfleet: start },
    plugins,
    define: { LIGHT_PROGRAM: JSON.stringify(nameOf(light, lights.metafile)) },
  })
  await esbuild.stop()
  return [...modules.outputFiles, ...lights.outputFiles, ...program.outputFiles]
}

/** The name that a build gave to an entry point. */
function nameOf(source, { outputs }) {
  const found = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === source)
  if (!found) throw new Error(`expected ${source} in the bundle, found none`)
  return relative(dist, join(root, found[0]))
}

/** Whatever of ours a script would load late is in the modules. */
function handOver(main) {
  return {
    name: 'hand over',
    setup: ({ onResolve }) =>
      onResolve({ filter: /^\./ }, ({ kind }) =>
        kind === 'dynamic-import' ? { path: `./${main}`, external: true } : undefined,
      ),
  }
}

/** Files that the program reads as they are: the checkers that it puts into every pull. */
function besideBundle() {
  return checkers.map((name) => ({
    path: join(dist, name),
    text: readFileSync(join(root, 'cli/audit', name), 'utf8'),
    beside: true,
  }))
}

/** Everything that the bundle is made from, this script included. */
function hashSources() {
  const hash = createHash('sha256')
  for (const path of [
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'cli/audit/VERIFY.md',
    ...sourcePaths(),
  ]) {
    const bytes = readFileSync(join(root, path))
    hash.update(`${path}\0${bytes.length}\0`).update(bytes)
  }
  return hash.digest('hex')
}

function sourcePaths() {
  return sourceFolders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
        .filter((item) => item.isFile() && !notSource.has(extname(item.name)))
        .map((item) => relative(root, join(item.parentPath ?? item.path, item.name))),
    )
    .sort()
}

async function firstBytes(path, length) {
  const file = await open(path).catch(() => undefined)
  if (!file) return ''
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

async function replace(path, text) {
  const fresh = `${path}.${process.pid}`
  await writeFile(fresh, text)
  await rename(fresh, path)
}

async function dropOldChunks(current) {
  for (const name of await readdir(dist)) {
    const path = join(dist, name)
    if (current.has(path)) continue
    const age = await stat(path).then(
      (found) => Date.now() - found.mtimeMs,
      () => 0,
    )
    if (age > OLD_CHUNK_KEPT_MS) await rm(path, { force: true, recursive: true })
  }
}
