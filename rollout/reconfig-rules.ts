/**
 * Whether a configuration may become the next epoch (SPEC §7.7): admins choose, voters serialise.
 *
 * Of two rivals for one epoch the log takes one; the other is told which and since when.
 */
import type {
  FactId,
  GroupConfig,
  Hash,
  HostName,
  Root,
  SignedDocument,
} from '../protocol/index.ts'
import { openGroupConfig, ProtocolError } from '../protocol/index.ts'
import type { Knowledge } from './derive-orders.ts'
import { sceneOf } from './derive-orders.ts'
import { votersUnderWay } from './permits.ts'
import { no, type Ruling, type Scene, wait } from './scene.ts'
import { configsOf, type Trust } from './trust.ts'

/** Whether the voters may begin the next epoch with the configuration of this signed document. */
export function judgeReconfig(scene: Scene, document: Hash): Ruling {
  const named = [...scene.view.configs.values()].some((fact) => fact.body.config === document)
  if (!named) return wait('no admin has announced this configuration')
  const signed = scene.bodies.config(document)
  if (signed === undefined) return wait('the configuration is not held')
  const config = signed.value
  const unsigned = refusedBySigners(scene.trust, signed)
  if (unsigned !== undefined) return no(unsigned)
  if (config.recover !== undefined) return no('a recovery is not decided by voters')
  const refused = refusedAsNext(scene, config)
  return refused === undefined ? votersUnderWay(scene, config) : no(refused)
}

/** Signatures are dear and documents stay: counted once for each root that is asked about. */
const counted = new WeakMap<SignedDocument<GroupConfig>, WeakMap<Root, string>>()
const ENOUGH = ''

/** Why too few admins of the root in force signed; undefined where they are enough. */
export function refusedBySigners(
  trust: Pick<Trust, 'root' | 'fleet'>,
  signed: SignedDocument<GroupConfig>,
): string | undefined {
  const byRoot = counted.get(signed) ?? new WeakMap<Root, string>()
  counted.set(signed, byRoot)
  const why = byRoot.get(trust.root) ?? countSigners(trust, signed)
  byRoot.set(trust.root, why)
  return why === ENOUGH ? undefined : why
}

function countSigners(
  { root, fleet }: Pick<Trust, 'root' | 'fleet'>,
  { bytes }: SignedDocument<GroupConfig>,
): string {
  try {
    openGroupConfig(bytes, { root, fleet })
    return ENOUGH
  } catch (error) {
    if (error instanceof ProtocolError) return error.message
    throw error
  }
}

/** Why `config` can never follow the current epoch, whoever decides it. */
export function refusedAsNext(
  scene: Pick<Scene, 'state' | 'trust'>,
  config: GroupConfig,
): string | undefined {
  const { state, trust } = scene
  if (config.fleet !== trust.fleet || config.group !== trust.config.group) {
    return `expected group ${trust.config.group}, found ${config.group}`
  }
  if (config.epoch !== state.epoch + 1) {
    const winner = state.epochs.findLast((one) => one.epoch === config.epoch)
    if (winner === undefined) return `expected epoch ${state.epoch + 1}, found ${config.epoch}`
    return `epoch ${config.epoch} began at slot ${winner.slot} with ${winner.document.slice(0, 12)}`
  }
  return rekeyed(trust, config)
}

/**
 * A name keeps its keys for as long as the log lasts, and a key its name: what was signed under the old
 * keys would otherwise speak for the new host.
 */
function rekeyed(trust: Trust, config: GroupConfig): string | undefined {
  const nameOf = new Map<string, HostName>()
  const keysOf = new Map<HostName, string>()
  for (const host of configsOf(trust).flatMap((one) => one.hosts)) {
    for (const key of [host.transport, host.fact, host.cosign]) nameOf.set(key, host.name)
    keysOf.set(host.name, [host.transport, host.fact, host.cosign].join())
  }
  for (const { name, transport, fact, cosign } of config.hosts) {
    const keys = [transport, fact, cosign]
    const before = keysOf.get(name)
    if (before !== undefined && before !== keys.join()) {
      return `${name} had other keys before: a host with new keys takes a new name`
    }
    const other = keys
      .map((key) => nameOf.get(key))
      .find((one) => one !== undefined && one !== name)
    if (other !== undefined) return `${name} has a key of ${other}`
  }
  return undefined
}

/** What became of an announced configuration, as far as this node knows. */
export type ConfigStatus =
  | { readonly state: 'pending'; readonly why: string }
  | { readonly state: 'committed'; readonly epoch: number; readonly slot: number }
  | { readonly state: 'rejected'; readonly why: string }

/** The state of the configuration that fact `id` announces; undefined when the fact is not known or has no authority. */
export function configStatus(knowledge: Knowledge, id: FactId): ConfigStatus | undefined {
  const fact = knowledge.view.configs.get(id)
  if (fact === undefined) return undefined
  const { config: document, epoch } = fact.body
  const begun = knowledge.state.epochs.find((one) => one.document === document)
  if (begun !== undefined) return { state: 'committed', epoch, slot: begun.slot }
  const scene = sceneOf(knowledge)
  const signed = knowledge.bodies.config(document)
  const config = signed?.value
  if (signed !== undefined && config?.recover !== undefined) {
    const refused = refusedAsNext(scene, config) ?? refusedBySigners(scene.trust, signed)
    if (refused !== undefined) return { state: 'rejected', why: refused }
    return { state: 'pending', why: 'the nodes have not taken the recovery' }
  }
  const ruling = judgeReconfig(scene, document)
  if (ruling.kind === 'no') return { state: 'rejected', why: ruling.why }
  const why = ruling.kind === 'wait' ? ruling.why : 'the voters have not decided'
  return { state: 'pending', why }
}
