/**
 * `nixfleet deploy`: turns a release and a strategy into a signed plan and hands it to any peer.
 *
 * The peer's documents are verified against the root that the key file pins, so a lying peer can
 * neither add hosts nor lower floors; what the plan claims is judged by the voters in any case.
 */
import type {
  HostRow,
  Page,
  PlanBase,
  ReleaseDetail,
  ReleaseRow,
  RolloutRow,
  RolloutStatus,
  Stamped,
} from '../../node/index.ts'
import { HOLDERS_MAX, planBlob } from '../../protocol/index.ts'
import type { Client } from '../client.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_CHANGES, EXIT_OK } from '../exit-codes.ts'
import { concludeRollout, follow, rejection } from '../follow.ts'
import { type Author, loadOperator, publish, uploadOf } from '../operator.ts'
import { cliDocument } from '../output.ts'
import { type MadePlan, makePlan, type PlanWish } from '../plan.ts'
import { type CommandInput, flagOption, listOption, textOption } from '../registry.ts'
import { duration } from '../settings.ts'
import { isOver } from '../tree.ts'
import { plural, safeText, shortId, span } from '../words.ts'

type Release = Stamped<'ReleaseDetail', ReleaseDetail>

export async function run(context: Context, input: CommandInput): Promise<number> {
  const { out } = context
  const client = await context.connect()
  const author = await loadOperator(context, client)
  const release = await pickRelease(client, input.args[0])
  assertHead(release.head, textOption(input.options, 'if-head'))
  const { config } = author.fleet
  const base = await client.get<PlanBase>(`/api/v1/base?group=${config.group}`)
  const wish = await wishOf(client, input)
  const plan = makePlan({ wish, config, base, release })
  if (await nothingChanges(client, release, plan)) {
    out.note('nothing to change: every selected host rests on this release')
    return EXIT_OK
  }
  if (flagOption(input.options, 'plan')) return showPlan(context, release, plan)
  const id = await submitPlan(client, author, plan)
  if (flagOption(input.options, 'detach')) {
    if (!out.human) out.document(cliDocument('Submitted', { rollout: id, release: release.id }))
    else out.line(`handed plan ${shortId(id)} to ${client.address()}`)
    out.note(`next: nixfleet rollout watch ${shortId(id)}`)
    return EXIT_OK
  }
  const wait = flagOption(input.options, 'wait')
  if (!wait) return untilDecided(context, client, id)
  const { timeoutMs } = context.settings
  const status = await follow(context, client, id, { until: isOver, timeoutMs, show: true })
  return concludeRollout(context, status)
}

/** Whether every host of the plan runs its generation of the release and should. */
async function nothingChanges(client: Client, release: Release, plan: MadePlan): Promise<boolean> {
  const wanted = new Map(release.generations.map((row) => [row.host, row.generation]))
  const names = new Set(plan.waves.flat())
  const hosts = (await client.all<HostRow>('/api/v1/hosts')).items.filter((host) =>
    names.has(host.name),
  )
  const rests = (host: HostRow): boolean => {
    const generation = wanted.get(host.name)
    return host.state === 'healthy' && host.generation === generation && host.target === generation
  }
  return hosts.length === names.size && hosts.every(rests)
}

async function untilDecided(context: Context, client: Client, id: string): Promise<number> {
  const { out, words } = context
  const decided = (status: RolloutStatus): boolean => status.state !== 'proposed'
  const { timeoutMs } = context.settings
  const status = await follow(context, client, id, { until: decided, timeoutMs, show: false })
  if (status.state === 'rejected') throw rejection(status)
  if (!out.human) out.document(status)
  else
    out.line(
      `${words.rollout(status.state, status.held)}   rollout ${shortId(id)}   release ${safeText(status.release.name)}`,
    )
  out.note(`next: nixfleet rollout watch ${shortId(id)}`)
  return EXIT_OK
}

/** Signs the plan and gives it, with its body, to a peer. */
async function submitPlan(client: Client, author: Author, plan: MadePlan): Promise<string> {
  const blob = planBlob(plan.body)
  const fact = author.seal('rollout.plan', {
    plan: blob.hash,
    planBytes: blob.bytes.length,
    release: plan.body.release,
    groups: plan.body.groups.map((part) => part.group),
  })
  await publish(client, [fact], [uploadOf(blob)])
  return fact.id
}

