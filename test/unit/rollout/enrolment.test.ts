/** Invites and requests (SPEC §16): who may invite, how uses are counted, what a door refuses. */
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import {
  deriveHostKeys,
  type EnrollRequest,
  type FactOf,
  hostIdentity,
  type Invite,
  type KeyPair,
  keyPair,
  sha256,
  signEnroll,
  toHex,
  utf8,
} from '../../../protocol/index.ts'
import { withAuthority } from '../../../rollout/authority.ts'
import { type EnrollRuling, judgeEnroll, ticketsOf } from '../../../rollout/enrol-door.ts'
import { type InviteStanding, invitesOf, requestStanding } from '../../../rollout/enrolment.ts'
import { EMPTY_VIEW } from '../../../rollout/fleet-view.ts'
import { foldFacts } from '../../../rollout/fold.ts'
import { TICKET_KEPT_MS } from '../../../rollout/limits.ts'
import { GROUP, World } from './world.ts'

const pairOf = (label: string): KeyPair => keyPair(sha256(utf8(`paper/${label}`)))
const TICKET = pairOf('ticket')
const END = 1_000_000

const INVITE: Invite = {
  ...{ group: GROUP, key: TICKET.publicKey, role: 'host', tags: ['role=web'], groups: [] },
  ...{ channels: [], expires: 0, uses: 2, notAfter: END, why: 'a test' },
}

const adminUntil = (expires: number) => ({
  ...{ name: 'zoe', key: pairOf('zoe').publicKey, role: 'admin' as const },
  ...{ groups: [], channels: [], expires },
})

/** A fleet of three with one invite, and what can be done with it. */
class Door {
  readonly world = new World({ hosts: 3 })
  readonly invite: FactOf<'invite.open'>

  constructor(invite: Partial<Invite> = {}, by = 'admin') {
    this.invite = this.world.say(by, 'invite.open', { ...INVITE, ...invite })
  }

  /** A host asks; the name says which keys it has. */
  host(
    name: string,
    more: { invite?: string; ticket?: KeyPair; seed?: string; address?: string } = {},
  ): EnrollRequest {
    const keys = deriveHostKeys(sha256(utf8(`paper/${more.seed ?? name}`)))
    const { transport, cosign } = hostIdentity(name, keys)
    const addresses = more.address === undefined ? [] : [more.address]
    const body = {
      invite: more.invite ?? this.invite.id,
      name,
      host: { transport, cosign, addresses },
    }
    return signEnroll(body, {
      ...{ fleet: this.world.trust.fleet, key: keys.fact, ticket: more.ticket ?? TICKET },
    })
  }

  operator(name: string, seed = name): EnrollRequest {
    const body = { invite: this.invite.id, name }
    const fleet = this.world.trust.fleet
    return signEnroll(body, { fleet, key: pairOf(seed), ticket: TICKET })
  }

  bring(request: EnrollRequest, by = 'h00', ts = 1_000): void {
    this.world.say(by, 'enroll.request', { request: toHex(request.bytes) }, { ts })
  }

  deny(request: EnrollRequest, by = 'admin'): void {
    this.world.say(by, 'enroll.deny', { request: request.id, why: 'not ours' })
  }

  /** The host is let in, under the keys of its request. */
  admit(name: string): void {
    this.world.reconfigure({ add: [name] })
  }

  judge(request: EnrollRequest, wallMs = 0, ticket = TICKET.publicKey): string {
    const ruling: EnrollRuling = judgeEnroll(this.world, request, { ticket, wallMs })
    if (ruling.kind === 'known') return ruling.standing.state
    return ruling.kind === 'take' ? 'take' : ruling.code
  }

  state(request: EnrollRequest): string | undefined {
    return requestStanding(this.world, request.id)?.state
  }

  get standing(): InviteStanding | undefined {
    return invitesOf(this.world).find(({ fact }) => fact.id === this.invite.id)
  }
}

describe('an invite counts', () => {
  it.each([
    ['admin', true],
    ['alice', false],
    ['rita', false],
    ['h00', false],
    ['stranger', false],
  ])('by %s: %s', (by, counts) => {
    const door = new Door({}, by)
    expect(door.standing !== undefined).toBe(counts)
    expect(door.judge(door.host('h07'))).toBe(counts ? 'take' : 'unknown-invite')
    expect(ticketsOf(door.world, 0)).toEqual(counts ? [TICKET.publicKey] : [])
  })

  it('in its own group alone', () => {
    expect(new Door({ group: 'elsewhere' }).standing).toBeUndefined()
  })
})

