/** The routes that an auditor pulls a whole log through, page by page. */
import type { Hono } from 'hono'
import { z } from 'zod'
import type { ApiBackend } from './backend.ts'
import { PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX } from './limits.ts'
import { pageRows } from './page.ts'
import { ApiError } from './problem.ts'
import { queryOf, stampedBody } from './read-routes.ts'

const place = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0)
const FEEDS_QUERY = z.strictObject({
  limit: z.coerce.number().int().min(1).max(PAGE_ROWS_MAX).default(PAGE_ROWS_DEFAULT),
  cursor: z.string().min(1).max(128).optional(),
})
const ENVELOPES_QUERY = z.strictObject({
  author: z.string().regex(/^[0-9a-f]{64}$/),
  session: z.string().regex(/^[0-9a-f]{32}$/),
  from: place,
})
const AFTER_QUERY = z.strictObject({ epoch: place, view: place })
const BODY_QUERY = z.strictObject({ hash: z.string().regex(/^[0-9a-f]{64}$/), from: place })
const ABOVE_QUERY = z.strictObject({ above: place })

/** Adds them to `api`, which is mounted at /api/v1. */
export function addLogPullRoutes(api: Hono, backend: ApiBackend): void {
  api.get('/log/feeds', async (c) => {
    const rows = await backend.feeds()
    const page = pageRows(rows, (row) => `${row.author}/${row.session}`, queryOf(c, FEEDS_QUERY))
    return c.json(stampedBody(backend, 'FeedList', page))
  })
  api.get('/log/envelopes', async (c) => {
    const page = await backend.envelopes(queryOf(c, ENVELOPES_QUERY))
    return c.json(stampedBody(backend, 'EnvelopePage', page))
  })
  api.get('/log/blocks', async (c) => {
    const after = queryOf(c, AFTER_QUERY)
    return c.json(stampedBody(backend, 'BlockPage', await backend.blocks(after)))
  })
  api.get('/log/bodies', async (c) => {
    const page = pageRows(await backend.bodies(), (row) => row.hash, queryOf(c, FEEDS_QUERY))
    return c.json(stampedBody(backend, 'BodyList', page))
  })
  api.get('/log/body', async (c) => {
    const { hash, from } = queryOf(c, BODY_QUERY)
    const page = await backend.body(hash, from)
    if (page === undefined)
      throw new ApiError(
        'NF-4001',
        `this node holds no body ${hash}`,
        'ask another node: nixfleet peers',
      )
    return c.json(stampedBody(backend, 'BodyPage', page))
  })
  api.get('/log/checkpoints', async (c) => {
    const { above } = queryOf(c, ABOVE_QUERY)
    return c.json(stampedBody(backend, 'CheckpointPage', await backend.checkpoints(above)))
  })
}
