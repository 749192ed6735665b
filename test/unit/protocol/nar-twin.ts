/** The dumb twin of the NAR reader: the whole NAR in memory, recursive descent, no streaming. */
import type { PlainEntry, PlainTree } from './nar-trees.ts'

/** The tree in `nar`. Throws on anything that is not the NAR of exactly one tree. */
export function parseWholeNar(nar: Uint8Array): PlainTree {
  const bytes = Buffer.from(nar)
  let at = 0

  function raw(): Buffer {
    if (at + 8 > bytes.length) throw new Error('no length')
    const length = Number(bytes.readBigUInt64LE(at))
    const padded = Math.ceil(length / 8) * 8
    if (at + 8 + padded > bytes.length) throw new Error('no bytes')
    const value = bytes.subarray(at + 8, at + 8 + length)
    const rest = bytes.subarray(at + 8 + length, at + 8 + padded)
    if (!rest.equals(Buffer.alloc(rest.length))) throw new Error('padding')
    at += 8 + padded
    return value
  }

  function string(): string {
    const value = raw()
    const text = value.toString('utf8')
    if (!Buffer.from(text).equals(value)) throw new Error('UTF-8')
    return text
  }

  function take(...expected: string[]): void {
    for (const tag of expected) if (string() !== tag) throw new Error(tag)
  }

  function node(depth: number): PlainTree {
    if (depth > 64) throw new Error('depth')
    take('(', 'type')
    const type = string()
    if (type === 'regular') return regular()
    if (type === 'symlink') return symlink()
    if (type === 'directory') return directory(depth)
    throw new Error('type')
  }

  function regular(): PlainTree {
    const first = string()
    const executable = first === 'executable'
    if (executable) take('', 'contents')
    else if (first !== 'contents') throw new Error('contents')
    const contents = raw().toString('base64')
    take(')')
    return { kind: 'regular', executable, contents }
  }

  function symlink(): PlainTree {
    take('target')
    const target = string()
    if (!/^[^\0]+$/.test(target) || Buffer.byteLength(target) > 4095) throw new Error('target')
    take(')')
    return { kind: 'symlink', target }
  }

  function directory(depth: number): PlainTree {
    const entries: PlainEntry[] = []
    for (let tag = string(); tag !== ')'; tag = string()) {
      if (tag !== 'entry') throw new Error('entry')
      take('(', 'name')
      const name = string()
      if (!/^[^\0/]{1,255}$/.test(name) || Buffer.byteLength(name) > 255) throw new Error('name')
      if (name === '.' || name === '..') throw new Error('dots')
      const last = entries.at(-1)?.name
      if (last !== undefined && Buffer.compare(Buffer.from(last), Buffer.from(name)) >= 0) {
        throw new Error('order')
      }
      take('node')
      entries.push({ name, node: node(depth + 1) })
      take(')')
    }
    return { kind: 'directory', entries }
  }

  take('nix-archive-1')
  const root = node(0)
  if (at !== bytes.length) throw new Error('trailing bytes')
  return root
}
