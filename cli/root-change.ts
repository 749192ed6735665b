/**
 * A change of the root (SPEC §4.1, §7.9): what the next version says, who must sign it, and how it comes
 * into force. Admins of both versions sign, on one machine or one after the other; the voters decide.
 */
import { resolve } from 'node:path'
import type { Documents } from '../node/index.ts'
import {
  blobOf,
  type FleetId,
  ProtocolError,
  type Root,
  type RootSigners,
  readRoot,
  rootHashOf,
  rootSigners,
  signRoot,
  type UnsignedRoot,
} from '../protocol/index.ts'
import type { Client } from './client.ts'
import type { Context } from './context.ts'
import { CliError, usage } from './errors.ts'
import { EXIT_OK } from './exit-codes.ts'
import { type KeyFile, readKeyFile } from './key-file.ts'
import { authorOf, publish, uploadOf, type VerifiedFleet, verifyFleet } from './operator.ts'
import { cliDocument } from './output.ts'
import { identityPaths } from './places.ts'
import { type CommandInput, flagOption, listOption, textOption } from './registry.ts'
import { pinnedRoot } from './root-hash.ts'
import { rootDifference } from './root-text.ts'
import { writeNew } from './whole-file.ts'
import { plural } from './words.ts'

/** Between two looks whether the voters have decided. */
const LOOK_MS = 500
/** A commit costs a second or two; half a minute in, somebody should look. */
const TIMEOUT_DEFAULT_MS = 60_000

/** The admin keys that were given. Throws NF-1201, NF-1202, NF-1004. */
export function adminKeys(context: Context, input: CommandInput): readonly KeyFile[] {
  return listOption(input.options, 'admin-key').map((path) =>
    readKeyFile([resolve(context.cwd, path)], 'admin'),
  )
}

/**
 * Carries a change through: shows it with --plan, writes a proposal with --out, else signs, announces
 * and waits until it is in force. Throws NF-1205 when more admins must sign.
 */
export async function changeRoot(
  context: Context,
  input: CommandInput,
  change: (root: Root) => Partial<Root>,
): Promise<number> {
  const keys = adminKeys(context, input)
  const client = await context.connect()
  const fleet = await verifyFleet(client, keys[0]?.rootHash ?? pinnedRoot(context, input))
  const next = nextRoot(fleet.root, change)
  if (flagOption(input.options, 'plan')) return show(context, fleet.root, next, 'planned')
  const stranger = keys.find(
    ({ key }) => ![...fleet.root.admins, ...next.admins].includes(key.publicKey),
  )
  if (stranger !== undefined)
    throw new CliError('NF-1203', `${stranger.path} is no admin key of this fleet`)
  const { bytes } = signRoot(
    next,
    keys.map(({ key }) => key),
    fleet.fleet,
  )
  const out = textOption(input.options, 'out')
  const read = readRoot(bytes)
  if (out !== undefined) {
    writeNew(resolve(context.cwd, out), bytes, 0o644)
    const signers = rootSigners(read, fleet.root, fleet.fleet)
    const missing = missingText(signers)
    if (missing !== undefined) context.out.note(`${missing}: nixfleet root sign ${out}`)
    else context.out.note(`next: nixfleet root publish ${out}`)
    return show(context, fleet.root, next, 'proposed', out)
  }
  return await publishRoot(context, input, { client, fleet, read, keys })
}

/** Announces a root that is signed, and waits until it is in force. Throws NF-1205, NF-1206, NF-2203. */
export async function publishRoot(
  context: Context,
  input: CommandInput,
  given: { client: Client; fleet: VerifiedFleet; read: UnsignedRoot; keys: readonly KeyFile[] },
): Promise<number> {
  const { client, fleet, read, keys } = given
  assertFollowable(read, fleet.root, fleet.fleet)
  const by = announcer(context, keys, fleet.root)
  const blob = blobOf(read.bytes)
  const why =
    textOption(input.options, 'reason') ?? rootDifference(fleet.root, read.value).join('; ')
  const fact = authorOf(context, by, fleet).seal('fleet.root', {
    ...{ version: read.value.version, root: blob.hash, rootBytes: blob.bytes.length },
    why: why.slice(0, 200),
  })
  await publish(client, [fact], [uploadOf(blob)])
  const wait = flagOption(input.options, 'wait')
  if (wait) await untilInForce(context, client, read)
  return show(context, fleet.root, read.value, wait ? 'committed' : 'announced')
}

