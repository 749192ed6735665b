/**
 * Makes a clone ready and runs it: the one script that works before `npm install`.
 *
 *   node cli/launch.mjs setup         install the dependencies when they are missing or outdated
 *   node cli/launch.mjs bundle        the same, then build dist/ when the sources changed
 *   node cli/launch.mjs run <args…>   the same, then run nixfleet with these arguments
 *
 * Plain JavaScript and no dependency, so that any Node can parse it and say what is missing.
 * Everything it prints goes to stderr: stdout belongs to the program that it runs.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const stampFile = join(modules, '.nixfleet-stamp')
const lockFile = join(modules, '.nixfleet-installing')
const INSTALL_WAIT_MS_MAX = 10 * 60_000

await main(process.argv.slice(2))

async function main([target, ...args]) {
  requireNode(20, 19)
  switch (target) {
    case 'setup':
      return setup()
    case 'bundle':
      setup()
      return void (await bundle())
    case 'run':
      setup()
      return run(await bundle(), args)
    default:
      fail(`expected setup, bundle or run, found ${target ?? 'nothing'}`)
  }
}

function requireNode(major, minor) {
  const [foundMajor, foundMinor] = process.versions.node.split('.').map(Number)
  if (foundMajor > major || (foundMajor === major && foundMinor >= minor)) return
  fail(`nixfleet needs Node ${major}.${minor} or newer; this is Node ${process.versions.node}.`)
}

/** Installs when the lock file is not the one that was installed last; two at once take turns. */
function setup() {
  if (installed()) return
  mkdirSync(modules, { recursive: true })
  takeTurn()
  try {
    if (installed()) return
    say('Installing dependencies (once)…')
    npmInstall()
    writeFileSync(stampFile, lockHash())
  } finally {
    rmSync(lockFile, { force: true })
  }
}

function installed() {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8') === lockHash()
}

function lockHash() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
}

/** Waits until no living process holds the lock file, then holds it. */
function takeTurn() {
  const deadline = Date.now() + INSTALL_WAIT_MS_MAX
  for (;;) {
    try {
      writeFileSync(lockFile, String(process.pid), { flag: 'wx' })
      return
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    if (!holderLives()) rmSync(lockFile, { force: true })
    else if (Date.now() > deadline) fail(`another installation has held ${lockFile} for too long`)
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
  }
}

function holderLives() {
  try {
    const pid = Number(readFileSync(lockFile, 'utf8'))
    // An empty file is a holder between creating and writing it.
    return pid === 0 || process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function npmInstall() {
  const args = ['install', '--include=dev', '--no-audit', '--no-fund']
  const npm = process.env['npm_execpath']
  const command = npm ? [process.execPath, npm, ...args] : ['npm', ...args]
  const result = spawnSync(command[0], command.slice(1), { cwd: root, stdio: ['ignore', 2, 2] })
  if (result.error) fail(`npm could not be started: ${result.error.message}`)
  if (result.status !== 0) fail('npm install failed; its own message is above.')
}

/** Imported only now, because it needs esbuild, which `setup` brings. */
async function bundle() {
  const { bundle: build } = await import('./bundle.mjs')
  return build({ log: say })
}

/** Runs the program inside this process: no second start-up, and signals reach it unforwarded. */
async function run(program, args) {
  process.argv.splice(1, process.argv.length, program, ...args)
  await import(pathToFileURL(program).href)
}

function say(line) {
  process.stderr.write(`${line}\n`)
}

function fail(line) {
  say(line)
  process.exit(1)
}
