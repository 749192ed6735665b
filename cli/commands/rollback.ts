/**
 * `nixfleet rollback`: halts the last rollout of the selected hosts with revert, and waits until every
 * one is back. It needs no quorum: each host goes back by its own stack when it hears the halt.
 */
import type { PlanBase, RolloutStatus, Stamped } from '../../node/index.ts'
import type { Client } from '../client.ts'
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import { CliError, Interrupted, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { sealHalts } from '../halt.ts'
import { loadOperator, publish, type VerifiedFleet } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { selectHosts } from '../plan.ts'
import { type CommandInput, flagOption, listOption, textOption } from '../registry.ts'
import { isAtRest } from '../tree.ts'
import { phaseWord, plural, seconds, shortId } from '../words.ts'

const POLL_MS = 250
const PATIENCE_ROUNDS = 30
const TIMEOUT_DEFAULT_MS = 300_000

/** The last rollout of some hosts, and which of them go back from it. */
interface Way {
  readonly rollout: string
  readonly hosts: readonly string[]
  /** The selection covers every host whose last rollout this is. */
  readonly whole: boolean
}

type Status = Stamped<'RolloutStatus', RolloutStatus>

export async function run(context: Context, input: CommandInput): Promise<number> {
  const client = await context.connect()
  const author = await loadOperator(context, client)
  const base = await client.get<PlanBase>(`/api/v1/base?group=${author.fleet.config.group}`)
  const ways = waysBack(base, chosen(author.fleet, input))
  const hosts = ways.flatMap((way) => way.hosts)
  const rollouts = ways.map((way) => shortId(way.rollout)).join(', ')
  await confirm(context, `Send ${plural(hosts.length, 'host')} back from ${rollouts}?`, hosts)
  const why = textOption(input.options, 'reason') ?? 'rollback'
  const facts = ways.flatMap(({ rollout, hosts: some, whole }) =>
    sealHalts(author, { rollout, revert: true, hosts: whole ? [] : some, why }),
  )
  const startedAt = context.now()
  await publish(client, facts, [])
  if (flagOption(input.options, 'detach')) {
    report(context, { ways, elapsedMs: null, back: [], facts: facts.map((fact) => fact.id) })
    return EXIT_OK
  }
  const back = await waitUntilBack(context, client, ways, startedAt)
  const elapsedMs = context.now() - startedAt
  report(context, { ways, elapsedMs, back, facts: facts.map((fact) => fact.id) })
  const stuck = back.filter((host) => host.phase === 'STUCK')
  if (stuck.length === 0) return EXIT_OK
  throw new CliError('NF-2111', `${stuck.map((host) => host.name).join(', ')} could not go back`, {
    why: stuck.map((host) => `${host.name}: ${host.detail ?? host.why ?? 'stuck'}`),
  })
}

type Back = RolloutStatus['waves'][number]['hosts'][number]

/** Which rollouts to halt for which hosts. Throws NF-2106 when there is nothing to go back from. */
export function waysBack(base: PlanBase, selected: readonly string[]): readonly Way[] {
  const last = new Map<string, string[]>()
  for (const row of base.hosts) {
    if (row.last !== null) last.set(row.last, [...(last.get(row.last) ?? []), row.host])
  }
  const ways = [...last].flatMap(([rollout, all]): Way[] => {
    const hosts = all.filter((host) => selected.includes(host))
    return hosts.length === 0 ? [] : [{ rollout, hosts, whole: hosts.length === all.length }]
  })
  if (ways.length > 0) return ways
  throw new CliError('NF-2106', `no rollout was ever admitted for ${selected.join(', ')}`)
}

function chosen(fleet: VerifiedFleet, input: CommandInput): readonly string[] {
  const on = textOption(input.options, 'on')
  const hosts = listOption(input.options, 'host')
  const all = flagOption(input.options, 'all')
  if (!all && on === undefined && hosts.length === 0) {
    throw usage('say which hosts: --all, --on SEL or --host NAME', 'nixfleet help rollback')
  }
  if (all && (on !== undefined || hosts.length > 0)) throw usage('give --all alone')
  return selectHosts(fleet.config, { on, hosts }).map((host) => host.name)
}

async function waitUntilBack(
  context: Context,
  client: Client,
  ways: readonly Way[],
  startedAt: number,
): Promise<readonly Back[]> {
  const timeoutMs = context.settings.timeoutMs ?? TIMEOUT_DEFAULT_MS
  const told = new Map<string, string>()
  client.setPatience(PATIENCE_ROUNDS)
  await client.learn()
  for (;;) {
    if (context.signal.aborted) {
      throw new Interrupted('left; the hosts go on going back: nixfleet status')
    }
    const rows = await lookAt(client, ways)
    tell(context, rows, told, startedAt)
    if (rows.every(isBack)) return rows
    if (context.now() - startedAt > timeoutMs) throw late(rows, timeoutMs)
    await context.sleep(POLL_MS)
  }
}

async function lookAt(client: Client, ways: readonly Way[]): Promise<readonly Back[]> {
  const rows: Back[] = []
  for (const { rollout, hosts } of ways) {
    const status = await client.get<Status>(`/api/v1/rollouts/${rollout}`)
    const all = status.waves.flatMap((wave) => wave.hosts)
    rows.push(...all.filter((host) => hosts.includes(host.name)))
  }
  return rows
}

/** COMMITTED is at rest in a rollout, but not for one who wants it back. */
function isBack(host: Back): boolean {
  return host.phase !== 'COMMITTED' && isAtRest(host)
}

function tell(
  context: Context,
  rows: readonly Back[],
  told: Map<string, string>,
  startedAt: number,
): void {
  for (const host of rows) {
    const phase = host.phase ?? ''
    if (told.get(host.name) === phase) continue
    told.set(host.name, phase)
    if (isBack(host)) {
      const at = seconds(context.now() - startedAt)
      context.out.note(`${host.name} ${context.words.phase(host.phase)}   ${at}`)
    }
  }
}

function late(rows: readonly Back[], timeoutMs: number): CliError {
  const waiting = rows.filter((host) => !isBack(host))
  return new CliError('NF-2109', `not every host is back after ${seconds(timeoutMs)}`, {
    why: waiting.map((host) => `${host.name}: ${phaseWord(host.phase)}`),
    fix: ['they go on going back; nixfleet status'],
  })
}

function report(
  { out }: Context,
  result: {
    ways: readonly Way[]
    elapsedMs: number | null
    back: readonly Back[]
    facts: readonly string[]
  },
): void {
  const { ways, elapsedMs, back, facts } = result
  if (!out.human) {
    const hosts = back.map(({ name, phase }) => ({ name, phase }))
    const rollouts = ways.map((way) => way.rollout)
    out.document(cliDocument('Rollback', { rollouts, facts, elapsedMs, hosts }))
    return
  }
  const count = ways.flatMap((way) => way.hosts).length
  if (elapsedMs === null) out.line(`${plural(count, 'host')} told to go back`)
  else
    out.line(
      `${plural(back.filter((host) => host.phase !== 'STUCK').length, 'host')} of ${count} back after ${seconds(elapsedMs)}`,
    )
}