/** Why the root cannot come into force after `before`, as an error. Throws NF-1205, NF-1206. */
export function assertFollowable(read: UnsignedRoot, before: Root, fleet: FleetId): void {
  const { version } = read.value
  if (version !== before.version + 1 || read.value.previous !== rootHashOf(before)) {
    throw new CliError(
      'NF-1206',
      `expected version ${before.version + 1} on the root in force, found version ${version} on ${read.value.previous?.slice(0, 12) ?? 'none'}`,
    )
  }
  const missing = missingText(rootSigners(read, before, fleet))
  if (missing === undefined) return
  throw new CliError('NF-1205', missing, {
    fix: ['give --admin-key FILE for each of them, or carry the proposal: --out FILE, root sign'],
  })
}

/** Whose signatures a root still needs; undefined when it has them. */
export function missingText(signers: RootSigners): string | undefined {
  const { before, beforeNeeded, after, afterNeeded } = signers
  const parts = [
    before < beforeNeeded ? `${before} of ${beforeNeeded} admins in force have signed` : '',
    after < afterNeeded ? `${after} of ${afterNeeded} admins of the new version have signed` : '',
  ].filter((part) => part !== '')
  return parts.length === 0 ? undefined : parts.join(', ')
}

function nextRoot(root: Root, change: (root: Root) => Partial<Root>): Root {
  const next = { ...root, ...change(root), version: root.version + 1, previous: rootHashOf(root) }
  if (rootDifference(root, next).length === 0) throw usage('the root says all of this already')
  try {
    signRoot(next, [])
  } catch (error) {
    if (error instanceof ProtocolError) throw usage(`nobody would take this root: ${error.message}`)
    throw error
  }
  return next
}

/** Whoever signs the fact that names the document: an admin in force, or an operator with role admin. */
function announcer(context: Context, keys: readonly KeyFile[], root: Root): KeyFile {
  const admin = keys.find(({ key }) => root.admins.includes(key.publicKey))
  if (admin !== undefined) return admin
  if (keys.length > 0)
    throw new CliError('NF-1203', 'none of the keys is that of an admin in force')
  const operator = readKeyFile(
    identityPaths(context.settings, context.env, context.cwd),
    'operator',
  )
  const grant = root.operators.find((one) => one.key === operator.key.publicKey)
  if (grant?.role === 'admin' && grant.groups.length === 0) return operator
  throw new CliError('NF-1203', `${operator.name} may not announce a root`, {
    fix: ['give --admin-key FILE of one admin in force'],
  })
}

/** Waits until the root is in force. Throws NF-2203 for a rival's, NF-2109 when it takes too long. */
async function untilInForce(context: Context, client: Client, read: UnsignedRoot): Promise<void> {
  const { version } = read.value
  const until = context.now() + (context.settings.timeoutMs ?? TIMEOUT_DEFAULT_MS)
  context.out.note(`waiting until the voters have put root version ${version} into force`)
  for (;;) {
    const { roots } = await client.get<Documents>('/api/v1/documents')
    const there = roots[version - 2]
    if (there !== undefined) {
      if (there === Buffer.from(read.bytes).toString('base64')) return
      throw new CliError('NF-2203', `version ${version} came into force with another change`)
    }
    if (context.signal.aborted || context.now() > until) break
    await context.sleep(LOOK_MS)
  }
  throw new CliError(
    'NF-2109',
    `the voters have not put root version ${version} into force yet; it stays announced`,
    { fix: ['nixfleet status shows the voters; a root needs a quorum of them'] },
  )
}

function show(
  context: Context,
  before: Root,
  next: Root,
  state: 'planned' | 'proposed' | 'announced' | 'committed',
  file?: string,
): number {
  const { out } = context
  const changes = rootDifference(before, next)
  const { version, threshold, admins } = next
  if (!out.human) {
    const body = { version, state, changes, threshold, admins: admins.length, file: file ?? null }
    out.document(cliDocument('RootChange', body))
    return EXIT_OK
  }
  const word = {
    planned: 'would say',
    proposed: `is proposed in ${file}`,
    announced: 'was announced',
    committed: 'is in force',
  }[state]
  out.line(`root version ${version} ${word}: ${changes.join('; ')}`)
  out.line(`${threshold} of ${plural(admins.length, 'admin')} sign the next one`)
  return EXIT_OK
}
