/**
 * A signed http binary cache: what `nix copy` wrote, served as it lies on the disk, and the ways in
 * which somebody who has the disk, but no key, could change it.
 */
import { createReadStream } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'

/** A cache on loopback. */
export class BinaryCache {
  readonly folder: string
  readonly url: string
  /** Paths of every request so far. */
  readonly requests: readonly string[]
  readonly #server: Server

  private constructor(folder: string, server: Server, requests: readonly string[]) {
    this.folder = folder
    this.requests = requests
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** Serves `folder`. */
  static async serve(folder: string): Promise<BinaryCache> {
    const requests: string[] = []
    const server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://cache')
      requests.push(pathname)
      const file = join(folder, pathname)
      stat(file).then(
        ({ size }) => {
          response.writeHead(200, { 'content-length': size })
          if (request.method === 'HEAD') response.end()
          else createReadStream(file).pipe(response)
        },
        () => response.writeHead(404).end(),
      )
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    return new BinaryCache(folder, server, requests)
  }

  /** Rewrites the narinfo of `path`. Throws when nothing changed: a test that changes nothing proves nothing. */
  async changeInfo(path: string, change: (text: string) => string): Promise<void> {
    const file = this.infoFile(path)
    const before = await readFile(file, 'utf8')
    const after = change(before)
    if (after === before) throw new Error(`expected a change of ${file}, found none`)
    await writeFile(file, after)
  }

  /** One field of the narinfo of `path`. */
  async field(path: string, name: string): Promise<string> {
    const text = await readFile(this.infoFile(path), 'utf8')
    const line = text.split('\n').find((one) => one.startsWith(`${name}: `))
    if (line === undefined) throw new Error(`expected ${name} in the narinfo of ${path}`)
    return line.slice(name.length + 2)
  }

  /** The file with the compressed NAR of `path`. */
  async narFile(path: string): Promise<string> {
    return join(this.folder, await this.field(path, 'URL'))
  }

  close(): Promise<void> {
    this.#server.closeAllConnections()
    return new Promise((closed) => this.#server.close(() => closed()))
  }

  /** The file that says what `path` is. */
  infoFile(path: string): string {
    return join(this.folder, `${basename(path).slice(0, 32)}.narinfo`)
  }
}
