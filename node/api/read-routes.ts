/** The routes that read: each is one question to the backend, stamped. */
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import type { ApiBackend, LogQuery } from './backend.ts'
import { PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX } from './limits.ts'
import { pageRows, resolveId } from './page.ts'
import { ApiError } from './problem.ts'
import { API_VERSION, type HostRow, type Stamped } from './schema.ts'

interface PageQuery {
  readonly limit: number
  readonly cursor?: string | undefined
}

const flag = z.enum(['yes', 'no'])
const limit = z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).default(PAGE_ROWS_DEFAULT)
const cursor = z.string().min(1).max(128).optional()
const PAGE_QUERY = z.strictObject({ limit, cursor })
const FLEET_QUERY = z.strictObject({ hosts: z.enum(['yes', 'few', 'no']).default('yes') })
const BASE_QUERY = z.strictObject({ group: z.string().max(63).optional() })
const WANTED_QUERY = z.strictObject({ limit, cursor, closures: flag.default('no') })
const NO_QUERY = z.strictObject({})
const LOG_QUERY = z.strictObject({
  limit,
  since: cursor,
  type: z.string().max(32).optional(),
  host: z.string().max(63).optional(),
  actor: z.string().max(64).optional(),
  rollout: z
    .string()
    .regex(/^[0-9a-f]{4,64}$/)
    .optional(),
  newest: flag.default('no'),
})

/** Adds every reading route to `api`, which is mounted at /api/v1. */
export function addReadRoutes(api: Hono, backend: ApiBackend): void {
  addFleetRoutes(api, backend)
  addRolloutRoutes(api, backend)
  addReleaseRoutes(api, backend)
  addLogRoutes(api, backend)
  addEnrolRoutes(api, backend)
}

/** `body` with the stamp of the node that answers. */
export function stampedBody<Kind extends string, Body extends object>(
  backend: ApiBackend,
  kind: Kind,
  body: Body,
): Stamped<Kind, Body> {
  return { apiVersion: API_VERSION, kind, ...backend.stamp(), ...body }
}

/** The query of a request, checked. Throws NF-4002 with the first thing that is wrong. */
export function queryOf<T>(context: Context, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(context.req.query())
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = issue?.path.join('.') || 'the query'
  throw new ApiError(
    'NF-4002',
    `${where}: ${issue?.message ?? 'not understood'}`,
    'the operator guide lists the routes: Dashboards and scrapers',
  )
}

/** `few`: all of them where they fill no more than one page, so that most fleets need one question. */
function shownHosts(hosts: readonly HostRow[], shown: 'yes' | 'few' | 'no'): readonly HostRow[] {
  if (shown === 'yes') return hosts
  if (shown === 'no') return []
  const { items, next } = pageRows(hosts, (row) => row.name, { limit: PAGE_ROWS_DEFAULT })
  return next === null ? items : []
}

function addFleetRoutes(api: Hono, backend: ApiBackend): void {
  api.get('/fleet', async (c) => {
    const query = queryOf(c, FLEET_QUERY)
    const fleet = await backend.fleet()
    const hosts = shownHosts(fleet.hosts, query.hosts)
    return c.json(stampedBody(backend, 'FleetStatus', { ...fleet, hosts }))
  })
  api.get('/hosts', async (c) => {
    const rows = await backend.hosts()
    return c.json(
      stampedBody(
        backend,
        'HostList',
        pageRows(rows, (row) => row.name, pageQuery(c)),
      ),
    )
  })
  api.get('/hosts/:name', async (c) => {
    queryOf(c, NO_QUERY)
    const name = c.req.param('name')
    const host = found(await backend.host(name), `host ${name}`, 'nixfleet hosts list')
    return c.json(stampedBody(backend, 'HostDetail', host))
  })
  api.get('/peers', async (c) => {
    const rows = await backend.peers()
    return c.json(
      stampedBody(
        backend,
        'PeerList',
        pageRows(rows, (row) => row.name, pageQuery(c)),
      ),
    )
  })
  api.get('/peers/forks', async (c) => {
    const rows = await backend.forks()
    return c.json(
      stampedBody(
        backend,
        'ForkList',
        pageRows(rows, (row) => row.fact, pageQuery(c)),
      ),
    )
  })
  api.get('/doctor', async (c) => c.json(stampedBody(backend, 'Doctor', await backend.doctor())))
  api.get('/caches', async (c) => c.json(stampedBody(backend, 'CacheList', await backend.caches())))
  api.get('/documents', async (c) =>
    c.json(stampedBody(backend, 'Documents', await backend.documents())),
  )
  api.get('/base', async (c) => {
    const { group } = queryOf(c, BASE_QUERY)
    const base = found(
      await backend.planBase(group),
      `group ${group ?? ''}`,
      'ask a member of that group: --peer',
    )
    return c.json(stampedBody(backend, 'PlanBase', base))
  })
}