describe('a door refuses, and says why', () => {
  const cases: [string, string, (door: Door) => string][] = [
    [
      'an invite that it does not know',
      'unknown-invite',
      (door) => door.judge(door.host('h07', { invite: 'ee'.repeat(32) })),
    ],
    [
      'a connection by another key',
      'wrong-ticket',
      (door) => door.judge(door.host('h07'), 0, pairOf('other').publicKey),
    ],
    [
      'a request that another ticket signed',
      'wrong-ticket',
      (door) => door.judge(door.host('h07', { ticket: pairOf('other') })),
    ],
    ['an invite that has ended', 'expired', (door) => door.judge(door.host('h07'), END + 1)],
    [
      'an operator by an invite for hosts',
      'wrong-role',
      (door) => door.judge(door.operator('carol')),
    ],
    ['the name of a host', 'name-taken', (door) => door.judge(door.host('h00', { seed: 'x' }))],
    [
      'the key of a host under another name',
      'key-used',
      (door) => door.judge(door.host('h09', { seed: 'h00' })),
    ],
  ]
  it.each(cases)('%s: %s', (_, code, judge) => {
    expect(judge(new Door())).toBe(code)
  })

  it('whom an operator invites whose role has ended', () => {
    const door = new Door()
    const asked = door.host('h07')
    const { trust, view } = door.world
    const ops = [...trust.root.operators, adminUntil(2_000)]
    const root = { ...trust.root, operators: ops }
    const by = { ...door.invite, author: adminUntil(0).key }
    const enrolment = { ...view.enrolment, invites: new Map([[by.id, by]]) }
    const known = { view: { ...view, enrolment }, trust: { ...trust, root } }
    const at = (wallMs: number) =>
      judgeEnroll(known, asked, { ticket: TICKET.publicKey, wallMs }).kind
    expect([at(1_999), at(2_000)]).toEqual(['take', 'refuse'])
  })

  it('another name than the invite has', () => {
    const door = new Door({ uses: 1, name: 'h07' })
    expect(door.judge(door.host('h08'))).toBe('wrong-name')
    expect(door.judge(door.host('h07'))).toBe('take')
  })

  it('an invite that was revoked, and what waits under it is denied', () => {
    const door = new Door()
    const early = door.host('h07')
    door.bring(early)
    door.world.say('admin', 'invite.revoke', { invite: door.invite.id, why: 'mailed' })
    expect(door.judge(door.host('h08'))).toBe('revoked')
    expect(door.judge(early)).toBe('denied')
    const other = new Door()
    other.world.say('alice', 'invite.revoke', { invite: other.invite.id, why: 'no authority' })
    expect(other.judge(other.host('h08'))).toBe('take')
  })

  it('a use more than there are; a denied one is free again', () => {
    const door = new Door()
    const [a, b] = [door.host('h07'), door.host('h08')]
    door.bring(a)
    door.bring(b)
    expect(door.judge(door.host('h09'))).toBe('used-up')
    expect([door.judge(a), door.judge(b)], 'asking again costs nothing').toEqual([
      'pending',
      'pending',
    ])
    door.deny(b, 'alice')
    expect(door.judge(b), 'alice may not deny').toBe('pending')
    door.deny(b)
    expect(door.judge(b)).toBe('denied')
    expect(door.judge(door.host('h09'))).toBe('take')
  })

  it('a name for which another waits, and a second request of a key that waits', () => {
    const door = new Door()
    door.bring(door.host('h07'))
    expect(door.judge(door.host('h07', { seed: 'x' }))).toBe('name-taken')
    expect(door.judge(door.host('h07', { address: '/ip4/10.0.0.7/tcp/1' }))).toBe('key-used')
  })

  it('an operator’s name or key that is taken', () => {
    const door = new Door({ role: 'deploy', tags: [] })
    expect(door.judge(door.operator('alice', 'x'))).toBe('name-taken')
    expect(door.judge(door.operator('carol', 'alice'))).toBe('key-used')
    expect(door.judge(door.operator('carol', 'admin'))).toBe('key-used')
    expect(door.judge(door.operator('carol'))).toBe('take')
    expect(door.judge(door.operator('alice')), 'who is in asks again').toBe('take')
    expect(door.judge(door.host('h07'))).toBe('wrong-role')
  })
})

describe('a request', () => {
  it('is admitted once a configuration names its keys, and stays so', () => {
    const door = new Door()
    const request = door.host('h03')
    door.bring(request)
    expect(door.state(request)).toBe('pending')
    door.admit('h03')
    expect(door.state(request)).toBe('admitted')
    expect(door.judge(request, END + 1), 'also after the end').toBe('admitted')
    door.world.reconfigure({ remove: ['h03'] })
    expect(door.state(request)).toBe('admitted')
    expect(door.standing?.spent).toBe(1)
  })

  it('is late by the earliest word of those who bring it', () => {
    const door = new Door()
    const request = door.host('h07')
    door.bring(request, 'h00', END + 1)
    expect(door.state(request)).toBe('late')
    expect(door.standing?.spent).toBe(0)
    door.bring(request, 'h01', END)
    expect(door.state(request)).toBe('pending')
    expect(requestStanding(door.world, request.id)?.by).toHaveLength(2)
  })

  it('with a broken signature counts nowhere and hides no good one', () => {
    const door = new Door()
    const good = door.host('h07')
    for (const at of [10, good.bytes.length - 1]) {
      const bad = Uint8Array.from(good.bytes)
      bad[at] = (bad[at] ?? 0) ^ 1
      door.world.say('h00', 'enroll.request', { request: toHex(bad) })
    }
    expect(door.standing?.requests).toEqual([])
    door.bring(good)
    expect(door.standing?.requests.map(({ state }) => state)).toEqual(['pending'])
  })

  it('beyond the uses is surplus at everybody, the earliest first', () => {
    const door = new Door()
    const requests = ['h07', 'h08', 'h09'].map((name) => door.host(name))
    requests.forEach((request, i) => {
      door.bring(request, `h0${i}`, 3_000 - i)
    })
    expect(requests.map((one) => door.state(one))).toEqual(['surplus', 'pending', 'pending'])
  })
})

