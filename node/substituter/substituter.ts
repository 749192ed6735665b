/**
 * A node as a Nix binary cache: what it says of a path, and the NAR behind it, from the first that has
 * it: this host's own store, its peers, upstream caches.
 *
 * It vouches for nothing. A path of a release goes out with the signatures that the signed manifest
 * repeats from the cache where it was built, one of an upstream with that cache's own. Nix judges them.
 */
import {
  type Hash,
  type ManifestPath,
  NARINFO_SIGNATURES_MAX,
  type Narinfo,
  ProtocolError,
  parseNixSignature,
  printNarinfo,
  printNixSignature,
  sha256,
  toHex,
  utf8,
} from '../../protocol/index.ts'
import type { Clock, Logger } from '../ports.ts'
import type { Environment } from '../system/program.ts'
import { narinfoOf } from '../system/release-narinfo.ts'
import type { KnownPath, KnownPaths } from './known-paths.ts'
import { CACHE_PRIORITY, FETCHES_MAX, UPSTREAM_REST_MS } from './limits.ts'
import { NixUpstream } from './nix-upstream.ts'
import type { PeerHoldings } from './peer-holdings.ts'
import {
  type FileReply,
  type FileRequest,
  openUpstream,
  PasswordWanted,
  rangedReply,
  type Upstream,
} from './upstream.ts'

export interface SubstituterParts {
  readonly clock: Clock
  readonly log: Logger
  readonly known: KnownPaths
  readonly holdings: Pick<PeerHoldings, 'has'>
  /** Upstream caches of the configuration, as Nix store URLs, the best first. */
  readonly caches: readonly string[]
  /** How Nix is run for upstreams that it alone can read. */
  readonly env: Environment
  /** Whether this host holds the NAR whole. */
  held(path: ManifestPath): Promise<boolean>
  /** The bytes of such a NAR from `from` on; a chunk is good until the next is asked for. */
  own(hash: Hash, from: number): Promise<AsyncIterable<Uint8Array> | undefined>
  /** All bytes of a NAR out of its peers; ends what is under way when its reader leaves. */
  fetch(path: ManifestPath): AsyncIterable<Uint8Array>
}

/** What a cache says of itself. Every release's paths lie in the one store that Nix has. */
export const CACHE_INFO: string = `StoreDir: /nix/store\nWantMassQuery: 1\nPriority: ${CACHE_PRIORITY}\n`

const NOT_FOUND: FileReply = { status: 404, headers: {} }
const BUSY: FileReply = { status: 503, headers: { 'retry-after': '5' } }

export class Substituter {
  readonly #parts: SubstituterParts
  readonly #upstreams = new Map<string, Upstream | undefined>()
  /** Upstreams that failed, and until when they are left alone. */
  readonly #resting = new Map<string, number>()
  readonly #wantPassword = new Set<string>()
  #fetches = 0

  constructor(parts: SubstituterParts) {
    this.#parts = parts
  }

