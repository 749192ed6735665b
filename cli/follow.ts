/**
 * Follows a rollout until it is over: a tree that is redrawn on a terminal, lines that are appended
 * elsewhere, one JSON object a change with --json. Leaving stops nothing.
 */
import type { FleetStatus, RolloutStatus, Stamped } from '../node/index.ts'
import type { Client } from './client.ts'
import type { Context } from './context.ts'
import { CliError, Interrupted } from './errors.ts'
import { EXIT_OK } from './exit-codes.ts'
import { changeLines, isOver, rolloutTree } from './tree.ts'
import { plural, shortId } from './words.ts'

/** Between two looks; a redraw each at most, so far below 10 Hz. */
const POLL_MS = 300
/** Rounds over all peers before a waiting command gives up: about half a minute. */
const PATIENCE_ROUNDS = 30
/** Silence after which a waiting operator is told that voters are missing. */
const QUORUM_HINT_MS = 10_000

type Answer = Stamped<'RolloutStatus', RolloutStatus>

export interface FollowOptions {
  /** When to stop looking. */
  readonly until: (status: RolloutStatus) => boolean
  readonly timeoutMs?: number | undefined
  /** Draw the tree; without it only the last state counts. */
  readonly show: boolean
}

/** Looks until `until` holds, and gives the last answer. Throws NF-2109, NF-2104, Interrupted. */
export async function follow(
  context: Context,
  client: Client,
  id: string,
  options: FollowOptions,
): Promise<Answer> {
  const view = await createView(context, options.show)
  const startedAt = context.now()
  let before: Answer | undefined
  let hintAt = startedAt + QUORUM_HINT_MS
  client.setPatience(PATIENCE_ROUNDS)
  await client.learn()
  try {
    for (;;) {
      assertGoing(context, id)
      const status = await client.get<Answer>(`/api/v1/rollouts/${id}`)
      view.update(before, status)
      if (options.until(status)) return status
      if (before === undefined || changed(before, status)) hintAt = context.now() + QUORUM_HINT_MS
      before = status
      if (options.timeoutMs !== undefined && context.now() - startedAt > options.timeoutMs) {
        throw await timedOut(client, id, options.timeoutMs)
      }
      if (context.now() > hintAt) {
        hintAt = Number.POSITIVE_INFINITY
        await hintQuorum(context, client)
      }
      await context.sleep(POLL_MS)
    }
  } catch (error) {
    if (context.signal.aborted) assertGoing(context, id)
    throw error
  } finally {
    view.end()
  }
}

/** The exit code for how a rollout ended, after telling it. Throws the CliError of a bad end. */
export function concludeRollout(context: Context, status: RolloutStatus): number {
  const id = shortId(status.id)
  switch (status.state) {
    case 'rejected':
      throw rejection(status)
    case 'halted':
      throw new CliError('NF-2102', `rollout ${id} was halted`, { why: failures(status) })
    case 'reverted':
      throw new CliError('NF-2103', `rollout ${id} was reverted`, { why: failures(status) })
    case 'superseded':
      throw new CliError(
        'NF-2105',
        `rollout ${id} was superseded${status.supersededBy ? ` by ${shortId(status.supersededBy)}` : ''}`,
      )
    case 'complete':
      if (status.failed.length > 0)
        context.out.note(`complete, but failed: ${status.failed.join(', ')}`)
      return EXIT_OK
    default:
      return EXIT_OK
  }
}

/** The error that a rejected plan is. */
export function rejection(status: RolloutStatus): CliError {
  const code = status.rejected?.code ?? 'malformed'
  const codes: Readonly<Record<string, string>> = {
    conflict: 'NF-2101',
    scope: 'NF-2112',
    expired: 'NF-2112',
    floor: 'NF-2113',
    'stale-base': 'NF-2114',
    downgrade: 'NF-2115',
    supersede: 'NF-2108',
    halted: 'NF-2102',
  }
  const winner = status.rejected?.winner
  return new CliError(
    codes[code] ?? 'NF-2116',
    `plan ${shortId(status.id)} was rejected: ${code}`,
    {
      why: [status.rejected?.why ?? 'the voters gave no reason'],
      fix: winner ? [`nixfleet rollout status ${shortId(winner)}`] : ['nixfleet rollout list'],
    },
  )
}

