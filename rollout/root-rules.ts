/**
 * Whether a root may come into force (SPEC §7.9): admins of both versions sign it, voters say when.
 *
 * Of two rivals for one version the log takes one, the same at every node; the other is told which.
 */
import {
  type FactId,
  followRoot,
  type Hash,
  ProtocolError,
  type Root,
  type UnsignedRoot,
} from '../protocol/index.ts'
import { type Knowledge, sceneOf } from './derive-orders.ts'
import { no, type Ruling, type Scene, wait, YES } from './scene.ts'
import type { Trust } from './trust.ts'

/** Whether the voters may put the root of this signed document into force. */
export function judgeRoot(scene: Scene, document: Hash): Ruling {
  const named = [...scene.view.roots.values()].some(({ body }) => body.root === document)
  if (!named) return wait('no admin has announced this root')
  const next = scene.bodies.root?.(document)
  if (next === undefined) return wait('the root is not held')
  const refused = refusedAsRoot(scene.trust, next)
  return refused === undefined ? YES : no(refused)
}

/** Signatures are dear: counted once for each pair of roots. */
const counted = new WeakMap<UnsignedRoot, WeakMap<Root, string>>()
const FOLLOWS = ''

/** Why `next` cannot follow the root in force; undefined where it can. */
export function refusedAsRoot(
  trust: Pick<Trust, 'root' | 'fleet'>,
  next: UnsignedRoot,
): string | undefined {
  const byRoot = counted.get(next) ?? new WeakMap<Root, string>()
  counted.set(next, byRoot)
  const why = byRoot.get(trust.root) ?? follow(trust, next)
  byRoot.set(trust.root, why)
  return why === FOLLOWS ? undefined : why
}

function follow({ root, fleet }: Pick<Trust, 'root' | 'fleet'>, next: UnsignedRoot): string {
  try {
    followRoot(next, root, fleet)
    return FOLLOWS
  } catch (error) {
    if (error instanceof ProtocolError) return error.message
    throw error
  }
}

/** What became of an announced root, as far as this node knows. */
export type RootStatus =
  | { readonly state: 'pending'; readonly why: string }
  | { readonly state: 'committed'; readonly version: number; readonly slot: number }
  | { readonly state: 'rejected'; readonly why: string }

/** The state of the root that fact `id` announces; undefined when the fact is not known or has no authority. */
export function rootStatus(knowledge: Knowledge, id: FactId): RootStatus | undefined {
  const fact = knowledge.view.roots.get(id)
  if (fact === undefined) return undefined
  const { root: document, version } = fact.body
  const eras = knowledge.state.roots
  const era = eras.find((one) => one.document === document)
  if (era !== undefined) return { state: 'committed', version, slot: era.slot }
  const winner = eras.find((one) => one.root.version === version)
  if (winner !== undefined) {
    const why = `version ${version} came into force at slot ${winner.slot} with ${winner.document.slice(0, 12)}`
    return { state: 'rejected', why }
  }
  const ruling = judgeRoot(sceneOf(knowledge), document)
  if (ruling.kind === 'no') return { state: 'rejected', why: ruling.why }
  const why = ruling.kind === 'wait' ? ruling.why : 'the voters have not decided'
  return { state: 'pending', why }
}
