/** Strangers in the middle of a handshake: bounded by address, whatever they do and in whatever order. */
import type { MultiaddrConnection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX } from '../../../node/limits.ts'
import { Handshakes } from '../../../node/network/handshakes.ts'

class FakeConnection extends EventTarget {
  readonly remoteAddr
  constructor(address: string) {
    super()
    this.remoteAddr = multiaddr(address)
  }
  close(): void {
    this.dispatchEvent(new Event('close'))
  }
}

const from = (address: string) => {
  const connection = new FakeConnection(address)
  return { connection, as: connection as unknown as MultiaddrConnection }
}

describe('handshakes', () => {
  it('of one address never are more than its places, and of an IPv6 network neither', () => {
    for (const at of [
      () => '/ip4/10.0.0.1/tcp/1',
      (i: number) => `/ip6/2001:db8::${i.toString(16)}/tcp/1`,
    ]) {
      const handshakes = new Handshakes()
      const begun = Array.from({ length: 3 * HANDSHAKES_PER_ADDRESS_MAX }, (_, i) =>
        handshakes.begin(from(at(i)).as),
      )
      expect(begun.filter(Boolean).length).toBe(HANDSHAKES_PER_ADDRESS_MAX)
      // Whoever fills one address has not filled the node.
      expect(handshakes.begin(from('/ip4/10.0.0.2/tcp/1').as)).toBe(true)
    }
    expect(HANDSHAKES_PER_ADDRESS_MAX * 16).toBeLessThanOrEqual(HANDSHAKES_MAX)
  })

  it('give each place back once, by an end, a close or both, in any order', () => {
    const acts = fc.array(fc.constantFrom('begin', 'end', 'close', 'end twice'), { maxLength: 300 })
    fc.assert(
      fc.property(acts, fc.nat(), (given, pick) => {
        const handshakes = new Handshakes()
        const open: ReturnType<typeof from>[] = []
        for (const act of given) {
          if (act === 'begin') {
            const one = from('/ip4/10.0.0.1/tcp/1')
            const expected = open.length < HANDSHAKES_PER_ADDRESS_MAX
            expect(handshakes.begin(one.as)).toBe(expected)
            if (expected) open.push(one)
            continue
          }
          const [one] = open.splice(pick % Math.max(1, open.length), 1)
          if (act === 'close') one?.connection.close()
          else if (one !== undefined) handshakes.end(one.as)
          if (act === 'end twice') {
            one?.connection.close()
            if (one !== undefined) handshakes.end(one.as)
          }
        }
      }),
    )
  })
})
