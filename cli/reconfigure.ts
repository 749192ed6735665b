/**
 * A change of the group (SPEC §7.7): what the next configuration is, who must sign it, and how it comes
 * to hold. Admins choose; the voters of now decide; nothing changes before they have.
 */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Documents, FleetStatus } from '../node/index.ts'
import {
  blobOf,
  crashesSurvived,
  type FaultModel,
  type GroupConfig,
  type GroupHost,
  quorumOf,
  signersNeeded,
  signGroupConfig,
  VOTERS_MAX,
} from '../protocol/index.ts'
import type { Client } from './client.ts'
import type { Context } from './context.ts'
import { CliError, usage } from './errors.ts'
import { type KeyFile, readKeyFile } from './key-file.ts'
import { authorOf, publish, uploadOf, type VerifiedFleet, verifyFleet } from './operator.ts'
import { cliDocument } from './output.ts'
import { type CommandInput, flagOption, listOption, textOption } from './registry.ts'
import { writeNew } from './whole-file.ts'
import { plural } from './words.ts'

/** What an admin wants to be different. */
export interface Change {
  readonly add: readonly GroupHost[]
  readonly remove: readonly string[]
  readonly voters: readonly string[] | undefined
  readonly faultModel: FaultModel | undefined
  /** Go on without the voters: they are lost for good. */
  readonly recover: boolean
  /** The new hosts fetch their documents themselves: a trust folder is written only where --out asks. */
  readonly byTicket?: boolean | undefined
}

/** Groups up to this size bear crashes alone; larger ones a liar too. */
const CRASH_VOTERS_MAX = 3
/** Between two looks whether the voters have decided. */
const LOOK_MS = 500
/** A commit costs a second or two; half a minute in, somebody should look. */
const TIMEOUT_DEFAULT_MS = 60_000

/** Voters and fault model as the options say them. Throws usage errors. */
export function votersOption({ options }: CommandInput): Pick<Change, 'voters' | 'faultModel'> {
  const text = textOption(options, 'voters')
  const model = textOption(options, 'fault-model')
  if (model !== undefined && model !== 'crash' && model !== 'byzantine')
    throw usage(`expected crash or byzantine after --fault-model, found ${model}`)
  const voters = text === undefined ? undefined : text.split(',').map((name) => name.trim())
  return { voters, faultModel: model }
}

/** Carries a change through: shows it with --plan, else signs, announces, waits and writes the trust folder. */
export async function reconfigure(
  context: Context,
  input: CommandInput,
  change: Change,
): Promise<number> {
  const keys = listOption(input.options, 'admin-key').map((path) =>
    readKeyFile([resolve(context.cwd, path)], 'admin'),
  )
  const [first] = keys
  if (first === undefined) throw usage('expected --admin-key with a file, found none')
  const client = await context.connect()
  const fleet = await verifyFleet(client, first.rootHash)
  const status = await client.get<FleetStatus & { head: string }>('/api/v1/fleet?hosts=no')
  const reachable = await reachableHosts(client, status)
  const next = nextConfig(fleet.config, change, { slot: status.gateSlot, head: status.head })
  assertDecidable(fleet.config, next, reachable)
  if (flagOption(input.options, 'plan')) return show(context, fleet.config, next, 'planned')
  assertSigners(keys, fleet, next)
  const signed = signGroupConfig(
    next,
    keys.map(({ key }) => key),
  )
  const blob = blobOf(signed.bytes)
  const author = authorOf(context, first, fleet)
  const why = textOption(input.options, 'reason') ?? describe(fleet.config, next)
  const fact = author.seal('group.config', {
    ...{ group: next.group, epoch: next.epoch, config: blob.hash },
    ...{ configBytes: blob.bytes.length, why: why.slice(0, 200) },
  })
  await publish(client, [fact], [uploadOf(blob)])
  const wait = flagOption(input.options, 'wait')
  if (wait) await untilBegun(context, client, next, signed.bytes)
  const asked = change.byTicket !== true || textOption(input.options, 'out') !== undefined
  const out =
    change.add.length === 0 || !asked
      ? undefined
      : writeTrust(context, input, fleet, { next, bytes: signed.bytes, rootHash: first.rootHash })
  return show(context, fleet.config, next, wait ? 'committed' : 'announced', out)
}

