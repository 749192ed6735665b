/**
 * The role table, filled in by the shipped rules: for each cell a fleet is founded, the key gets its role
 * by a root that the log commits, loses it in the way of its state, and signs a real fact. What became of
 * that is the cell.
 */
import { feedKey, type Root } from '../../protocol/index.ts'
import { lossOf, rolloutRecord } from '../../rollout/fleet-view.ts'
import { revokedLimit } from '../../rollout/revocations.ts'
import { haltCovers, isHeld } from '../../rollout/steering.ts'
import { isKnownAuthor } from '../../rollout/trust.ts'
import { announceRoot, nextRoot, personKey } from '../unit/rollout/root-steps.ts'
import { CHANNEL, GROUP, session, World } from '../unit/rollout/world.ts'
import {
  ACTIONS,
  type Action,
  expectedOf,
  ROLES,
  type Role,
  SCOPES,
  type Scope,
  STATES,
  type State,
  type Verdict,
} from './policy.ts'

/** One cell: what the policy says, and what the product does. */
export interface Cell {
  readonly role: Role
  readonly action: Action
  readonly scope: Scope
  readonly state: State
  readonly expected: Verdict
  readonly actual: Verdict
}

/** Every cell, in a fixed order. */
export function accessTable(): readonly Cell[] {
  return ROLES.flatMap((role) =>
    ACTIONS.flatMap((action) =>
      SCOPES.flatMap((scope) =>
        STATES.map((state): Cell => {
          const place = { role, action, scope, state }
          return { ...place, expected: expectedOf(place), actual: actualOf(place) }
        }),
      ),
    ),
  )
}

const WHO = 'someone'
const key = personKey(WHO).publicKey
/** A date that has passed at the world's wall clock, which stands at 500. */
const PAST = 400

interface Place {
  readonly role: Role
  readonly action: Action
  readonly scope: Scope
  readonly state: State
}

function actualOf(place: Place): Verdict {
  const world = new World({ hosts: 4 })
  const ci = world.announce({ version: 1 })
  const found = world.trust.root
  inForce(world, grantOf(world.trust.root, place))
  const earlier = world.plan({ waves: [['h00']], release: ci }).id
  world.settle()
  if (place.state === 'removed') inForce(world, without(world.trust.root, found))
  if (place.state === 'revoked')
    world.say('admin', 'key.revoke', { key, feeds: [], why: 'the table' })
  const later = world.plan({ waves: [['h01']], release: ci }).id
  world.settle()
  for (const id of [earlier, later])
    if (world.state.rollouts.get(id)?.status !== 'open') throw new Error('expected two rollouts')
  return act(world, place.action, { earlier, later, release: ci }) ? 'allowed' : 'refused'
}

/** The root under which the key has its role; that of a stranger names it nowhere. */
function grantOf(root: Root, { role, scope, state }: Place): Partial<Root> {
  const expires = state === 'expired' ? PAST : 0
  switch (role) {
    case 'readonly':
    case 'deploy':
    case 'admin': {
      const groups =
        role === 'admin' && scope === 'in' ? [] : [scope === 'in' ? GROUP : 'elsewhere']
      const grant = { name: WHO, key, role, groups, channels: [], expires }
      return { operators: [...root.operators, grant] }
    }
    case 'release': {
      const channels = [scope === 'in' ? CHANNEL : 'edge']
      return { releaseKeys: [...root.releaseKeys, { name: WHO, key, channels }] }
    }
    case 'root-admin':
      return { admins: [...root.admins, key].sort(), threshold: 2 }
    case 'stranger':
      return { groups: [...root.groups, 'unused'].sort() }
  }
}

/** Everything that the key had is gone; the rest stays. */
function without(root: Root, first: Root): Partial<Root> {
  const { admins, threshold } = first
  const operators = root.operators.filter((one) => one.key !== key)
  return {
    admins,
    threshold,
    operators,
    releaseKeys: first.releaseKeys,
    groups: ['last', ...root.groups],
  }
}

function inForce(world: World, change: Partial<Root>): void {
  const { version } = world.trust.root
  announceRoot(world, nextRoot(world, change), { keys: [personKey('admin'), personKey(WHO)] })
  world.settle()
  if (world.trust.root.version !== version + 1) throw new Error('expected the root in force')
}

interface Things {
  readonly earlier: string
  readonly later: string
  readonly release: ReturnType<World['announce']>
}

/** The key signs, and the door and the rules of every node answer. */
function act(world: World, action: Action, things: Things): boolean {
  if (!isKnownAuthor(world.trust, key)) return false
  if (!isOpen(world) && action !== 'revoke-own') return false
  const before = world.facts.length
  const took = EFFECTS[action](world, things)
  const said = world.facts.slice(before).filter(({ author }) => author === key)
  if (said.length === 0) throw new Error('expected the key to sign something')
  return took
}

/** Whether a node still takes the next fact of the key's feed. */
function isOpen(world: World): boolean {
  const feed = feedKey(key, session(0))
  const pinned = world.state.evidence.vector.get(feed)
  const limit = revokedLimit(world.view, feed, pinned)
  const next = (world.view.vector.get(feed)?.seq ?? -1) + 1
  return limit === undefined || next <= limit
}

const EFFECTS: Readonly<Record<Action, (world: World, things: Things) => boolean>> = {
  release: (world) => {
    const { id } = world.announce({ version: 7 }, WHO)
    return world.view.releases.has(id)
  },
  deploy: (world, { release }) => {
    const { id } = world.plan({ waves: [['h02']], by: WHO, release })
    world.settle()
    return world.state.rollouts.has(id)
  },
  halt: (world, { later }) => {
    world.halt(later, { by: WHO })
    return haltCovers(rolloutRecord(world.view, later), 'h01')
  },
  'halt-earlier': (world, { earlier }) => {
    world.halt(earlier, { by: WHO })
    return haltCovers(rolloutRecord(world.view, earlier), 'h00')
  },
  pause: (world, { later }) => {
    world.say(WHO, 'rollout.hold', { kind: 'on', rollout: later, why: 'the table' })
    return isHeld(rolloutRecord(world.view, later))
  },
  resume: (world, { later }) => {
    const hold = { kind: 'on', rollout: later, why: 'the table' } as const
    const { id } = world.say('alice', 'rollout.hold', hold)
    const off = { kind: 'off', rollout: later, releases: [id], why: 'the table' } as const
    world.say(WHO, 'rollout.hold', off)
    return !isHeld(rolloutRecord(world.view, later))
  },
  lost: (world, { later }) => {
    world.lose('h01', later, WHO)
    return lossOf(rolloutRecord(world.view, later), 'h01') !== undefined
  },
  configuration: (world) => {
    const { fact } = world.configure(world.nextConfig({ add: ['h09'] }), { by: WHO })
    return world.view.configs.has(fact.id)
  },
  root: (world) => {
    const { fact } = announceRoot(world, nextRoot(world), { by: WHO })
    return world.view.roots.has(fact.id)
  },
  'revoke-other': (world) => revokes(world, personKey('bob').publicKey),
  'revoke-own': (world) => revokes(world, key),
}

function revokes(world: World, whom: string): boolean {
  const body = { key: whom, feeds: [], why: 'the table' }
  const { id } = world.say(WHO, 'key.revoke', body, { session: session(1) })
  return world.view.revocations.get(whom)?.has(id) === true
}

/** Cells whose two sides differ. */
export function wrongCells(cells: readonly Cell[]): readonly Cell[] {
  return cells.filter(({ expected, actual }) => expected !== actual)
}
