/** Whether this machine can send to the mDNS group at all: without a route it is never heard. */
import { readFile } from 'node:fs/promises'

const MDNS_GROUP = 0xe00000fb
const UP = 1
const REJECT = 0x200

/** Whether the kernel's table of IPv4 routes leads to the mDNS group, 224.0.0.251. Undefined where there is no such table. */
export async function hasMulticastRoute(): Promise<boolean | undefined> {
  const table = await readFile('/proc/net/route', 'utf8').catch(() => undefined)
  return table === undefined ? undefined : leadsToMdns(table)
}

/** The same for the text of the table: hex words in the byte order of a little-endian machine. */
export function leadsToMdns(table: string): boolean {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .some(([, destination = '', , flags = '0', , , , mask = '']) => {
      const bits = Number.parseInt(flags, 16)
      if ((bits & UP) === 0 || (bits & REJECT) !== 0) return false
      return (MDNS_GROUP & hostOrder(mask)) >>> 0 === hostOrder(destination) && mask !== ''
    })
}

function hostOrder(hex: string): number {
  const bytes = hex.padStart(8, '0').match(/../g) ?? []
  return Number.parseInt(bytes.reverse().join(''), 16) >>> 0
}
