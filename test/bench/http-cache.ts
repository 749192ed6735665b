/** The other side of a comparison: a signed http cache of files, from one plain process, and `nix copy`. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { narOfDisk } from '../../node/system/nar-disk.ts'
import {
  fromHex,
  type ManifestPath,
  parseStoreName,
  parseStorePath,
  printNarinfo,
  signPathInfo,
  storeHashOf,
  storeNameOf,
} from '../../protocol/index.ts'

const PATHS = 8
const MIB = 1024 * 1024

/** Trees of random bytes, which nothing compresses: a few large store paths. */
export function plantTrees(folder: string, mib: number): readonly string[] {
  return Array.from({ length: PATHS }, (_, i) => {
    const tree = join(folder, `tree-${i}`)
    mkdirSync(join(tree, 'bin'), { recursive: true })
    writeFileSync(join(tree, 'bin', 'program'), randomBytes(Math.floor((mib * MIB) / PATHS)))
    return tree
  })
}

/** A binary cache of the very same NARs, signed; gives the store paths. */
export async function writeCache(
  cache: string,
  from: { trees: readonly string[]; paths: readonly ManifestPath[]; secret: string },
): Promise<readonly string[]> {
  mkdirSync(join(cache, 'nar'), { recursive: true })
  writeFileSync(join(cache, 'nix-cache-info'), 'StoreDir: /nix/store\n')
  const names: string[] = []
  for (const [i, { path, narHash, narSize }] of from.paths.entries()) {
    const storePath = parseStorePath(`/nix/store/${parseStoreName(path)}`)
    const info = { storePath, narHash: fromHex(narHash), narSize, references: [] }
    const url = `nar/${narHash}.nar`
    const chunks: Uint8Array[] = []
    for await (const chunk of narOfDisk(from.trees[i] ?? '', path)) chunks.push(chunk)
    writeFileSync(join(cache, url), Buffer.concat(chunks))
    const text = printNarinfo({
      ...{ ...info, url, compression: 'none', fileHash: info.narHash, fileSize: narSize },
      signatures: [signPathInfo(info, from.secret)],
    })
    writeFileSync(join(cache, `${storeHashOf(storeNameOf(storePath))}.narinfo`), text)
    names.push(storePath)
  }
  return names
}

/** An environment in which Nix touches nothing of this machine and takes signed paths alone. */
export function nixEnvironment(folder: string): Record<string, string> {
  const conf = join(folder, 'conf')
  mkdirSync(conf)
  const settings = ['sandbox = false', 'build-users-group =', 'substituters =']
  settings.push('experimental-features = nix-command', 'require-sigs = true')
  writeFileSync(join(conf, 'nix.conf'), `${settings.join('\n')}\n`)
  return {
    PATH: process.env['PATH'] ?? '',
    LC_ALL: 'C.UTF-8',
    HOME: join(folder, 'home'),
    NIX_CONF_DIR: conf,
    NIX_STATE_DIR: join(folder, 'state'),
  }
}

/** As plain as a cache can be: files, from one process. */
export const STATIC_SERVER: string = `
const { createReadStream, statSync } = require('node:fs')
const [folder, port] = process.argv.slice(1)
const server = require('node:http').createServer((request, response) => {
  const path = folder + new URL(request.url, 'http://x').pathname
  try {
    response.setHeader('content-length', statSync(path).size)
    createReadStream(path).pipe(response)
  } catch {
    response.statusCode = 404
    response.end()
  }
})
server.listen(Number(port), () => console.log(JSON.stringify({ port: server.address().port })))
`

/** Runs a program to its end. Rejects with the end of what it said when it fails. */
export function runToEnd(
  command: readonly string[],
  env: Record<string, string>,
  signal: AbortSignal,
): Promise<void> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { env, signal, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`${command.join(' ')} ended with ${code}: ${said}`)),
    )
  })
}
