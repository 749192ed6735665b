/** Holders of tickets at the desks of a fleet: what is refused changes nothing, what is taken is taken once. */
import { expect, test } from 'vitest'
import { EnrolDesk } from '../../node/enrol-desk.ts'
import { ENROLLS_BURST_MAX } from '../../node/limits.ts'
import type { Runtime } from '../../node/runtime.ts'
import {
  DEMO,
  decodeEnrollAnswer,
  type EnrollAnswer,
  type EnrollRequest,
  encodeEnrollQuestion,
  type Invite,
  type KeyPair,
  keyPair,
  sha256,
  utf8,
} from '../../protocol/index.ts'
import { invitesOf } from '../../rollout/index.ts'
import { SimFleet } from './fleet.ts'
import { requestOf, TICKET } from './newcomers.ts'

const keyOf = (label: string): KeyPair => keyPair(sha256(utf8(label)))

class Site {
  readonly fleet = new SimFleet({ hosts: 3, timing: DEMO, seed: 11 })
  readonly desks = new Map<Runtime, EnrolDesk>()
  readonly #fleetId = this.fleet.trust.fleet

  node(at: number): Runtime {
    const node = this.fleet.nodes[at]
    if (node === undefined) throw new Error(`no host ${at}`)
    return node
  }

  async invite(more: Partial<Invite> = {}, at = 0): Promise<string> {
    return await this.fleet.sign(this.node(at), this.fleet.admin, 'invite.open', {
      ...{ group: this.fleet.trust.config.group, key: TICKET.publicKey, role: 'host', tags: [] },
      ...{ groups: [], channels: [], expires: 0, uses: 1, why: 'a test' },
      ...{ notAfter: this.node(0).parts.clock.wallMs() + 3_600_000, ...more },
    })
  }

  request(invite: string, name: string, ticket = TICKET, fleet = this.#fleetId): EnrollRequest {
    return requestOf(name, invite, { fleet, ticket })
  }

  async ask(at: number, bytes: Uint8Array, ticket = TICKET): Promise<string> {
    const answer = await this.answer(at, encodeEnrollQuestion({ request: bytes }), ticket)
    if (answer.kind === 'standing') return answer.state
    return answer.kind === 'refused' ? answer.code : 'document'
  }

  async answer(at: number, question: Uint8Array, ticket = TICKET): Promise<EnrollAnswer> {
    const node = this.node(at)
    const desk = this.desks.get(node) ?? new EnrolDesk(node)
    this.desks.set(node, desk)
    return decodeEnrollAnswer(await desk.answer(question, ticket.publicKey))
  }

  get facts(): number {
    return this.node(0).facts.count
  }
}

async function site(): Promise<Site> {
  const made = new Site()
  await made.fleet.start()
  await made.fleet.clock.advance(5_000)
  return made
}

test('every bad request is refused with its reason, and changes nothing', async () => {
  const here = await site()
  const invite = await here.invite()
  const ended = await here.invite({ notAfter: 1 })
  const revoked = await here.invite()
  const { fleet } = here
  const why = { invite: revoked, why: 'mailed' }
  await fleet.sign(here.node(0), fleet.admin, 'invite.revoke', why)
  await fleet.clock.advance(5_000)
  const good = here.request(invite, 'new-1').bytes
  const flipped = Uint8Array.from(good)
  flipped[20] = (flipped[20] ?? 0) ^ 1
  const cases: [string, string, Uint8Array, KeyPair?][] = [
    ['malformed', 'a cut request', good.subarray(0, 40)],
    ['malformed', 'bytes that are none', new Uint8Array(100)],
    ['wrong-fleet', 'another fleet', here.request(invite, 'new-1', TICKET, 'ee'.repeat(16)).bytes],
    ['unknown-invite', 'no invite', here.request('11'.repeat(32), 'new-1').bytes],
    ['wrong-ticket', 'another ticket signed', here.request(invite, 'new-1', keyOf('x')).bytes],
    ['wrong-ticket', 'another ticket connects', good, keyOf('x')],
    ['expired', 'the invite has ended', here.request(ended, 'new-1').bytes],
    ['revoked', 'the invite was revoked', here.request(revoked, 'new-1').bytes],
    ['name-taken', 'a host’s name', here.request(invite, fleet.names[0] ?? '').bytes],
  ]
  const before = here.facts
  for (const [code, what, bytes, ticket] of cases) {
    expect(await here.ask(0, bytes, ticket), what).toBe(code)
  }
  const changed = await here.ask(0, flipped)
  expect(['malformed', 'wrong-fleet']).toContain(changed)
  const noise = await here.answer(0, new Uint8Array([1, 2, 3]))
  expect(noise).toMatchObject({ kind: 'refused', code: 'malformed' })
  await fleet.clock.advance(5_000)
  expect(here.facts).toBe(before)
  expect(invitesOf(here.node(0).knowledge()).every(({ spent }) => spent === 0)).toBe(true)
})

test('a request is taken once, wherever it is asked, and every peer knows how it stands', async () => {
  const here = await site()
  const invite = await here.invite()
  await here.fleet.clock.advance(5_000)
  const { bytes } = here.request(invite, 'new-1')
  const before = here.facts
  for (const at of [0, 0, 0]) expect(await here.ask(at, bytes)).toBe('pending')
  await here.fleet.clock.advance(5_000)
  for (const at of [0, 1, 2]) expect(await here.ask(at, bytes)).toBe('pending')
  await here.fleet.clock.advance(5_000)
  expect(here.facts - before, 'one fact of one peer').toBe(1)
  for (const at of [0, 1, 2])
    expect(await here.ask(at, here.request(invite, 'new-2').bytes), 'replayed').toBe('used-up')
  const want = encodeEnrollQuestion({ request: bytes, want: { kind: 'root', number: 1 } })
  expect(await here.answer(1, want), 'who is not in sees no document').toMatchObject({
    code: 'not-admitted',
  })
})

test('two peers that cannot hear each other take one use each; one of them is surplus everywhere', async () => {
  const here = await site()
  const invite = await here.invite()
  await here.fleet.clock.advance(5_000)
  const [first = '', ...others] = here.fleet.names
  here.fleet.hub.partition([first], others)
  const [a, b] = [here.request(invite, 'new-1'), here.request(invite, 'new-2')]
  expect(await here.ask(0, a.bytes)).toBe('pending')
  await here.fleet.clock.advance(1_000)
  expect(await here.ask(1, b.bytes)).toBe('pending')
  here.fleet.hub.healAll()
  await here.fleet.clock.advance(60_000)
  for (const at of [0, 1, 2]) {
    expect([await here.ask(at, a.bytes), await here.ask(at, b.bytes)]).toEqual([
      'pending',
      'surplus',
    ])
  }
})

test('a peer that is asked too often says so, and answers again later', async () => {
  const here = await site()
  const invite = await here.invite()
  const { bytes } = here.request(invite, 'new-1')
  const answers = []
  for (let i = 0; i < ENROLLS_BURST_MAX + 5; i++) answers.push(await here.ask(0, bytes))
  expect(new Set(answers.slice(0, ENROLLS_BURST_MAX))).toEqual(new Set(['pending']))
  expect(new Set(answers.slice(ENROLLS_BURST_MAX))).toEqual(new Set(['busy']))
  await here.fleet.clock.advance(10_000)
  expect(await here.ask(0, bytes)).toBe('pending')
})
