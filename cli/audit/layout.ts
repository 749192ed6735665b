/** Where things lie in a pull (SPEC §15.8). */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { bundlePath } from '../../protocol/index.ts'

/** One log of a pull: a feed or a group's gate log. */
export interface LogPlace {
  readonly folder: string
  readonly name: string
}

/** A feed's place. */
export interface FeedPlace extends LogPlace {
  readonly author: string
  readonly session: string
}

/** Names of files in a folder, sorted; none where there is no folder. */
export function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).sort()
  } catch {
    return []
  }
}

/** The feeds of a pull, by author and session. */
export function feedsIn(pull: string): readonly FeedPlace[] {
  const authors = namesIn(join(pull, 'feeds')).filter((name) => /^[0-9a-f]{64}$/.test(name))
  return authors.flatMap((author) =>
    namesIn(join(pull, 'feeds', author))
      .filter((name) => /^[0-9a-f]{32}$/.test(name))
      .map((session) => feedAt(pull, author, session)),
  )
}

/** The place of one feed. */
export function feedAt(pull: string, author: string, session: string): FeedPlace {
  const name = `feeds/${author}/${session}`
  return { folder: join(pull, name), name, author, session }
}

/** The groups with a gate log in a pull. */
export function gatesIn(pull: string): readonly string[] {
  return namesIn(join(pull, 'gate'))
}

/** The place of a group's gate log. */
export function gateAt(pull: string, group: string): LogPlace {
  return { folder: join(pull, 'gate', group), name: `gate/${group}` }
}

/** Where the empty blocks lie that lead from the end of an epoch to the one that was certified. */
export function tailAt(pull: string, group: string, epoch: number): string {
  return join(gateAt(pull, group).folder, 'tails', String(epoch))
}

/** Where a body lies that facts name by its hash: a plan, a manifest, a configuration, a proof. */
export function bodyAt(pull: string, hash: string): string {
  return join(pull, 'bodies', hash)
}

/** What lies beside a bundle, under the bundle's own name. */
export function besideBundle(
  room: 'signatures' | 'certificates',
  at: Parameters<typeof bundlePath>[0],
): string {
  return bundlePath(at).replace('tile/entries', room)
}

/** Whether a folder holds a pull. */
export function isPull(folder: string): boolean {
  return namesIn(join(folder, 'documents')).length > 0
}
