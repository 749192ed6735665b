/** S3 for who wants in notices a request that nobody may take, and one that may not wait. */
import { describe, expect, it } from 'vitest'
import {
  type FactBodies,
  type FactOf,
  type FactType,
  fromHex,
  NO_FACT,
  openEnroll,
  openFact,
  sealFact,
  toHex,
} from '../../protocol/index.ts'
import type { InviteStanding, RequestStanding } from '../../rollout/index.ts'
import { CHEAP_SIGNER, SimFleet } from './fleet.ts'
import { s3Invited, s3Waiting } from './invariants/newcomers.ts'
import { requestOf, TICKET } from './newcomers.ts'
import { READER } from './violation.ts'

const { trust, admin } = new SimFleet({ hosts: 1, signer: CHEAP_SIGNER })
const { fleet } = trust
const NOT_AFTER = 1_000

function said<T extends FactType>(type: T, body: FactBodies[T], ts = 0): FactOf<T> {
  const place = { session: '0'.repeat(32), seq: 0, prev: NO_FACT, epoch: 1, ts }
  const given = { fleet, key: admin, signer: CHEAP_SIGNER }
  const { bytes } = sealFact({ type, body, ...place }, given)
  return openFact(bytes, { fleet, whose: 'a test', signer: READER }) as FactOf<T>
}

const invite = said('invite.open', {
  ...{ group: 'site', key: TICKET.publicKey, role: 'host', tags: [], groups: [], channels: [] },
  ...{ expires: 0, uses: 1, notAfter: NOT_AFTER, why: '' },
})
const revoked = said('invite.revoke', { invite: invite.id, why: '' })

function asks(name: string, ts = 0): FactOf<'enroll.request'> {
  const { bytes } = requestOf(name, invite.id, { fleet, signer: CHEAP_SIGNER })
  return said('enroll.request', { request: toHex(bytes) }, ts)
}

function stands(name: string): RequestStanding {
  const { body } = asks(name)
  const request = openEnroll(fromHex(body.request), { fleet, whose: 'a test', signer: READER })
  return { request, invite, state: 'pending', at: 0, by: [], why: '' }
}

describe('S3 at the door', () => {
  it('wants an invite that is held, goes on, stands, and has a use left', () => {
    const take = (facts: Parameters<typeof s3Invited>[2]['facts'], ts = 0): number =>
      s3Invited('host-01', asks('new-1', ts), { fleet, facts }).length
    expect(take([invite])).toBe(0)
    expect(take([invite, asks('new-1')])).toBe(0)
    expect(take([])).toBe(1)
    expect(take([invite], NOT_AFTER + 1)).toBe(1)
    expect(take([invite, revoked])).toBe(1)
    expect(take([invite, asks('new-2')])).toBe(1)
    const denied = said('enroll.deny', { request: stands('new-2').request.id, why: '' })
    expect(take([invite, asks('new-2'), denied])).toBe(0)
  })

  it('lets no more wait than may, and nobody by what was revoked', () => {
    const standing = (...names: readonly string[]): readonly InviteStanding[] => [
      { fact: invite, revoked: false, spent: 0, requests: names.map(stands) },
    ]
    expect(s3Waiting('host-01', standing('new-1'), [invite])).toEqual([])
    expect(s3Waiting('host-01', standing('new-1', 'new-2'), [invite])).toHaveLength(1)
    expect(s3Waiting('host-01', standing('new-1'), [invite, revoked])).toHaveLength(1)
  })
})