test('tickets may knock a while after their end, the latest first', () => {
  const door = new Door()
  const later = pairOf('later').publicKey
  door.world.say('admin', 'invite.open', { ...INVITE, key: later, notAfter: END + 5 })
  expect(ticketsOf(door.world, 0)).toEqual([later, TICKET.publicKey])
  expect(ticketsOf(door.world, END + TICKET_KEPT_MS)).toEqual([later])
  expect(ticketsOf(door.world, END + TICKET_KEPT_MS + 5)).toEqual([])
})

/** Everything that can be said about one invite of two uses, by four hosts that want in. */
const anything = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('bring' as const),
      who: fc.nat(3),
      by: fc.nat(2),
      ts: fc.nat(9),
    }),
    fc.record({ kind: fc.constant('deny' as const), who: fc.nat(3) }),
    fc.record({ kind: fc.constant('admit' as const), who: fc.nat(3) }),
  ),
  { maxLength: 12 },
)

test('any facts in any order stand alike, within the uses, as the slow twin says', () => {
  fc.assert(
    fc.property(anything, fc.infiniteStream(fc.nat()), (acts, lots) => {
      const door = new Door()
      const names = ['h03', 'h04', 'h05', 'h06']
      const requests = names.map((name) => door.host(name))
      for (const act of acts) {
        const request = requests[act.who]
        const name = names[act.who]
        if (request === undefined || name === undefined) continue
        const there = door.world.trust.config.hosts.some((host) => host.name === name)
        if (act.kind === 'bring') door.bring(request, `h0${act.by}`, act.ts)
        else if (act.kind === 'deny') door.deny(request)
        else if (!there) door.admit(name)
      }
      const states = requests.map((one) => door.state(one))
      const waiting = states.filter((state) => state === 'pending').length
      const admitted = states.filter((state) => state === 'admitted').length
      expect(waiting).toBeLessThanOrEqual(Math.max(0, 2 - admitted))
      expect(door.standing?.spent).toBe(waiting + admitted)
      expect(states).toEqual(twin(door, requests))
      const { value: lot = 0 } = lots.next()
      const turned = door.world.facts.toSorted(
        (a, b) => ((a.ts * 31 + a.seq + lot) % 7) - ((b.ts * 31 + b.seq + lot) % 7),
      )
      const view = withAuthority(
        foldFacts(EMPTY_VIEW, turned, door.world.trust),
        door.world.trust,
        door.world.state,
      )
      const again = { view, trust: door.world.trust }
      expect(requests.map((one) => requestStanding(again, one.id)?.state)).toEqual(states)
    }),
    { numRuns: 60 },
  )
})

/** The rule of §16.4 read aloud: for each request, look at everybody else's. */
function twin(door: Door, requests: readonly EnrollRequest[]): (string | undefined)[] {
  const facts = door.world.facts
  const firstOf = (request: EnrollRequest): number =>
    Math.min(
      ...facts.flatMap((fact) =>
        fact.type === 'enroll.request' && fact.body.request === toHex(request.bytes)
          ? [fact.ts]
          : [],
      ),
    )
  const isIn = ({ name }: EnrollRequest): boolean =>
    door.world.trust.config.hosts.some((host) => host.name === name)
  const isDenied = ({ id }: EnrollRequest): boolean =>
    facts.some((fact) => fact.type === 'enroll.deny' && fact.body.request === id)
  const known = requests.filter((one) => firstOf(one) < Number.POSITIVE_INFINITY)
  const before = (a: EnrollRequest, b: EnrollRequest): boolean =>
    firstOf(a) < firstOf(b) || (firstOf(a) === firstOf(b) && a.id < b.id)
  return requests.map((one) => {
    if (!known.includes(one)) return undefined
    if (isIn(one)) return 'admitted'
    if (isDenied(one)) return 'denied'
    const ahead = known.filter((other) => !isIn(other) && !isDenied(other) && before(other, one))
    return known.filter(isIn).length + ahead.length >= 2 ? 'surplus' : 'pending'
  })
}
