/**
 * Connections whose other end has proven no key yet, bounded for each address.
 *
 * libp2p bounds them in all, so that a single stranger who says nothing would take every place and keep
 * members out for as long as it likes.
 */
import type { MultiaddrConnection } from '@libp2p/interface'
import { clientOf } from '../client-address.ts'
import { HANDSHAKES_PER_ADDRESS_MAX } from '../limits.ts'

/** Who is in the middle of a handshake. */
export class Handshakes {
  readonly #clients = new WeakMap<MultiaddrConnection, string>()
  readonly #underWay = new Map<string, number>()

  /** Takes a place until the connection is closed or `end`ed; false when its address has enough. */
  begin(connection: MultiaddrConnection): boolean {
    const client = clientOf(addressOf(connection))
    const count = this.#underWay.get(client) ?? 0
    if (count >= HANDSHAKES_PER_ADDRESS_MAX) return false
    this.#underWay.set(client, count + 1)
    this.#clients.set(connection, client)
    connection.addEventListener('close', () => this.end(connection), { once: true })
    return true
  }

  /** The other end has proven its key; calling it again changes nothing. */
  end(connection: MultiaddrConnection): void {
    const client = this.#clients.get(connection)
    if (client === undefined) return
    this.#clients.delete(connection)
    const left = (this.#underWay.get(client) ?? 1) - 1
    if (left <= 0) this.#underWay.delete(client)
    else this.#underWay.set(client, left)
  }
}

function addressOf({ remoteAddr }: MultiaddrConnection): string | undefined {
  const parts = remoteAddr.getComponents()
  return parts.find(({ name }) => name === 'ip4' || name === 'ip6')?.value
}
