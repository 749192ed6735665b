/**
 * The full check: everything is read from the disks again, as if nothing had been watched, and must
 * say what the watchers said. What it alone finds, they missed.
 */
import type { HostName } from '../../protocol/index.ts'
import type { SimFleet } from './fleet.ts'
import { Chronicle } from './invariants/chronicle.ts'
import {
  s1Agreement,
  s2ExclusiveClaim,
  s6NoStartOverEvidence,
  s10Permits,
  s14NoDowngrade,
  s17SkippedOrGone,
} from './invariants/gate.ts'
import { Ledger } from './invariants/ledger.ts'
import { s12Feed } from './invariants/voice.ts'
import type { Monitor } from './monitor.ts'
import type { InvariantCode } from './violation.ts'

export interface Recheck {
  readonly broken: readonly { readonly invariant: InvariantCode; readonly evidence: string }[]
  /** Where disks and watchers disagree. */
  readonly missed: readonly string[]
}

/** `deep` also judges every block of the log again. */
export function recheck(
  fleet: SimFleet,
  monitor: Monitor,
  liars: ReadonlySet<HostName>,
  deep: boolean,
): Recheck {
  const disks = () => fleet.names.map((name) => fleet.host(name).disk)
  const fresh = new Chronicle(fleet.trust, disks)
  const broken: { invariant: InvariantCode; evidence: string }[] = []
  const accuse = (invariant: InvariantCode, evidence: readonly string[]): void => {
    broken.push(...evidence.map((text) => ({ invariant, evidence: text })))
  }
  const honest = fleet.names.filter((name) => !liars.has(name))
  for (const name of honest) fresh.reread(name, fleet.host(name).disk)
  const logs = honest.map((name) => [name, idsOf(fresh, name)] as const)
  accuse('S1', s1Agreement(new Map(logs)))
  const honestAuthor = (key: string): HostName | undefined => {
    const name = fresh.nameOf(key) ?? 'an operator'
    return liars.has(name) ? undefined : name
  }
  accuse('S12', s12Feed(fresh.forks, honestAuthor))
  const ledger = new Ledger(fresh)
  for (const { block } of longest(fresh, honest)) {
    ledger.add(block)
    if (!deep) continue
    accuse('S2', s2ExclusiveClaim(ledger))
    accuse('S6', s6NoStartOverEvidence(ledger, fresh))
    accuse('S10', s10Permits(ledger, fresh))
  }
  accuse('S14', s14NoDowngrade(ledger, fresh))
  accuse('S17', s17SkippedOrGone(ledger, fresh))
  return { broken, missed: differences(ledger, monitor, logs) }
}

function differences(
  ledger: Ledger,
  monitor: Monitor,
  logs: readonly (readonly [HostName, readonly string[]])[],
): readonly string[] {
  const missed: string[] = []
  for (const [name, log] of logs) {
    const watched = (monitor.chronicle.logs.get(name) ?? []).map(({ block }) => block.id)
    if (watched.join() !== log.join()) {
      missed.push(`the disk of ${name} holds ${log.length} blocks, ${watched.length} were watched`)
    }
  }
  const [disks, watched] = [textOf(ledger), textOf(monitor.gate.ledger)]
  if (ledger.blocks.length === monitor.gate.ledger.blocks.length && disks !== watched) {
    missed.push(`the logs on the disks say ${disks}, the watchers ${watched}`)
  }
  return missed
}

function textOf({ rollouts }: Ledger): string {
  return [...rollouts.values()]
    .map(
      ({ id, starts, skips, closed }) =>
        `${id.slice(0, 8)} ${starts.length} started ${skips.length} skipped ${closed?.outcome ?? 'open'}`,
    )
    .join(', ')
}

function idsOf(chronicle: Chronicle, name: HostName): readonly string[] {
  return (chronicle.logs.get(name) ?? []).map(({ block }) => block.id)
}

function longest(
  chronicle: Chronicle,
  names: readonly HostName[],
): NonNullable<ReturnType<Chronicle['logs']['get']>> {
  return names
    .map((name) => chronicle.logs.get(name) ?? [])
    .reduce((a, b) => (b.length > a.length ? b : a), [])
}
