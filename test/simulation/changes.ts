/** The next configuration of a group that admins may sign in the middle of a storm. */
import { type GroupConfig, type HostName, liarsTolerated } from '../../protocol/index.ts'
import type { ConfigChange } from './fleet.ts'
import type { ActOf } from './scenario.ts'

/** Who a group is, and who of them lies. */
export interface Group {
  readonly config: GroupConfig
  readonly liars: ReadonlyMap<HostName, unknown>
  /** Of a group that is large enough for it. */
  readonly faultModel: GroupConfig['faultModel']
}

/** Byzantine groups begin here. */
const BYZANTINE_VOTERS_MIN = 4
/** With two liars fewer observers than this would be theirs. */
const HOSTS_WITH_LIARS_MIN = 6

/** What changes; undefined where the group would bear its liars no longer, or end. */
export function nextChange(act: ActOf<'reconfig'>, group: Group): ConfigChange | undefined {
  const { config } = group
  const names = config.hosts.map((host) => host.name)
  const fresh = `host-${20 + config.epoch}-${names.length}`
  if (act.how === 'add') return bearable({ add: [fresh], voters: config.voters }, group)
  if (act.how === 'remove') return removal(names[act.host % names.length] ?? '', group)
  const old = config.voters[act.host % config.voters.length]
  const other = names.find((name) => !config.voters.includes(name)) ?? fresh
  const voters = [...config.voters.filter((name) => name !== old), other]
  return bearable({ add: names.includes(other) ? [] : [other], voters }, group)
}

function removal(host: HostName, group: Group): ConfigChange | undefined {
  const { config, liars } = group
  const voters = config.voters.filter((name) => name !== host)
  const few =
    config.hosts.length <= 2 || (liars.size > 1 && config.hosts.length <= HOSTS_WITH_LIARS_MIN)
  if (few || liars.has(host) || voters.length === 0) return undefined
  return bearable({ remove: [host], voters }, group)
}

function bearable(
  change: ConfigChange & { readonly voters: readonly HostName[] },
  { liars, faultModel }: Group,
): ConfigChange | undefined {
  const { voters } = change
  const model = voters.length < BYZANTINE_VOTERS_MIN ? 'crash' : faultModel
  const lying = voters.filter((name) => liars.has(name)).length
  if (lying > liarsTolerated(voters.length, model)) return undefined
  return { ...change, faultModel: model }
}