async function pickRelease(client: Client, given: string | undefined): Promise<Release> {
  const id = given ?? (await newestRelease(client))
  const release = await client.get<Release>(`/api/v1/releases/${encodeURIComponent(id)}`)
  if (release.paths !== null) return release
  throw new CliError(
    'NF-2118',
    `${release.observedBy} does not hold the manifest of ${safeText(release.name)} yet`,
  )
}

async function newestRelease(client: Client): Promise<string> {
  const page = await client.get<Page<ReleaseRow>>('/api/v1/releases?limit=1')
  const [newest] = page.items
  if (newest !== undefined) return newest.id
  throw new CliError('NF-1005', 'there is no release yet', {
    why: [],
    fix: ['nixfleet help release create'],
  })
}

function assertHead(head: string, wanted: string | undefined): void {
  if (wanted === undefined) return
  if (!/^[0-9a-f]{8,64}$/.test(wanted))
    throw usage(`expected 8 to 64 hex digits after --if-head, found ${wanted}`)
  if (head.startsWith(wanted)) return
  throw new CliError('NF-2107', `the gate log's head is ${shortId(head)}, not ${shortId(wanted)}`)
}

async function wishOf(client: Client, input: CommandInput): Promise<PlanWish> {
  const { options } = input
  const time = (name: string): number | undefined => {
    const text = textOption(options, name)
    return text === undefined ? undefined : duration(text, `--${name}`)
  }
  return {
    on: textOption(options, 'on'),
    hosts: listOption(options, 'host'),
    strategy: textOption(options, 'strategy'),
    waves: textOption(options, 'waves'),
    wavesBy: textOption(options, 'waves-by'),
    soakMs: time('soak'),
    confirmMs: time('confirm-within'),
    startMs: time('start-within'),
    maxUnhealthy: textOption(options, 'max-unhealthy'),
    maxInFlight: countOf(textOption(options, 'max-in-flight')),
    onFailure: textOption(options, 'on-failure'),
    holders: holdersOf(textOption(options, 'holders')),
    supersede: await fullIds(client, listOption(options, 'supersede')),
    reason: textOption(options, 'reason') ?? '',
  }
}

function countOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text)
  throw usage(`expected a number of hosts after --max-in-flight, found ${text}`)
}

function holdersOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d$/.test(text) && Number(text) <= HOLDERS_MAX) return Number(text)
  throw usage(`expected a number from 0 to ${HOLDERS_MAX} after --holders, found ${text}`)
}

async function fullIds(client: Client, given: readonly string[]): Promise<readonly string[]> {
  const ids: string[] = []
  for (const id of given) {
    ids.push((await client.get<RolloutRow>(`/api/v1/rollouts/${encodeURIComponent(id)}`)).id)
  }
  return ids
}

function showPlan({ out, words }: Context, release: Release, plan: MadePlan): number {
  const { body, waves, without } = plan
  const count = waves.flat().length
  if (!out.human) {
    out.document(cliDocument('Plan', { head: release.head, without, plan: body }))
    return EXIT_CHANGES
  }
  const { policy } = body
  const budget =
    policy.budget.kind === 'count'
      ? plural(policy.budget.count, 'host')
      : `${policy.budget.percent} %`
  out.line(
    `release ${out.paint.bold(safeText(release.name))} (${release.channel} ${release.version}) to ${plural(count, 'host')}   ${body.strategy}`,
  )
  waves.forEach((wave, index) => {
    out.line(`  ${words.wave('waiting', `wave ${index + 1}`)}   ${wave.join(', ')}`)
  })
  out.line(
    `  soak ${span(policy.soakMs)}, confirmed within ${span(policy.confirmMs)}, ${budget} may fail, then ${policy.onFailure === 'halt' ? 'halt' : 'everyone goes back'}`,
  )
  if (policy.holders !== undefined)
    out.line(
      `  a wave starts once ${plural(policy.holders, 'other host')} hold what its hosts go to and come from`,
    )
  if (without.length > 0) out.line(out.paint.yellow(`  not in this release: ${without.join(', ')}`))
  out.note(
    `nothing was signed; the same without --plan, and --if-head ${shortId(release.head)}, does it`,
  )
  return EXIT_CHANGES
}