function addRolloutRoutes(api: Hono, backend: ApiBackend): void {
  const idOf = async (given: string): Promise<string> =>
    resolveId(
      (await backend.rollouts()).map((row) => row.id),
      given,
      'rollout',
    )
  api.get('/rollouts', async (c) => {
    const rows = await backend.rollouts()
    return c.json(
      stampedBody(
        backend,
        'RolloutList',
        pageRows(rows, (row) => row.id, pageQuery(c)),
      ),
    )
  })
  api.get('/rollouts/:id', async (c) => {
    queryOf(c, NO_QUERY)
    const id = await idOf(c.req.param('id'))
    const status = found(await backend.rollout(id), `rollout ${id}`, 'nixfleet rollout list')
    return c.json(stampedBody(backend, 'RolloutStatus', status))
  })
  api.get('/rollouts/:id/why/:host', async (c) => {
    queryOf(c, NO_QUERY)
    const id = await idOf(c.req.param('id'))
    const host = c.req.param('host')
    const why = found(
      await backend.why(id, host),
      `host ${host} in rollout ${id.slice(0, 12)}`,
      `nixfleet rollout status ${id.slice(0, 12)}`,
    )
    return c.json(stampedBody(backend, 'WhyHost', why))
  })
}

function addReleaseRoutes(api: Hono, backend: ApiBackend): void {
  const idOf = async (given: string): Promise<string> =>
    resolveId(
      (await backend.releases()).map((row) => row.id),
      given,
      'release',
    )
  api.get('/releases', async (c) => {
    const rows = await backend.releases()
    return c.json(
      stampedBody(
        backend,
        'ReleaseList',
        pageRows(rows, (row) => row.id, pageQuery(c)),
      ),
    )
  })
  api.get('/releases/:id', async (c) => {
    queryOf(c, NO_QUERY)
    const id = await idOf(c.req.param('id'))
    const release = found(await backend.release(id), `release ${id}`, 'nixfleet release list')
    return c.json(stampedBody(backend, 'ReleaseDetail', release))
  })
  api.get('/releases/:id/diff/:other', async (c) => {
    queryOf(c, NO_QUERY)
    const from = await idOf(c.req.param('id'))
    const to = await idOf(c.req.param('other'))
    const diff = found(
      await backend.diff(from, to),
      `both manifests of ${from.slice(0, 12)} and ${to.slice(0, 12)}`,
      'try again when the manifests have arrived: nixfleet release list',
    )
    return c.json(stampedBody(backend, 'ReleaseDiff', diff))
  })
}

function addLogRoutes(api: Hono, backend: ApiBackend): void {
  api.get('/events', async (c) =>
    c.json(stampedBody(backend, 'EventList', await backend.eventPage(logQuery(c)))),
  )
  api.get('/audit', async (c) =>
    c.json(stampedBody(backend, 'AuditLog', await backend.auditPage(logQuery(c)))),
  )
  api.get('/blobs', async (c) => {
    const { closures, ...query } = queryOf(c, WANTED_QUERY)
    const rows = await backend.wanted(closures === 'yes')
    return c.json(
      stampedBody(
        backend,
        'WantedList',
        pageRows(rows, (row) => row.hash, query),
      ),
    )
  })
}

function addEnrolRoutes(api: Hono, backend: ApiBackend): void {
  api.get('/invites', async (c) => {
    const page = pageRows(await backend.invites(), (row) => row.id, pageQuery(c))
    return c.json(stampedBody(backend, 'InviteList', page))
  })
  api.get('/requests', async (c) => {
    const page = pageRows(await backend.requests(), (row) => row.id, pageQuery(c))
    return c.json(stampedBody(backend, 'RequestList', page))
  })
}

function pageQuery(context: Context): PageQuery {
  return queryOf(context, PAGE_QUERY)
}

function logQuery(context: Context): LogQuery {
  const { newest, ...query } = queryOf(context, LOG_QUERY)
  return { ...query, newestFirst: newest === 'yes' }
}

function found<T>(value: T | undefined, what: string, fix: string): T {
  if (value !== undefined) return value
  throw new ApiError('NF-4001', `this node knows no ${what}`, fix)
}
