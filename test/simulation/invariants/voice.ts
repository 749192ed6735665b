/** S12, the single voice of an author: in its feed, and in each view of the gate log. */
import {
  type Block,
  type FleetId,
  fromHex,
  type HostName,
  type KeyId,
  type Vote,
} from '../../../protocol/index.ts'

const DOMAIN = Buffer.from('nixfleet/v1/')
/** What a voter signs of a checkpoint is C2SP's, with a key of its own. */
const COSIGNATURE = Buffer.from('cosignature/v1\n')

/** S12 in a feed: an honest author fills no place twice. */
export function s12Feed(
  forks: readonly { readonly place: string; readonly author: KeyId }[],
  honest: (author: KeyId) => HostName | undefined,
): readonly string[] {
  return forks.flatMap(({ place, author }) => {
    const name = honest(author)
    return name === undefined
      ? []
      : [`${name} signed two facts for place ${place.slice(-16)} of one feed`]
  })
}

/** S12 in one view: one block, one notarize, one final, and never a final beside a skip (R2–R4). */
export function s12View(
  name: HostName,
  view: number,
  said: { readonly votes: readonly Vote[]; readonly blocks: readonly Block[] },
): readonly string[] {
  const { votes, blocks } = said
  const broken: string[] = []
  const of = (kind: Vote['kind']): readonly Vote[] => votes.filter((vote) => vote.kind === kind)
  if (blocks.length > 1) broken.push('two blocks')
  if (of('notarize').length > 1) broken.push('two votes to notarize')
  if (of('final').length > 1) broken.push('two final votes')
  if (of('final').length > 0 && of('skip').length > 0) broken.push('a final vote and one to skip')
  return broken.map((what) => `${name} signed ${what} in view ${view}`)
}

/** S12 across crashes: what a voter says is on its disk, where no crash can take it, before it is said. */
export function s12Journaled(host: HostName, what: string, isSafe: boolean): readonly string[] {
  return isSafe ? [] : [`${host} says ${what} before its disk holds it for good`]
}

/**
 * S12 across types and fleets: what a signature covers begins with the fleet and the very type that its
 * payload names, so that it speaks for nothing else.
 */
export function s12Domain(host: HostName, message: Uint8Array, fleet: FleetId): readonly string[] {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length)
  if (bytes.subarray(0, COSIGNATURE.length).equals(COSIGNATURE)) return []
  const end = bytes.indexOf(0)
  const type = bytes.subarray(DOMAIN.length, end)
  const named = Buffer.concat([Buffer.of(0x61, 0x74, 0x60 + type.length), type])
  const fits =
    bytes.subarray(0, DOMAIN.length).equals(DOMAIN) &&
    bytes.subarray(end + 1, end + 17).equals(fromHex(fleet)) &&
    bytes.subarray(end + 17).includes(named)
  if (fits) return []
  const found = bytes.subarray(0, Math.max(end, 0)).toString('latin1').slice(0, 40)
  return [`${host} signs a payload of another domain than "${found}" of its fleet`]
}
