/** `nixfleet status`: the fleet as one peer sees it, whose view it is, and how old. */
import type { FleetStatus, HostRow, RolloutRow, Stamped } from '../../node/index.ts'
import type { Client } from '../client.ts'
import { hostColumns } from '../columns.ts'
import type { Context } from '../context.ts'
import { EXIT_INTERRUPTED, EXIT_OK } from '../exit-codes.ts'
import { table } from '../output.ts'
import { type CommandInput, flagOption } from '../registry.ts'
import { before, plural, safeText, seconds, shortId } from '../words.ts'

type Answer = Stamped<'FleetStatus', FleetStatus>

/** Between two looks of --watch. */
const WATCH_MS = 2000
/** Home and clear to the end of the screen. */
const CLEAR = '\u001b[H\u001b[J'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const watch = flagOption(input.options, 'watch')
  if (watch) {
    client.setPatience(30)
    await client.learn()
  }
  for (;;) {
    print(context, await readFleet(client), input)
    if (!watch) return EXIT_OK
    await context.sleep(WATCH_MS)
    if (context.signal.aborted) return EXIT_INTERRUPTED
    if (context.out.human && context.out.stdout.isTTY) context.out.stdout.write(CLEAR)
  }
}

/** The fleet with every host: those of a large group come in pages, so that they fit any transport. */
export async function readFleet(client: Client): Promise<Answer> {
  const fleet = await client.get<Answer>('/api/v1/fleet?hosts=few')
  if (fleet.hosts.length > 0) return fleet
  const hosts = await client.all<HostRow>('/api/v1/hosts')
  return { ...fleet, hosts: hosts.items }
}

function print(context: Context, fleet: Answer, input: CommandInput): void {
  const { out, words } = context
  if (flagOption(input.options, 'oneline')) out.line(oneLine(fleet))
  else if (out.human) printPage(context, fleet)
  else out.list(fleet, fleet.hosts, hostColumns(words))
}

function printPage(context: Context, fleet: Answer): void {
  const { out, words } = context
  const columns = hostColumns(words).filter((column) => out.wide || !column.wide)
  out.line(headline(fleet))
  out.line(quorumLine(fleet))
  out.line(votersLine(fleet))
  out.line(freshnessLine(fleet))
  for (const text of fleet.warnings) out.line(`${words.mark('warn')}: ${safeText(text)}`)
  out.line()
  out.line(table(fleet.hosts, columns, out.paint))
  out.line()
  for (const rollout of fleet.openRollouts) out.line(rolloutLine(rollout, context))
  out.line(countsLine(fleet.hosts))
  const next = nextCommand(fleet)
  if (next !== undefined) out.note(`next: ${next}`)
}

function headline(fleet: Answer): string {
  const seen = fleet.hosts.filter((host) => host.path !== 'none').length
  return [
    `fleet ${fleet.name}`,
    `group ${fleet.group}`,
    `${seen}/${fleet.hosts.length} hosts reachable`,
    `view of ${fleet.observedBy}, ${seconds(fleet.viewAgeMs)} old`,
    `head ${shortId(fleet.head)}`,
  ].join('   ')
}

function quorumLine(fleet: Answer): string {
  const there = fleet.voters.filter((voter) => voter.reachable).length
  const enough =
    there >= fleet.quorum ? '' : ': too few to go forward; rollback and halt still work'
  return `voters ${there}/${fleet.voters.length} reachable, ${fleet.quorum} must agree (${fleet.faultModel}, ${plural(fleet.crashesSurvived, 'voter')} may fail)${enough}`
}

function freshnessLine({ freshness }: Answer): string {
  const { state, confirmedAgeMs, blockAgeMs } = freshness
  const block = blockAgeMs === null ? '' : `, its newest block taken ${before(blockAgeMs)}`
  const when = confirmedAgeMs === null ? '' : `, confirmed by a quorum ${before(confirmedAgeMs)}`
  return `freshness ${state}${when}${block}`
}

/** Who votes, since which epoch, and what it means if one more of them is lost now. */
function votersLine(fleet: Answer): string {
  const names = fleet.voters.map(({ name, reachable }) => (reachable ? name : `${name} (away)`))
  const spare = fleet.voters.filter((voter) => voter.reachable).length - fleet.quorum
  const then =
    spare > 0
      ? 'one more may be lost'
      : spare === 0
        ? 'if one more is lost, nothing starts until it is back'
        : `nothing starts until ${plural(-spare, 'voter')} of them ${spare === -1 ? 'is' : 'are'} back`
  return `epoch ${fleet.epoch}: ${names.join(', ')}; ${then}`
}

function rolloutLine(rollout: RolloutRow, { words }: Context): string {
  const wave = rollout.wave === null ? '' : `   wave ${rollout.wave + 1}/${rollout.waves}`
  return `${words.rollout(rollout.state, rollout.held)}  rollout ${shortId(rollout.id)}   release ${safeText(rollout.release.name)}${wave}   ${rollout.committed}/${rollout.hosts} committed   by ${rollout.operator.name}`
}

function countsLine(hosts: readonly HostRow[]): string {
  const counts = new Map<string, number>()
  for (const host of hosts) counts.set(host.state, (counts.get(host.state) ?? 0) + 1)
  return [...counts].map(([state, count]) => `${count} ${state}`).join(' · ')
}

function oneLine(fleet: Answer): string {
  const healthy = fleet.hosts.filter((host) => host.state === 'healthy').length
  const [rollout] = fleet.openRollouts
  const going = rollout ? ` ${shortId(rollout.id)} ${rollout.held ? 'paused' : rollout.state}` : ''
  return `${fleet.name} ${healthy}/${fleet.hosts.length} healthy${going}`
}

function nextCommand(fleet: Answer): string | undefined {
  const bad = fleet.hosts.find((host) => ['reverted', 'stuck', 'unhealthy'].includes(host.state))
  if (bad !== undefined) return `nixfleet rollout why ${bad.name}`
  const [open] = fleet.openRollouts
  return open ? `nixfleet rollout watch ${shortId(open.id)}` : undefined
}
