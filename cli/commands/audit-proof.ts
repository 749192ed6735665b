/** `nixfleet audit proof FACT --in DIR`: one fact's way to a cosigned checkpoint, made and checked. */
import { resolve } from 'node:path'
import { messageOf, readDocuments } from '../audit/documents.ts'
import { isPull } from '../audit/layout.ts'
import { writeWhole } from '../audit/log-files.ts'
import { type Proven, proveFact, verifyProof } from '../audit/proof.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, textOption } from '../registry.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const [given = ''] = input.args
  if (!/^[0-9a-f]{4,64}$/.test(given))
    throw usage(`expected the id of a fact or its first 4 hex digits or more, found ${given}`)
  const pull = resolve(context.cwd, textOption(input.options, 'in') ?? '.')
  if (!isPull(pull))
    throw new CliError('NF-1005', `${pull} is no pull: it has no documents`, {
      fix: ['make one: nixfleet audit pull -o DIR'],
    })
  const rootHash = textOption(input.options, 'root-hash')
  if (rootHash === undefined) throw usage('expected --root-hash, the hash that your hosts pin')
  const trust = readDocuments(pull, rootHash, ({ where, text }) => {
    throw new CliError('NF-1015', `${where}: ${text}`)
  })
  if (trust === undefined) throw new CliError('NF-1015', `${pull} is not of the fleet ${rootHash}`)
  let text: string
  let proven: Proven
  try {
    text = proveFact(pull, trust, given)
    proven = verifyProof(text, trust)
  } catch (error) {
    throw new CliError('NF-1016', `no proof of ${given}`, { why: [messageOf(error)], cause: error })
  }
  const { out } = context
  const file = textOption(input.options, 'out')
  if (file !== undefined) writeWhole(resolve(context.cwd, file), text)
  else if (out.human) out.stdout.write(text)
  if (!out.human) out.document(cliDocument('AuditProof', { ...proven, proof: text }))
  const { factId, author, seq, group, block, size, by } = proven
  out.note(
    `fact ${factId.slice(0, 16)}… is number ${seq} of ${author}, anchored by block ${block} of ${group}; ${by.join(', ')} cosigned ${size} blocks`,
  )
  return EXIT_OK
}
