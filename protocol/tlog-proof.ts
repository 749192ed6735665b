/**
 * A proof that an entry stands in a log, as one text (C2SP tlog-proof, SPEC §15.6): its index, the
 * path to the root, and the cosigned checkpoint with that root.
 */
import { fromBase64, toBase64 } from './base64.ts'
import { ProtocolError } from './errors.ts'
import { PROOF_EXTRA_CHARS_MAX, PROOF_HASHES_MAX } from './limits.ts'

/** What a proof text holds, none of it checked. */
export interface TlogProof {
  /** Whatever the reader needs to make the entry; nobody vouches for it. */
  readonly extra?: Uint8Array | undefined
  readonly index: number
  readonly path: readonly Uint8Array[]
  /** The checkpoint as a signed note. */
  readonly checkpoint: string
}

const FIRST_LINE = 'c2sp.org/tlog-proof@v1'

/** The proof as text. */
export function formatTlogProof({ extra, index, path, checkpoint }: TlogProof): string {
  const lines = [
    FIRST_LINE,
    ...(extra === undefined ? [] : [`extra ${toBase64(extra)}`]),
    `index ${index}`,
    ...path.map(toBase64),
    '',
  ]
  return `${lines.join('\n')}\n${checkpoint}`
}

/** The proof in `source`. Throws BAD_SHAPE. */
export function parseTlogProof(source: string, whose: string): TlogProof {
  const end = source.indexOf('\n\n')
  const [first, ...lines] = source.slice(0, Math.max(0, end)).split('\n')
  const extra = lines[0]?.startsWith('extra ') ? lines.shift()?.slice('extra '.length) : undefined
  const [, digits = ''] = /^index (0|[1-9][0-9]*)$/.exec(lines.shift() ?? '') ?? []
  const index = Number(digits)
  const sizes = lines.length <= PROOF_HASHES_MAX && (extra?.length ?? 0) <= PROOF_EXTRA_CHARS_MAX
  if (first === FIRST_LINE && digits !== '' && Number.isSafeInteger(index) && sizes) {
    const path = lines.map(fromBase64)
    const checkpoint = source.slice(end + 2)
    const opened = extra === undefined ? {} : { extra: fromBase64(extra) }
    if (path.every((hash) => hash.length === 32)) return { ...opened, index, path, checkpoint }
  }
  throw new ProtocolError(
    'BAD_SHAPE',
    'reject',
    `expected a ${FIRST_LINE} from ${whose}, found ${JSON.stringify(source.slice(0, 80))}`,
  )
}
