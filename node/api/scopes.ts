/**
 * What a read token may read: each route names the scopes that open it, and what is not here is closed.
 *
 * Every pattern is that of the route itself, so that a new route is closed to tokens until somebody
 * wrote here who may read it. A test compares the two.
 */

/** What a token may be for. Part of the contract: add, never rename. */
export const TOKEN_SCOPES: readonly ['status', 'audit', 'metrics'] = ['status', 'audit', 'metrics']
export type TokenScope = (typeof TOKEN_SCOPES)[number]

const STATUS: readonly TokenScope[] = ['status']
const AUDIT: readonly TokenScope[] = ['audit']
const EITHER: readonly TokenScope[] = ['status', 'audit']

/**
 * Routes by their pattern. Not here, because only whoever is about to change something needs them, on
 * the socket or over libp2p: `/base`, `/blobs`, `/invites`, `/requests`, bundles, and every route that
 * takes bytes.
 */
export const ROUTE_SCOPES: Readonly<Record<string, readonly TokenScope[]>> = {
  '/readyz': ['status', 'audit', 'metrics'],
  '/metrics': ['metrics'],
  '/api/v1/fleet': STATUS,
  '/api/v1/hosts': STATUS,
  '/api/v1/hosts/:name': STATUS,
  '/api/v1/peers': STATUS,
  '/api/v1/peers/forks': EITHER,
  '/api/v1/doctor': STATUS,
  '/api/v1/caches': STATUS,
  '/api/v1/rollouts': STATUS,
  '/api/v1/rollouts/:id': STATUS,
  '/api/v1/rollouts/:id/why/:host': STATUS,
  '/api/v1/releases': STATUS,
  '/api/v1/releases/:id': STATUS,
  '/api/v1/releases/:id/diff/:other': STATUS,
  '/api/v1/events': EITHER,
  '/api/v1/stream': EITHER,
  '/api/v1/documents': EITHER,
  '/api/v1/audit': AUDIT,
  '/api/v1/log/feeds': AUDIT,
  '/api/v1/log/envelopes': AUDIT,
  '/api/v1/log/blocks': AUDIT,
  '/api/v1/log/bodies': AUDIT,
  '/api/v1/log/body': AUDIT,
  '/api/v1/log/checkpoints': AUDIT,
}

/** Whether a token of `scopes` may read the route of that pattern. */
export function mayRead(scopes: readonly TokenScope[], pattern: string): boolean {
  const opened = Object.hasOwn(ROUTE_SCOPES, pattern) ? ROUTE_SCOPES[pattern] : undefined
  return opened?.some((scope) => scopes.includes(scope)) === true
}
