/**
 * Who may do what, written by hand from SPEC §7.4, §7.9, §6.9–§6.12 and §10: nothing here is computed from
 * the product. `table.ts` asks the product the same questions.
 */

export const ROLES = ['readonly', 'deploy', 'admin', 'release', 'root-admin', 'stranger'] as const
export type Role = (typeof ROLES)[number]

export const ACTIONS = [
  'release',
  'deploy',
  'halt',
  'halt-earlier',
  'pause',
  'resume',
  'lost',
  'configuration',
  'root',
  'revoke-other',
  'revoke-own',
] as const
/** `halt` is of a rollout that was admitted after the change of state, `halt-earlier` of one before it. */
export type Action = (typeof ACTIONS)[number]

export const SCOPES = ['in', 'out'] as const
export type Scope = (typeof SCOPES)[number]

/** The key is as the root gave it, its date has passed, a later root names it no more, or it is revoked. */
export const STATES = ['valid', 'expired', 'removed', 'revoked'] as const
export type State = (typeof STATES)[number]

export type Verdict = 'allowed' | 'refused'

/** `scope/state` pairs that are allowed, `*` for any; all others are refused. */
type Row = readonly string[]

const NEVER: Row = []
/** Steering ignores the date, and nothing else. */
const STEERS: Row = ['in/valid', 'in/expired']
/** Whoever could halt what was admitted always can; a revoked key finds no open door, but for a relay. */
const HALTS_EARLIER: Row = ['in/valid', 'in/expired', 'in/removed']
/** One's own key, always: it takes nothing from anybody else. */
const OWN: Row = ['*/valid', '*/expired', '*/removed', '*/revoked']

const DEPLOYS: Readonly<Record<Action, Row>> = {
  release: NEVER,
  deploy: ['in/valid'],
  halt: STEERS,
  'halt-earlier': HALTS_EARLIER,
  pause: STEERS,
  resume: STEERS,
  lost: STEERS,
  configuration: NEVER,
  root: NEVER,
  'revoke-other': NEVER,
  'revoke-own': OWN,
}
const LOOKS: Readonly<Record<Action, Row>> = {
  ...{ release: NEVER, deploy: NEVER, halt: NEVER, 'halt-earlier': NEVER, pause: NEVER },
  ...{ resume: NEVER, lost: NEVER, configuration: NEVER, root: NEVER, 'revoke-other': NEVER },
  'revoke-own': OWN,
}
/** An admin of the root has no date and cannot be revoked: only a root takes one out. */
const ADMIN: Row = ['*/valid', '*/expired', '*/revoked']

/** The policy. */
export const POLICY: Readonly<Record<Role, Readonly<Record<Action, Row>>>> = {
  readonly: LOOKS,
  deploy: DEPLOYS,
  admin: { ...DEPLOYS, configuration: STEERS, root: STEERS },
  release: { ...LOOKS, release: ['in/valid', 'in/expired'] },
  'root-admin': {
    ...LOOKS,
    configuration: ADMIN,
    root: ADMIN,
    'revoke-other': ADMIN,
    // Nobody revokes an admin; one that was removed may revoke the key that it was.
    'revoke-own': ['*/removed'],
  },
  stranger: { ...LOOKS, 'revoke-own': NEVER },
}

/** What the policy says of a cell. */
export function expectedOf(cell: {
  readonly role: Role
  readonly action: Action
  readonly scope: Scope
  readonly state: State
}): Verdict {
  const { role, action, scope, state } = cell
  const allowed = POLICY[role][action]
  return allowed.includes(`${scope}/${state}`) || allowed.includes(`*/${state}`)
    ? 'allowed'
    : 'refused'
}