interface View {
  readonly update: (before: Answer | undefined, status: Answer) => void
  readonly end: () => void
}

async function createView(context: Context, show: boolean): Promise<View> {
  const { out, words } = context
  if (!show) return { update: () => undefined, end: () => undefined }
  if (!out.human) {
    return {
      update: (before, status) => {
        if (before === undefined || changed(before, status)) out.record(status)
      },
      end: () => undefined,
    }
  }
  if (!out.stdout.isTTY) {
    return {
      update: (before, status) => {
        for (const line of changeLines(before, status, words)) out.line(line)
      },
      end: () => undefined,
    }
  }
  return liveView(context)
}

/** The redrawn tree; its libraries are loaded only here. */
async function liveView(context: Context): Promise<View> {
  const { createLogUpdate } = await import('log-update')
  const { default: truncate } = await import('cli-truncate')
  const { words, out } = context
  const draw = createLogUpdate(process.stdout)
  return {
    update: (_before, status) => {
      const tree = rolloutTree(status, words, { nowMs: context.now() })
      const lines = tree
        .split('\n')
        .map((line) => truncate(line, Math.max(20, out.stdout.columns - 1)))
      const foot = isOver(status) ? [] : [words.paint.dim('Ctrl-C leaves; the rollout goes on')]
      draw([...lines, ...foot].join('\n'))
    },
    end: () => draw.done(),
  }
}

function assertGoing(context: Context, id: string): void {
  if (!context.signal.aborted) return
  throw new Interrupted(
    `left; rollout ${shortId(id)} goes on: nixfleet rollout watch ${shortId(id)}`,
  )
}

/** Whether the picture of the rollout is another one; ages and counters of witnesses do not count. */
function changed(before: RolloutStatus, after: RolloutStatus): boolean {
  return picture(before) !== picture(after)
}

function picture(status: RolloutStatus): string {
  const hosts = status.waves.map((wave) => [
    wave.state,
    wave.hosts.map((host) => [host.name, host.phase, host.round, host.why, host.started]),
  ])
  const ids = [...status.holds, ...status.halts].map((row) => row.id)
  return JSON.stringify([status.state, status.closed, status.held, status.failed, ids, hosts])
}

async function timedOut(client: Client, id: string, timeoutMs: number): Promise<CliError> {
  const lack = await lackOfVoters(client)
  const message = `rollout ${shortId(id)} is not done after ${Math.round(timeoutMs / 1000)} s`
  const fix = [`it goes on: nixfleet rollout watch ${shortId(id)}`]
  if (lack === undefined) return new CliError('NF-2109', message, { fix })
  return new CliError('NF-2104', message, { why: [lack], fix })
}

async function hintQuorum(context: Context, client: Client): Promise<void> {
  const lack = await lackOfVoters(client)
  if (lack !== undefined) context.out.note(`waiting for voters: ${lack}`)
}

async function lackOfVoters(client: Client): Promise<string | undefined> {
  const fleet = await client.get<FleetStatus>('/api/v1/fleet?hosts=no').catch(() => undefined)
  if (fleet === undefined) return undefined
  const there = fleet.voters.filter((voter) => voter.reachable)
  if (there.length >= fleet.quorum) return undefined
  const away = fleet.voters.filter((voter) => !voter.reachable).map((voter) => voter.name)
  return `${fleet.quorum} of ${plural(fleet.voters.length, 'voter')} must agree, and ${away.join(', ')} cannot be reached`
}

function failures(status: RolloutStatus): readonly string[] {
  const halts = status.halts.map((halt) => `${halt.operator.name}: ${halt.why}`)
  const hosts = status.waves
    .flatMap((wave) => wave.hosts)
    .filter((host) => host.why !== null && host.why !== 'halt' && host.why !== 'breach')
    .map((host) => `${host.name}: ${[host.why, host.detail].filter(Boolean).join(', ')}`)
  return [...halts, ...hosts]
}
