/** The signed roots after the first, out of what a node holds. */
import type { Runtime } from './runtime.ts'

/** The documents of the roots that came into force after the first, in their order. */
export function laterRoots(node: Runtime): readonly Uint8Array[] {
  const { state, bodies } = node.knowledge()
  return state.roots.map(({ document, root }) => {
    const held = bodies.root?.(document)
    if (held !== undefined) return held.bytes
    throw new TypeError(`expected the document of root version ${root.version}, which is in force`)
  })
}
