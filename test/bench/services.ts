/** The web services of all hosts of a benchmark's fleet, and the fault that is put into them. */
import { readFileSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { SiteHost } from '../../cli/demo/site.ts'

/** How a service fails for visitors: at once with status 500, or never answering. */
export type FaultKind = 'error' | 'hang'

/** A fault that is switched on. */
export interface Fault {
  readonly kind: FaultKind
  /** The generation that has it; every other one stays well. */
  readonly generation: string
}

/** One visitor who met the fault, in ms of the wall clock: facts are dated by the same one. */
export interface Met {
  readonly host: string
  readonly at: number
}

/** The services of a fleet. */
export interface Services {
  /** From now on visitors of `fault.generation` meet the fault; the hosts' own checks stay green. */
  breakWith(fault: Fault): void
  /** Every service is well again; gives the visits that met the fault, oldest first. */
  mend(): readonly Met[]
  /** Visitors who met the fault so far, oldest first. */
  readonly met: readonly Met[]
  /** The generation that serves at a host. */
  active(host: SiteHost): string
  close(): Promise<void>
}

/** Listens on the ports of every host. */
export async function serveAll(hosts: readonly SiteHost[]): Promise<Services> {
  let fault: Fault | undefined
  let met: Met[] = []
  const page = (host: SiteHost, response: ServerResponse): void => {
    const generation = active(host)
    if (fault === undefined || fault.generation !== generation) {
      response.end(`${generation}\n`)
      return
    }
    met.push({ host: host.name, at: Date.now() })
    if (fault.kind === 'error') response.writeHead(500).end('the page failed\n')
  }
  const servers = await Promise.all(
    hosts.flatMap((host) => [
      listen(host.web, (response) => page(host, response)),
      listen(host.health, (response) => void response.end('ok\n')),
    ]),
  )
  return {
    breakWith: (wanted) => {
      met = []
      fault = wanted
    },
    mend: () => {
      fault = undefined
      return met
    },
    get met() {
      return met
    },
    active,
    close: async () => {
      for (const server of servers) server.closeAllConnections()
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))))
    },
  }
}

function active(host: SiteHost): string {
  return readFileSync(join(host.folder, 'state', 'active'), 'utf8').trim()
}

function listen(port: number, answer: (response: ServerResponse) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((_, response) => answer(response))
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}
