/** `nixfleet replay`: every decision again, from a node's disk or a pull, with no node's help. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readDocuments } from '../audit/documents.ts'
import { gatesIn, isPull } from '../audit/layout.ts'
import { firstTrust, sourceOfPull } from '../audit/replay-pull.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK, EXIT_UNVERIFIED } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { plural, safeText, shortId } from '../words.ts'

type Replay = import('../../node/index.ts').Replay

/** Findings that are shown; beyond it only their number grows. */
const FINDINGS_SHOWN_MAX = 1000

export async function run(context: Context, { options }: CommandInput): Promise<number> {
  const [data, pull] = [textOption(options, 'data'), textOption(options, 'pull')]
  const rootHash = hashOption(options, 'root-hash')
  if (rootHash === undefined)
    throw usage('expected --root-hash, the hash that your hosts pin', 'rootHash in node.json')
  const expected = hashOption(options, 'expect')
  if ((data === undefined) === (pull === undefined))
    throw usage('expected either --data with a data folder or --pull with a pull')
  const replay =
    data === undefined
      ? await ofPull(resolve(context.cwd, pull ?? ''), rootHash)
      : await ofData(context, { data, trust: textOption(options, 'trust'), rootHash })
  const agrees = expected === undefined || expected === replay.digest
  show(context, replay, expected)
  return agrees && replay.findings.length === 0 ? EXIT_OK : EXIT_UNVERIFIED
}

function hashOption(options: CommandInput['options'], name: string): string | undefined {
  const given = textOption(options, name)
  if (given === undefined || /^[0-9a-f]{64}$/.test(given)) return given
  throw usage(`expected 64 hex digits for --${name}, found ${safeText(given.slice(0, 80))}`)
}

async function ofData(
  { cwd }: Context,
  given: { readonly data: string; readonly trust: string | undefined; readonly rootHash: string },
): Promise<Replay> {
  const data = resolve(cwd, given.data)
  if (given.trust === undefined)
    throw usage('expected --trust, the folder with root.cbor and group.cbor', 'trust in node.json')
  if (!existsSync(join(data, 'db')))
    throw new CliError('NF-1005', `${data} is no data folder of a node: it has no store`, {
      why: [],
      fix: ['give the folder that `data` names in the node’s configuration'],
    })
  const { readTrustFiles, replayData } = await import('../../node/index.ts')
  const { trust } = await readTrustFiles(resolve(cwd, given.trust), given.rootHash)
  return await replayData(data, trust)
}

async function ofPull(pull: string, rootHash: string): Promise<Replay> {
  if (!isPull(pull))
    throw new CliError('NF-1005', `${pull} is no pull: it has no documents`, {
      why: [],
      fix: ['make one: nixfleet audit pull -o DIR'],
    })
  const known = readDocuments(pull, rootHash, ({ where, text }) => {
    throw new CliError('NF-1015', `${where}: ${text}`)
  })
  const [group = ''] = gatesIn(pull)
  const trust = known && firstTrust(known, group)
  if (known === undefined || trust === undefined)
    throw new CliError('NF-1015', `${pull} has no first configuration of group ${group}`)
  const { replay } = await import('../../node/index.ts')
  return await replay(sourceOfPull(pull, group, known.fleet), trust)
}

function show({ out }: Context, replay: Replay, expected: string | undefined): void {
  const { digest, stored, facts, blocks, epochs, rollouts, missing, findings } = replay
  const equal = expected === undefined ? null : expected === digest
  if (!out.human) {
    const counts = { stored, facts: facts.length, blocks, epochs }
    const bad = { count: findings.length, findings: findings.slice(0, FINDINGS_SHOWN_MAX) }
    const body = { digest, expected: expected ?? null, equal, ...counts, rollouts, missing, ...bad }
    out.document(cliDocument('Replay', body))
    return
  }
  for (const { code, where, text } of findings.slice(0, FINDINGS_SHOWN_MAX)) {
    out.line(`${out.paint.red(code)} ${safeText(where)}`)
    out.line(`  ${safeText(text)}`)
  }
  if (findings.length > FINDINGS_SHOWN_MAX)
    out.line(`… and ${findings.length - FINDINGS_SHOWN_MAX} more`)
  for (const { id, outcome } of rollouts) out.line(`rollout ${shortId(id)} ${outcome}`)
  const counts = `${plural(facts.length, 'fact')} of ${stored} verify, ${plural(blocks, 'block')}, ${plural(epochs, 'epoch')}, ${plural(rollouts.length, 'rollout')}`
  out.line(counts)
  out.line(`digest ${digest}`)
  if (missing.length > 0)
    out.note(
      `${missing.length} of the plans, manifests and configurations that facts name are not here: a node that holds them has another digest; pull again`,
    )
  if (equal === false)
    out.line(
      `${out.paint.red('not equal')}: expected ${expected}; both may be right if one knows more: replay again when the fleet is at rest`,
    )
  if (equal === true) out.line('equal to the digest that was expected')
}
