/**
 * How a daemon spares its host's memory: V8 flags, set before anything large is loaded.
 *
 * Without them V8 lets the young generation grow to 32 MB and the old one to twice of what lives
 * there, because it cannot know that this process lives for months and does next to nothing.
 * `nixfleet node run` sets them itself, so that it does not matter who starts it.
 */
import { setFlagsFromString } from 'node:v8'

/** In the order in which they are set. A V8 that does not know one ignores it. */
const FLAGS = [
  // The old generation grows by little at a time, and is collected sooner.
  '--optimize-for-size',
  // The young generation stays as it starts, 1 MB: more frequent collections, each below 1 ms.
  '--semi-space-growth-factor=1',
  // No second, unoptimised machine code beside the bytecode: what runs often is optimised all the same.
  '--no-sparkplug',
] as const

/** Makes this process small for its whole life. Call it before the first import of `node/`. */
export function spareMemory(): void {
  for (const flag of FLAGS) setFlagsFromString(flag)
}
