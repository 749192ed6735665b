import { describe, expect, it } from 'vitest'
import { absenceChecks } from '../../../node/absence.ts'
import { STRANGERS_MAX } from '../../../node/limits.ts'
import { type DialFaultKind, dialFault } from '../../../node/network/dial-fault.ts'
import { leadsToMdns } from '../../../node/network/multicast-route.ts'
import { Sightings } from '../../../node/network/sightings.ts'
import type { Absences } from '../../../node/ports.ts'

/** An error as Node and libp2p throw them: the reason lies inside. */
function nested(code: string, message = code): Error {
  const inner = Object.assign(new Error(`connect ${message} 10.0.0.2:7460`), { code })
  return new AggregateError([new Error('wrapped', { cause: inner })], 'All multiaddr dials failed')
}

describe('why a dial failed', () => {
  it.each<[DialFaultKind, unknown]>([
    ['refused', nested('ECONNREFUSED')],
    ['route', nested('EHOSTUNREACH')],
    ['route', nested('ENETUNREACH')],
    ['silent', nested('ETIMEDOUT')],
    ['silent', new DOMException('The operation was aborted due to timeout', 'TimeoutError')],
    ['denied', nested('ECONNRESET')],
    ['stranger', nested('X', 'Payload identity key 12D3a does not match expected remote identity')],
    ['other', new Error('something new')],
    ['other', undefined],
  ])('is %s', (kind, error) => {
    expect(dialFault(error).kind).toBe(kind)
    expect(dialFault(error).detail).toMatch(/^[\x20-\x7e]{1,160}$/)
  })

  it('is the most telling of several addresses: another key beats a firewall', () => {
    const errors = [nested('ETIMEDOUT'), nested('X', 'identity key does not match expected')]
    expect(dialFault(new AggregateError(errors, 'All dials failed')).kind).toBe('stranger')
  })
})

describe('a member that is not connected', () => {
  it('hung up on us if its connection ended right after our dial, and only then', () => {
    const sightings = new Sightings()
    sightings.reached('db-01', 1000)
    sightings.lost('db-01', 1500)
    expect(sightings.absence('db-01', []).fault?.kind).toBe('denied')
    sightings.reached('db-01', 2000)
    expect(sightings.absence('db-01', []).fault).toBeUndefined()
    sightings.lost('db-01', 90_000)
    expect(sightings.absence('db-01', []).fault).toBeUndefined()
  })

  it('has a reason and a way out for every fault, and says where it was looked for', () => {
    const kinds: readonly DialFaultKind[] = [
      ...(['refused', 'route', 'silent', 'stranger', 'denied', 'other'] as const),
    ]
    const addresses = ['/ip4/10.0.0.2/tcp/7460/p2p/12D3KooW']
    const members = kinds.map((kind) => ({
      ...{ peer: `host-${kind}`, addresses, announced: kind === 'silent' },
      fault: { kind, detail: 'EXAMPLE' },
    }))
    const checks = absenceChecks({ members, strangers: 0, multicast: true }, true)
    expect(checks.map((check) => check.state)).toEqual(kinds.map(() => 'fail'))
    expect(new Set(checks.map((check) => check.fix)).size).toBe(kinds.length)
    for (const { found } of checks)
      expect(found).toMatch(/looked for at \/ip4\/10.0.0.2\/tcp\/7460 \(EXAMPLE\)$/)
    expect(checks[2]?.found).toContain('it announces itself')
  })

  it('without any address is one that was never heard', () => {
    const members = [{ peer: 'db-01', addresses: [], announced: false, fault: undefined }]
    const seen: Absences = { members, strangers: 3, multicast: true }
    const checks = absenceChecks(seen, false)
    expect(checks.map(({ name, state }) => [name, state])).toEqual([
      ['member db-01', 'fail'],
      ['LAN', 'fail'],
      ['LAN', 'warn'],
    ])
    expect(checks[1]?.fix).toContain('ip route add 224.0.0.0/4')
    expect(checks[2]?.found).toContain('3 on this LAN')
    expect(absenceChecks({ ...seen, multicast: false }, false).at(-1)?.state).toBe('skipped')
    expect(absenceChecks({ ...seen, members: [] }, false)).toEqual([])
  })
})

describe('a stranger', () => {
  it('that announces itself is counted once, up to a bound, and stays no member', () => {
    const sightings = new Sightings()
    for (let i = 0; i < 2 * STRANGERS_MAX; i++) {
      sightings.heardStranger(`stranger ${i % (STRANGERS_MAX + 7)}`)
    }
    expect(sightings.strangers).toBe(STRANGERS_MAX)
    expect(sightings.absence('stranger 1', [])).toMatchObject({ announced: false, addresses: [] })
  })
})

describe('a way for multicast', () => {
  const head = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n'
  const row = (destination: string, mask: string, flags = '0001'): string =>
    `eth0\t${destination}\t00000000\t${flags}\t0\t0\t0\t${mask}\t0\t0\t0\n`

  it('is a default route or one that covers the group, if it is up', () => {
    expect(leadsToMdns(head + row('00000000', '00000000'))).toBe(true)
    expect(leadsToMdns(head + row('000000E0', '000000F0'))).toBe(true)
    expect(leadsToMdns(head + row('000000E0', '000000F0', '0000'))).toBe(false)
    expect(leadsToMdns(head + row('000000E0', '000000F0', '0201'))).toBe(false)
  })

  it('is not the LAN alone, nor nothing', () => {
    expect(leadsToMdns(head + row('00004D0A', '00FFFFFF'))).toBe(false)
    expect(leadsToMdns(head)).toBe(false)
    expect(leadsToMdns('')).toBe(false)
  })
})
