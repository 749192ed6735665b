/** What an admin's own machine checks of a request before it signs, whatever the peer said. */
import { describe, expect, it } from 'vitest'
import { assertWithinUses, mayInvite, type Verified, verified } from '../../../cli/enrol/verify.ts'
import { CliError } from '../../../cli/errors.ts'
import {
  deriveHostKeys,
  type FactOf,
  hostIdentity,
  type Invite,
  type KeyPair,
  keyPair,
  NO_FACT,
  type Root,
  sealFact,
  sha256,
  signEnroll,
  utf8,
} from '../../../protocol/index.ts'

const FLEET = 'f1'.repeat(16)
const keyOf = (label: string): KeyPair => keyPair(sha256(utf8(label)))
const TICKET = keyOf('ticket')
const operator = (name: string, more: object = {}) => ({
  ...{ name, key: keyOf(name).publicKey, role: 'admin' as const, groups: [], channels: [] },
  ...{ expires: 0, ...more },
})
const ROOT: Root = {
  ...{ version: 1, name: 'acme', admins: [keyOf('admin').publicKey], threshold: 1 },
  operators: [
    operator('ada'),
    operator('dana', { role: 'deploy' }),
    operator('eve', { expires: 1_000 }),
    operator('olga', { groups: ['elsewhere'] }),
  ],
  ...{ releaseKeys: [], groups: ['main'] },
}
const trust = { root: ROOT, fleet: FLEET, group: 'main', now: 2_000 }

function invite(more: Partial<Invite> = {}, by = 'admin'): FactOf<'invite.open'> {
  const body: Invite = {
    ...{ group: 'main', key: TICKET.publicKey, role: 'host', tags: ['role=db'], groups: [] },
    ...{ channels: [], expires: 0, uses: 1, notAfter: 9_000, why: '', ...more },
  }
  const place = { session: '00'.repeat(16), seq: 0, prev: NO_FACT, epoch: 1, ts: 1 }
  const draft = { type: 'invite.open' as const, body, ...place }
  return sealFact(draft, { fleet: FLEET, key: keyOf(by) })
}

function ask(fact: FactOf<'invite.open'>, name: string, ticket = TICKET, asHost = true) {
  const keys = deriveHostKeys(sha256(utf8(name)))
  const { transport, cosign } = hostIdentity(name, keys)
  const host = { transport, cosign, addresses: [] }
  const body = { invite: fact.id, name, ...(asHost ? { host } : {}) }
  return signEnroll(body, { fleet: FLEET, key: keys.fact, ticket })
}

const codeOf = (act: () => unknown): string => {
  try {
    act()
    return 'taken'
  } catch (error) {
    if (error instanceof CliError) return error.code
    throw error
  }
}

describe('an invite is believed', () => {
  it.each([
    ['admin', true],
    ['ada', true],
    ['dana', false],
    ['eve', false],
    ['olga', false],
    ['stranger', false],
  ])('by %s: %s', (by, believed) => {
    const key = keyOf(by).publicKey
    expect(mayInvite(ROOT, 'main', { key, now: trust.now })).toBe(believed)
    const fact = invite({}, by)
    expect(codeOf(() => verified(ask(fact, 'web-1'), fact, trust))).toBe(
      believed ? 'taken' : 'NF-1310',
    )
  })
})

describe('a request is verified', () => {
  const fact = invite()

  it('with the tags of its invite, or the scope of the operator', () => {
    const asked = ask(fact, 'web-1')
    const { host, grant } = verified(asked, fact, trust)
    expect(host).toMatchObject({ name: 'web-1', fact: asked.key, tags: ['role=db'] })
    expect(grant).toBeUndefined()
    const person = invite({ role: 'deploy', tags: [], channels: ['edge'], expires: 5_000 })
    expect(verified(ask(person, 'bob', TICKET, false), person, trust).grant).toMatchObject({
      ...{ name: 'bob', role: 'deploy', channels: ['edge'], expires: 5_000 },
    })
  })

  it('and refused under another invite, ticket, name, role or group', () => {
    const other = invite({ why: 'another' })
    expect(codeOf(() => verified(ask(fact, 'web-1'), other, trust))).toBe('NF-1310')
    expect(codeOf(() => verified(ask(fact, 'web-1', keyOf('x')), fact, trust))).toBe('NF-1310')
    const named = invite({ name: 'web-2' })
    expect(codeOf(() => verified(ask(named, 'web-1'), named, trust))).toBe('NF-1307')
    expect(codeOf(() => verified(ask(fact, 'web-1', TICKET, false), fact, trust))).toBe('NF-1307')
    const elsewhere = invite({ group: 'elsewhere' })
    expect(codeOf(() => verified(ask(elsewhere, 'web-1'), elsewhere, trust))).toBe('NF-1310')
  })
})

describe('a peer that shows more than there is', () => {
  const two = invite({ uses: 2 })
  const of = (name: string): Verified => verified(ask(two, name), two, trust)

  it('is found out: more keys than uses, those before counted', () => {
    expect(codeOf(() => assertWithinUses([of('a'), of('b')], []))).toBe('taken')
    expect(codeOf(() => assertWithinUses([of('a'), of('b')], [of('a')]))).toBe('taken')
    expect(codeOf(() => assertWithinUses([of('a'), of('b'), of('c')], []))).toBe('NF-1303')
    expect(codeOf(() => assertWithinUses([of('a'), of('b')], [of('c')]))).toBe('NF-1303')
  })

  it('or two that want one name', () => {
    const again = { ...of('b'), request: { ...of('b').request, name: 'a' } }
    expect(codeOf(() => assertWithinUses([of('a'), again], []))).toBe('NF-1307')
  })
})
