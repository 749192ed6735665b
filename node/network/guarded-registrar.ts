/** libp2p's registrar as a service is given it: streams and connections of others are kept from it. */

import type { GossipSubComponents } from '@chainsafe/libp2p-gossipsub'
import type { PeerId, StreamHandler, Topology } from '@libp2p/interface'

export type Registrar = GossipSubComponents['registrar']

/** The registrar, of which a service sees only peers whom `admits` lets through. */
export function guardRegistrar(registrar: Registrar, admits: (peer: PeerId) => boolean): Registrar {
  const guarded: Pick<Registrar, 'handle' | 'register'> = {
    handle: (protocol, handler, options) => {
      const guard: StreamHandler = (stream, connection) => {
        if (admits(connection.remotePeer)) return handler(stream, connection)
        stream.abort(new Error('this peer may not ask for this'))
      }
      return registrar.handle(protocol, guard, options)
    },
    register: (protocol, topology) => {
      const guard: Topology = {
        ...topology,
        onConnect: (peer, connection) => {
          if (admits(peer)) topology.onConnect?.(peer, connection)
        },
      }
      return registrar.register(protocol, guard)
    },
  }
  return new Proxy(registrar, {
    get: (target, key) => {
      const value = key in guarded ? guarded[key as keyof typeof guarded] : Reflect.get(target, key)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
