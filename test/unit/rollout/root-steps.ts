/** Steps of worlds on paper whose root changes. */
import {
  blobOf,
  type Command,
  type FactOf,
  type KeyPair,
  keyPair,
  type Root,
  readRoot,
  rootHashOf,
  sha256,
  signRoot,
  utf8,
} from '../../../protocol/index.ts'
import type { World } from './world.ts'

/** The key that a person, a pipeline or an admin of that name has in every world. */
export function personKey(name: string): KeyPair {
  return keyPair(sha256(utf8(`paper/${name}`)))
}

/** The root after the one in force, with some of it exchanged. */
export function nextRoot(world: World, change: Partial<Root> = {}): Root {
  const { root } = world.trust
  return { ...root, version: root.version + 1, previous: rootHashOf(root), ...change }
}

/** Signs a root and announces it; everybody holds it, unless `held` is false. */
export function announceRoot(
  world: World,
  root: Root,
  options: { keys?: readonly KeyPair[]; by?: string; held?: boolean } = {},
): { fact: FactOf<'fleet.root'>; command: Command } {
  const { keys = [personKey('admin')], by = 'admin', held = true } = options
  const { bytes } = signRoot(root, keys, world.trust.fleet)
  const blob = blobOf(bytes)
  if (held) world.roots.set(blob.hash, readRoot(bytes))
  const body = { version: root.version, root: blob.hash, rootBytes: bytes.length, why: 'a test' }
  return { fact: world.say(by, 'fleet.root', body), command: { kind: 'root', root: blob.hash } }
}