async function reachableHosts(client: Client, status: FleetStatus): Promise<ReadonlySet<string>> {
  const hosts = await client.all<{ name: string; path: string }>('/api/v1/hosts')
  const away = status.voters.filter((voter) => !voter.reachable).map((voter) => voter.name)
  const there = hosts.items.filter(({ name, path }) => path !== 'none' && !away.includes(name))
  return new Set(there.map((host) => host.name))
}

/** The configuration after `now` with the change made. Throws usage errors and NF-1005. */
function nextConfig(
  now: GroupConfig,
  change: Change,
  end: { slot: number; head: string },
): GroupConfig {
  const missing = change.remove.filter((name) => !now.hosts.some((host) => host.name === name))
  if (missing.length > 0)
    throw new CliError('NF-1005', `${missing.join(', ')} is no host of group ${now.group}`)
  const kept = now.hosts.filter((host) => !change.remove.includes(host.name))
  const twice = change.add.find((host) => kept.some((one) => one.name === host.name))
  if (twice !== undefined) throw usage(`${twice.name} is a host of group ${now.group} already`)
  const hosts = [...kept, ...change.add].sort((a, b) => (a.name < b.name ? -1 : 1))
  const names = hosts.map((host) => host.name)
  const voters = [...new Set(change.voters ?? now.voters.filter((name) => names.includes(name)))]
  const strangers = voters.filter((name) => !names.includes(name))
  if (strangers.length > 0)
    throw usage(`expected voters out of ${names.join(', ')}, found ${strangers.join(', ')}`)
  if (voters.length === 0 || voters.length > VOTERS_MAX)
    throw usage(`expected 1 to ${VOTERS_MAX} voters, found ${voters.length}`)
  const small = voters.length <= CRASH_VOTERS_MAX
  const faultModel = change.faultModel ?? (small ? 'crash' : 'byzantine')
  const { recover: _, ...rest } = now
  return {
    ...rest,
    ...(change.recover ? { recover: { slot: end.slot, head: end.head } } : {}),
    ...{ epoch: now.epoch + 1, hosts, voters: voters.sort(), faultModel },
    quorum: quorumOf(voters.length, faultModel),
  }
}

/** Both the voters of now, who decide, and those of then, who go on, must be able to agree. */
function assertDecidable(
  now: GroupConfig,
  next: GroupConfig,
  reachable: ReadonlySet<string>,
): void {
  const there = (voters: readonly string[]): number =>
    voters.filter((name) => reachable.has(name)).length
  if (next.recover === undefined && there(now.voters) < now.quorum) {
    throw new CliError(
      'NF-2104',
      `${there(now.voters)} of ${now.voters.length} voters are in reach, ${now.quorum} must agree to a change`,
      {
        fix: [
          'bring a voter back, or ask a peer that reaches more of them: --peer',
          'if they are lost for good: nixfleet hosts remove … --recover, with the keys of more admins',
        ],
      },
    )
  }
  if (there(next.voters) >= next.quorum) return
  const who = next.voters.filter((name) => !reachable.has(name)).join(', ')
  throw new CliError(
    'NF-2201',
    `${next.quorum} of ${next.voters.length} voters would have to agree, and ${there(next.voters)} of them are there (not: ${who})`,
  )
}

function assertSigners(keys: readonly KeyFile[], fleet: VerifiedFleet, next: GroupConfig): void {
  const stranger = keys.find(({ key }) => !fleet.root.admins.includes(key.publicKey))
  if (stranger !== undefined)
    throw new CliError('NF-1203', `${stranger.path} is no admin key of this fleet`)
  const given = new Set(keys.map(({ key }) => key.publicKey)).size
  const needed = signersNeeded(fleet.root, next)
  if (given >= needed) return
  throw new CliError('NF-1205', `expected the keys of ${needed} admins, found ${given}`)
}

