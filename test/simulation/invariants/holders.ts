/**
 * Who holds what at a start, told a second time (S6): a search through the facts under the basis.
 * Slower than the shipped rule and shaped unlike it.
 */
import type { HostName } from '../../../protocol/index.ts'
import type { Chronicle } from './chronicle.ts'
import type { Ledger, LedgerRollout } from './ledger.ts'
import { type TwinInput, type TwinStanding, twinStandings } from './twin.ts'

const AWAY: readonly TwinStanding['end'][] = ['skipped', 'stuck', 'failed', 'lost']

/** What is wrong with starting `hosts` as far as holders go. */
export function holderFaults(
  ledger: Ledger,
  chronicle: Chronicle,
  input: TwinInput,
  hosts: readonly HostName[],
): readonly string[] {
  const { holders = 0 } = input.rollout.plan.policy
  if (holders === 0) return []
  return hosts.flatMap((host) => {
    const needed = neededFor(input, host, holders)
    const wave = input.rollout.waves.findIndex((names) => names.includes(host))
    const next = input.manifest?.hosts.find((one) => one.host === host)?.generation
    const before = generationBefore(ledger, chronicle, input, host)
    return [next, before].flatMap((generation) => {
      if (generation === undefined) return []
      const found = holdersIn(input, { generation, wave, host })
      return found >= needed ? [] : [`${generation} of ${host} has ${found} of ${needed} holders`]
    })
  })
}

function neededFor(input: TwinInput, host: HostName, asked: number): number {
  const { config } = input.trust
  const away = new Set(
    twinStandings(input)
      .filter(({ end }) => AWAY.includes(end))
      .map((one) => one.host),
  )
  const there = config.hosts.filter(
    ({ name }) => name !== host && !away.has(name) && !isLost(input, name),
  ).length
  const survived = config.voters.length - config.quorum
  if (there === 0) return 0
  return Math.min(asked, Math.max(1, there - survived))
}

function holdersIn(
  input: TwinInput,
  place: { readonly generation: string; readonly wave: number; readonly host: HostName },
): number {
  return input.trust.config.hosts.filter(
    ({ name, fact: key }) =>
      name !== place.host &&
      !isLost(input, name) &&
      input.facts.some(
        (fact) =>
          fact.type === 'closure.held' &&
          fact.author === key &&
          fact.body.rollout === input.rollout.id &&
          fact.body.wave >= place.wave &&
          fact.body.generations.includes(place.generation),
      ),
  ).length
}

function isLost({ facts, rollout }: TwinInput, host: HostName): boolean {
  return facts.some(
    (fact) =>
      fact.type === 'host.lost' && fact.body.rollout === rollout.id && fact.body.host === host,
  )
}

/** What the newest earlier rollout that the host rests in gave it; a halted or reverting one gave nothing. */
function generationBefore(
  ledger: Ledger,
  chronicle: Chronicle,
  input: TwinInput,
  host: HostName,
): string | undefined {
  const earlier = [...ledger.rollouts.values()].filter((one) => one.at < input.rollout.at)
  for (const rollout of earlier.reverse()) {
    if (isUnclear(ledger, rollout)) return undefined
    const manifest = chronicle.manifestOf(rollout.plan)
    const then = { trust: input.trust, rollout, facts: ledger.facts, manifest }
    const rests = twinStandings(then).some((one) => one.host === host && one.end === 'committed')
    if (rests) return manifest?.hosts.find((one) => one.host === host)?.generation
  }
  return undefined
}

/** Where a halt or a failure may have sent hosts back, this twin does not say what they run. */
function isUnclear(ledger: Ledger, { id, closed }: LedgerRollout): boolean {
  const halted = ledger.facts.some(
    (fact) => fact.type === 'rollout.halt' && fact.body.rollout === id,
  )
  return halted || closed?.outcome === 'reverted' || closed?.outcome === 'halted'
}
