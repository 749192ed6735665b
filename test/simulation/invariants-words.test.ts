/** The invariants of what is said and kept notice what they are for, and nothing else. */
import { describe, expect, it } from 'vitest'
import { type Signer, sealAnswer, sealFact } from '../../protocol/index.ts'
import { CHEAP_SIGNER, SimFleet } from './fleet.ts'
import { s13FrozenByLiar } from './invariants/gate.ts'
import { s5HaltKept, s6NoLateBreach } from './invariants/host.ts'
import { s12Domain, s12Journaled } from './invariants/voice.ts'
import { s8CutOff, s8Patient } from './invariants/witness.ts'

const fleet = new SimFleet({ hosts: 3, signer: CHEAP_SIGNER })
const { fleet: id } = fleet.trust

/** What a signature over a fact and over an answer covers. */
function signedMessages(): readonly Uint8Array[] {
  const seen: Uint8Array[] = []
  const signer: Signer = {
    ...CHEAP_SIGNER,
    sign: (input) => {
      seen.push(input.message)
      return CHEAP_SIGNER.sign(input)
    },
  }
  const { key } = { key: fleet.operator }
  const place = { session: '0'.repeat(32), seq: 0, prev: '0'.repeat(64), epoch: 1, ts: 0 }
  const halt = { rollout: 'a'.repeat(64), revert: true, why: 'x' }
  sealFact({ type: 'rollout.halt', body: halt, ...place }, { fleet: id, key, signer })
  const probe = {
    nonce: '0'.repeat(32),
    host: 'host-01',
    generation: 'g',
    boot: 'b',
    healthy: true,
  }
  sealAnswer('probe.rsp', probe, { fleet: id, key, signer })
  return seen
}

describe('S12', () => {
  it('wants every signature to name the fleet and the type of its payload', () => {
    const messages = signedMessages()
    expect(messages).toHaveLength(2)
    for (const message of messages) {
      expect(s12Domain('host-01', message, id)).toEqual([])
      expect(s12Domain('host-01', message, 'f'.repeat(32))).toHaveLength(1)
      const other = Buffer.from(message)
      other[14] = (other[14] ?? 0) ^ 1
      expect(s12Domain('host-01', other, id)).toHaveLength(1)
      expect(s12Domain('host-01', message.subarray(1), id)).toHaveLength(1)
    }
    expect(s12Domain('host-01', Buffer.from('cosignature/v1\ntime 1\n'), id)).toEqual([])
  })

  it('lets nobody say what a crash could take back', () => {
    expect(s12Journaled('host-01', 'skip in view 3', true)).toEqual([])
    expect(s12Journaled('host-01', 'skip in view 3', false)).toHaveLength(1)
  })
})

describe('stops and evidence', () => {
  it('S5: a halt that was held is on the disk after a crash', () => {
    const halt = { id: 'h', author: 'a', session: 's', seq: 7 } as Parameters<
      typeof s5HaltKept
    >[1][number]
    const key = `fact/a/s/${'7'.padStart(16, '0')}`
    const disk = (held: string) => ({
      read: (asked: string) => (asked === held ? new Uint8Array() : undefined),
    })
    expect(s5HaltKept('host-01', [halt], disk(key))).toEqual([])
    expect(s5HaltKept('host-01', [halt], disk('elsewhere'))).toHaveLength(1)
  })

  it('S6: a breach sends nobody back from a rollout that closed complete', () => {
    type Said = Parameters<typeof s6NoLateBreach>[1]
    type Log = Parameters<typeof s6NoLateBreach>[2]
    const said = (why: string): Said => ({ body: { rollout: 'r', why } }) as unknown as Said
    const log = (outcome: string): Log =>
      [
        { block: { body: { commands: [{ kind: 'close', rollout: 'r', outcome }] } } },
      ] as unknown as Log
    expect(s6NoLateBreach('host-01', said('breach'), log('complete'))).toHaveLength(1)
    expect(s6NoLateBreach('host-01', said('halt'), log('complete'))).toEqual([])
    expect(s6NoLateBreach('host-01', said('breach'), log('reverted'))).toEqual([])
  })

  it('S8: nobody accuses early, or holds itself cut off while it hears the unwatched', () => {
    const who = { observer: 'host-01', subject: 'host-02' }
    expect(s8Patient(who, 1_000, 9_000)).toHaveLength(1)
    expect(s8Patient(who, 9_000, 9_000)).toEqual([])
    expect(s8CutOff('host-01', ['host-03'], [])).toHaveLength(1)
    expect(s8CutOff('host-01', ['host-03'], ['host-03'])).toEqual([])
    expect(s8CutOff('host-01', [], [])).toEqual([])
  })

  it('S13: who knows of a liar in a group that bears none votes for its removal alone', () => {
    type Voted = Parameters<typeof s13FrozenByLiar>[1]
    const block = (kind: string): Voted =>
      ({ body: { view: 3, commands: [{ kind }] } }) as unknown as Voted
    expect(s13FrozenByLiar('host-01', block('start'), ['host-02'])).toHaveLength(1)
    expect(s13FrozenByLiar('host-01', block('reconfig'), ['host-02'])).toEqual([])
    expect(s13FrozenByLiar('host-01', block('start'), [])).toEqual([])
  })
})
