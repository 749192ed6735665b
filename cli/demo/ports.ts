/**
 * Free loopback ports for a fleet on one machine.
 *
 * They lie below the range that the kernel gives to outgoing connections: a peer that redials a
 * killed daemon must not get that daemon's own port as its source, and connect to itself.
 */
import { createServer } from 'node:net'
import { CliError } from '../errors.ts'

/** Linux hands out 32768 and above; below 15000 well-known services live. */
const PORT_MIN = 15_000
const PORT_MAX = 32_000
/** Blocks tried before giving up: a machine on which so many are taken has another problem. */
const TRIES_MAX = 50

/**
 * `count` neighbouring ports on 127.0.0.1 that nobody listens on, the first one given.
 *
 * `random` is from 0 up to 1: two fleets that start at once should not look at the same block.
 * Throws NF-1008 when none is found.
 */
export async function freePorts(count: number, random: () => number): Promise<number> {
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    const first = PORT_MIN + Math.floor(random() * (PORT_MAX - PORT_MIN - count))
    const ports = Array.from({ length: count }, (_, i) => first + i)
    const free = await Promise.all(ports.map(isFree))
    if (free.every(Boolean)) return first
  }
  throw new CliError('NF-1008', `no ${count} free ports in a row on 127.0.0.1`, {
    why: [`looked between ${PORT_MIN} and ${PORT_MAX}`],
    fix: ['end what listens there, or take fewer hosts'],
  })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