/** Waits until the epoch has begun. Throws NF-2202 for a rival's, NF-2109 and NF-2104 when it takes too long. */
async function untilBegun(
  context: Context,
  client: Client,
  next: GroupConfig,
  bytes: Uint8Array,
): Promise<void> {
  const { out } = context
  const until = context.now() + (context.settings.timeoutMs ?? TIMEOUT_DEFAULT_MS)
  out.note(`waiting until the voters have agreed on epoch ${next.epoch}`)
  for (;;) {
    const documents = await client.get<Documents>('/api/v1/documents')
    const begun = documents.groups.find((one) => one.epoch === next.epoch)?.config
    if (begun !== undefined) {
      if (begun === Buffer.from(bytes).toString('base64')) return
      throw new CliError('NF-2202', `epoch ${next.epoch} began with another change`)
    }
    if (context.signal.aborted || context.now() > until) break
    await context.sleep(LOOK_MS)
  }
  const { voters, quorum } = await client.get<FleetStatus>('/api/v1/fleet?hosts=no')
  const there = voters.filter((voter) => voter.reachable).length
  if (there < quorum)
    throw new CliError(
      'NF-2104',
      `${there} of ${voters.length} voters are in reach, ${quorum} must agree; the change stays announced`,
    )
  throw new CliError(
    'NF-2109',
    `the voters have not agreed on epoch ${next.epoch} yet; the change stays announced`,
    {
      fix: ['nixfleet status shows the epoch and its voters'],
    },
  )
}

/** The folder that a host which joins needs: root, first configuration, and the one that names it. */
function writeTrust(
  context: Context,
  input: CommandInput,
  fleet: VerifiedFleet,
  { next, bytes, rootHash }: { next: GroupConfig; bytes: Uint8Array; rootHash: string },
): string {
  const folder = resolve(context.cwd, textOption(input.options, 'out') ?? `trust-${next.epoch}`)
  mkdirSync(folder, { recursive: true })
  for (const [i, bytes] of fleet.documents.roots.entries()) {
    writeNew(join(folder, i === 0 ? 'root.cbor' : `root-${i + 1}.cbor`), bytes, 0o644)
  }
  writeNew(join(folder, 'group.cbor'), fleet.documents.group, 0o644)
  writeNew(join(folder, `group-${next.epoch}.cbor`), bytes, 0o644)
  writeNew(join(folder, 'root.hash'), `${rootHash}\n`, 0o644)
  return folder
}

function describe(now: GroupConfig, next: GroupConfig): string {
  const { added, removed } = difference(now, next)
  const parts = [
    added.length > 0 ? `adds ${added.join(', ')}` : '',
    removed.length > 0 ? `removes ${removed.join(', ')}` : '',
    next.voters.join() === now.voters.join() ? '' : `voters ${next.voters.join(', ')}`,
  ]
  return parts.filter((part) => part !== '').join('; ') || 'no change of hosts or voters'
}

function difference(now: GroupConfig, next: GroupConfig): { added: string[]; removed: string[] } {
  const names = (config: GroupConfig): string[] => config.hosts.map((host) => host.name)
  return {
    added: names(next).filter((name) => !names(now).includes(name)),
    removed: names(now).filter((name) => !names(next).includes(name)),
  }
}

function show(
  context: Context,
  now: GroupConfig,
  next: GroupConfig,
  state: 'planned' | 'announced' | 'committed',
  trust?: string,
): number {
  const { out } = context
  const { voters, quorum, faultModel, group, epoch } = next
  const survived = crashesSurvived({ n: voters.length, q: quorum })
  if (!out.human) {
    const body = { group, epoch, state, ...difference(now, next), voters, quorum, faultModel }
    out.document(
      cliDocument('GroupChange', { ...body, crashesSurvived: survived, trust: trust ?? null }),
    )
    return 0
  }
  const word = { planned: 'would begin', announced: 'was announced', committed: 'has begun' }[state]
  out.line(`epoch ${epoch} of group ${group} ${word}: ${describe(now, next)}`)
  out.line(
    `${quorum} of ${plural(voters.length, 'voter')} must agree (${faultModel}): ${voters.join(', ')}`,
  )
  out.line(
    survived === 0
      ? 'no voter may fail: losing one stops every start until it is back'
      : `${plural(survived, 'voter')} may fail; losing one more stops every start`,
  )
  if (trust !== undefined) out.note(`next: copy ${trust} to every new host and start its node`)
  return 0
}
