/** The first configuration of a group: which hosts, who votes, how fast the clocks run. */
import {
  type FaultModel,
  type GroupConfig,
  type GroupHost,
  PRESETS,
  quorumOf,
  type Timing,
  VOTERS_MAX,
} from '../protocol/index.ts'
import { usage } from './errors.ts'
import { type CommandInput, listOption, textOption } from './registry.ts'

/** Voters that a fleet gets unasked: all of a small one, and the smallest number that bears a liar. */
const VOTERS_SMALL = 3
const VOTERS_DEFAULT = 4
/** A soak must see at least so many probes. */
const SOAK_PROBES_MIN = 4

/** What `bootstrap` was told about the group. */
export interface GroupWish {
  readonly group: string
  readonly hosts: readonly GroupHost[]
  readonly voters: readonly string[]
  readonly timing: Timing
}

/** The group that the options describe, of these hosts. Throws usage errors. */
export function groupWish(
  { options }: CommandInput,
  group: string,
  given: readonly GroupHost[],
): GroupWish {
  const hosts = tagged(given, listOption(options, 'tag'))
  const twice = hosts.find((host, i) => hosts.findIndex((other) => other.name === host.name) !== i)
  if (twice !== undefined) throw usage(`host ${twice.name} was given twice`)
  const preset = textOption(options, 'preset') ?? 'production'
  const timing = Object.hasOwn(PRESETS, preset) ? PRESETS[preset] : undefined
  if (timing === undefined)
    throw usage(`expected production or demo after --preset, found ${preset}`)
  return { group, hosts, voters: votersOf(hosts, textOption(options, 'voters')), timing }
}

/** The configuration of epoch 1. */
export function firstConfig(fleet: string, wish: GroupWish): GroupConfig {
  const { group, voters, timing } = wish
  const faultModel: FaultModel = voters.length <= VOTERS_SMALL ? 'crash' : 'byzantine'
  return {
    ...{ fleet, group, epoch: 1, voters, faultModel, timing },
    hosts: [...wish.hosts].sort((a, b) => (a.name < b.name ? -1 : 1)),
    quorum: quorumOf(voters.length, faultModel),
    floors: {
      canaryMin: 1,
      soakMsMin: SOAK_PROBES_MIN * timing.probeMs,
      wavePercentMax: 100,
      budgetMax: Math.ceil(wish.hosts.length / 2),
    },
  }
}

/** Tags of the command line are added to those that the host itself gave. */
function tagged(hosts: readonly GroupHost[], tags: readonly string[]): readonly GroupHost[] {
  const added = new Map<string, string[]>()
  for (const text of tags) {
    const [, host = '', tag = ''] = /^([^:]+):([a-z0-9-]+=[a-z0-9._-]*)$/.exec(text) ?? []
    if (!hosts.some((known) => known.name === host)) {
      throw usage(`expected HOST:key=value of a host of the fleet after --tag, found ${text}`)
    }
    added.set(host, [...(added.get(host) ?? []), tag])
  }
  return hosts.map((host) => ({
    ...host,
    tags: [...new Set([...host.tags, ...(added.get(host.name) ?? [])])],
  }))
}

function votersOf(hosts: readonly GroupHost[], text: string | undefined): readonly string[] {
  const names = hosts.map((host) => host.name).sort()
  if (text === undefined) {
    return names.length <= VOTERS_SMALL ? names : names.slice(0, VOTERS_DEFAULT)
  }
  const voters = [...new Set(text.split(',').map((name) => name.trim()))].sort()
  const strangers = voters.filter((name) => !names.includes(name))
  if (strangers.length > 0)
    throw usage(`expected voters out of ${names.join(', ')}, found ${strangers.join(', ')}`)
  if (voters.length > VOTERS_MAX)
    throw usage(`expected at most ${VOTERS_MAX} voters, found ${voters.length}`)
  return voters
}