  /** The narinfo of the path with this store hash, or undefined when nobody has it. */
  async narinfo(storeHash: string): Promise<string | undefined> {
    const { known, holdings } = this.#parts
    const named = known.named(storeHash)
    for (const { path } of named)
      if (await this.#parts.held(path)) return printNarinfo(narinfoOf(path))
    for (const { path } of named) if (await holdings.has(path)) return printNarinfo(narinfoOf(path))
    for (const one of named) {
      const found = await this.#passedFor(one, storeHash)
      if (found !== undefined) return printNarinfo(found)
    }
    if (named.length > 0) return undefined
    for (const url of this.#parts.caches) {
      const info = await this.#infoAt(url, storeHash)
      if (info !== undefined) return printNarinfo(passedOn(url, info))
    }
    return undefined
  }

  /** The uncompressed NAR of a release's path. */
  async nar(hash: Hash, request: FileRequest): Promise<FileReply> {
    const known = this.#parts.known.ofNar(hash)
    if (known === undefined) return NOT_FOUND
    const { path } = known
    const reply = (read: (from: number, to: number) => AsyncIterable<Uint8Array>): FileReply =>
      rangedReply({ size: path.narSize, range: request.range, read })
    if (await this.#parts.held(path)) return reply((from, to) => this.#own(path, from, to))
    const source = (await this.#parts.holdings.has(path))
      ? () => this.#parts.fetch(path)
      : await this.#throughNix(path, [...new Set([...this.#parts.caches, ...known.caches])])
    if (source === undefined) return NOT_FOUND
    if (this.#fetches >= FETCHES_MAX) return BUSY
    return reply((from, to) => this.#counted(cut(source(), from, to)))
  }

  /** A file of the upstream with this id, as it is. */
  async passed(id: string, name: string, request: FileRequest): Promise<FileReply> {
    const url = this.#cachesOfAll().find((one) => idOf(one) === id)
    const upstream = url === undefined ? undefined : this.#upstreamOf(url)
    if (upstream === undefined) return NOT_FOUND
    return await upstream.file(name, request)
  }

  /** The caches of the configuration, and those that some release names and this node has asked. */
  #cachesOfAll(): readonly string[] {
    return [...new Set([...this.#parts.caches, ...this.#parts.known.caches()])]
  }

  /** An upstream's own file of a release's path: only if it holds the very contents that are signed. */
  async #passedFor({ path, caches }: KnownPath, storeHash: string): Promise<Narinfo | undefined> {
    const own = narinfoOf(path)
    const all = [...new Set([...this.#parts.caches, ...caches])]
    for (const url of all) {
      const info = await this.#infoAt(url, storeHash)
      if (info === undefined) continue
      if (isSameInfo(info, own)) return joined(passedOn(url, info), own)
      const fields = { path: path.path, cache: url }
      this.#parts.log.warn(fields, 'a cache has other contents for a path than the release')
    }
    const closed = all.filter((url) => this.#readerOf(url) === undefined)
    return (await this.#throughNix(path, closed)) === undefined ? undefined : own
  }

  /** A NAR by way of Nix, out of the first of `caches` that has it. */
  async #throughNix(path: ManifestPath, caches: readonly string[]): Promise<NarSource | undefined> {
    if (!path.path.startsWith('/')) return undefined
    for (const url of caches) {
      const nix = new NixUpstream(url, this.#parts.env)
      if (await this.#asked(url, () => nix.has(path))) return () => nix.nar(path)
    }
    return undefined
  }

  /** What an upstream says, if this node can read it itself. */
  async #infoAt(url: string, storeHash: string): Promise<Narinfo | undefined> {
    const upstream = this.#readerOf(url)
    return upstream && (await this.#asked(url, () => upstream.info(storeHash)))
  }

  /** The answer of an upstream; undefined when it fails, and while it rests from that. */
  async #asked<T>(url: string, ask: () => Promise<T | undefined>): Promise<T | undefined> {
    const { clock, log } = this.#parts
    if ((this.#resting.get(url) ?? 0) > clock.bootMs()) return undefined
    try {
      return await ask()
    } catch (error) {
      if (error instanceof PasswordWanted) this.#wantPassword.add(url)
      // One narinfo that is none says nothing of the others.
      else if (!(error instanceof ProtocolError))
        this.#resting.set(url, clock.bootMs() + UPSTREAM_REST_MS)
      log.warn({ cache: url, error: textOf(error) }, 'an upstream cache could not be asked')
      return undefined
    }
  }

  /** A reader of the cache's files; undefined where Nix alone can get at them. */
  #readerOf(url: string): Upstream | undefined {
    return this.#wantPassword.has(url) ? undefined : this.#upstreamOf(url)
  }

  #upstreamOf(url: string): Upstream | undefined {
    if (!this.#upstreams.has(url)) this.#upstreams.set(url, openUpstream(url))
    return this.#upstreams.get(url)
  }

  async *#own(path: ManifestPath, from: number, to: number): AsyncGenerator<Uint8Array> {
    const chunks = await this.#parts.own(path.narHash, from)
    if (chunks === undefined) throw new Error(`${path.path} is not held any more`)
    yield* cut(chunks, 0, to - from)
  }

  async *#counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.#fetches++
    try {
      yield* chunks
    } finally {
      this.#fetches--
    }
  }
}

type NarSource = () => AsyncIterable<Uint8Array>

function passedOn(url: string, info: Narinfo): Narinfo {
  return { ...info, url: `upstream/${idOf(url)}/${info.url}` }
}

/** Short, and the same after a restart: Nix remembers narinfos for weeks. */
function idOf(url: string): string {
  return toHex(sha256(utf8(url))).slice(0, 16)
}

/** Whether both mean the same to whoever signs. */
export function isSameInfo(a: Narinfo, b: Narinfo): boolean {
  return (
    a.storePath === b.storePath &&
    toHex(a.narHash) === toHex(b.narHash) &&
    a.narSize === b.narSize &&
    [...a.references].sort().join(' ') === [...b.references].sort().join(' ')
  )
}

function joined(info: Narinfo, own: Narinfo): Narinfo {
  const all = [...own.signatures, ...info.signatures]
  const texts = [...new Set(all.map(printNixSignature))].slice(0, NARINFO_SIGNATURES_MAX)
  return { ...info, signatures: texts.map(parseNixSignature) }
}

/** Bytes `from` to `to` of `chunks`; empty chunks, which only say that more will come, pass. */
async function* cut(
  chunks: AsyncIterable<Uint8Array>,
  from: number,
  to: number,
): AsyncGenerator<Uint8Array> {
  let at = 0
  for await (const chunk of chunks) {
    const start = Math.max(0, from - at)
    const part = chunk.subarray(start, Math.max(start, to - at))
    at += chunk.length
    if (part.length > 0 || chunk.length === 0) yield part
    if (at >= to) return
  }
}

function textOf(error: unknown): string {
  const cause =
    error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error instanceof Error ? error.message : String(error)}${cause}`
}
