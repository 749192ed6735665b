/**
 * Who may read what over TCP, written by hand: a line for each route, with the scopes that open it. The
 * test compares it with what the shipped server answers; neither is made from the other.
 */
export const TOKEN_POLICY = `
GET  /healthz                              everybody
GET  /readyz                               status audit metrics
GET  /api/v1/fleet                         status
GET  /api/v1/hosts                         status
GET  /api/v1/hosts/:name                   status
GET  /api/v1/peers                         status
GET  /api/v1/peers/forks                   status audit
GET  /api/v1/doctor                        status
GET  /api/v1/caches                        status
GET  /api/v1/rollouts                      status
GET  /api/v1/rollouts/:id                  status
GET  /api/v1/rollouts/:id/why/:host        status
GET  /api/v1/releases                      status
GET  /api/v1/releases/:id                  status
GET  /api/v1/releases/:id/diff/:other      status
GET  /api/v1/events                        status audit
GET  /api/v1/stream                        status audit
GET  /api/v1/documents                     status audit
GET  /api/v1/audit                         audit
GET  /api/v1/log/feeds                     audit
GET  /api/v1/log/envelopes                 audit
GET  /api/v1/log/blocks                    audit
GET  /api/v1/log/bodies                    audit
GET  /api/v1/log/body                      audit
GET  /api/v1/log/checkpoints               audit
GET  /api/v1/base                          nobody
GET  /api/v1/blobs                         nobody
GET  /api/v1/invites                       nobody
GET  /api/v1/requests                      nobody
GET  /api/v1/bundle/vector                 nobody
POST /api/v1/bundle/export                 nobody
POST /api/v1/bundle/facts                  nobody
POST /api/v1/bundle/gate                   nobody
POST /api/v1/operations                    nobody
PUT  /api/v1/blobs/:hash                   nobody
`

/** One line of it. */
export interface PolicyLine {
  readonly method: string
  readonly route: string
  readonly readers: readonly string[]
}

export const POLICY_LINES: readonly PolicyLine[] = TOKEN_POLICY.trim()
  .split('\n')
  .map((line) => {
    const [method = '', route = '', ...readers] = line.split(/\s+/)
    return { method, route, readers }
  })
