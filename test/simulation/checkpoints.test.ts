/** The voters' cosigned checkpoints of a whole fleet, in virtual time and under real keys. */
import { describe, expect, test } from 'vitest'
import { LOG_START } from '../../node/gate-log.ts'
import type { Runtime } from '../../node/runtime.ts'
import {
  checkpointText,
  cosign,
  cosignedAt,
  DEMO,
  decodeWitnessAnswer,
  encodeWitnessQuestion,
  entryOf,
  formatNote,
  gateOrigin,
  leafHash,
  MerkleTree,
  openCheckpoint,
  type SignedNote,
  toHex,
  type WitnessQuestion,
} from '../../protocol/index.ts'
import { cosignersOf, standingOf } from '../../rollout/index.ts'
import { SimFleet } from './fleet.ts'

async function rolledOut(hosts = 5): Promise<{ fleet: SimFleet; first: Runtime }> {
  const fleet = new SimFleet({ hosts, voters: 4, timing: { ...DEMO, anchorMs: 5_000 } })
  await fleet.start()
  const first = nodeOf(fleet, 'host-01')
  const release = await fleet.announce(first, 1)
  const rollout = await fleet.plan(first, release, [fleet.names])
  const closed = await fleet.until(120_000, () =>
    fleet.nodes.every((node) => node.gate.state.rollouts.get(rollout)?.status === 'complete'),
  )
  expect(closed).toBe(true)
  return { fleet, first }
}

function nodeOf(fleet: SimFleet, name: string): Runtime {
  const { node } = fleet.host(name)
  if (node === undefined) throw new Error(`${name} does not run`)
  return node
}

/** Everybody holds a checkpoint of the newest anchor or close that a quorum signed. */
const settled = (fleet: SimFleet) => (): boolean =>
  new Set(fleet.nodes.map((node) => node.cosign.sizes.log)).size === 1 &&
  fleet.nodes.every(({ cosign: { sizes } }) => sizes.due > 0 && sizes.standing === sizes.due)

async function notesOf(node: Runtime): Promise<{ size: number; note: SignedNote }[]> {
  const notes: { size: number; note: SignedNote }[] = []
  for await (const one of node.cosign.notes(0)) notes.push(one)
  return notes
}

async function treeOf(node: Runtime): Promise<MerkleTree> {
  const tree = new MerkleTree()
  for await (const { block } of node.gate.log.committed(LOG_START)) {
    tree.append(leafHash(entryOf(block.bytes, 'gate.propose', node.parts.trust.fleet).entry))
  }
  return tree
}

async function ask(fleet: SimFleet, node: Runtime, question: WitnessQuestion) {
  const asked = node.answerSelf('cosign', encodeWitnessQuestion(question))
  await fleet.clock.advance(10)
  return decodeWitnessAnswer(await asked, node.parts.name)
}

describe('checkpoints of a fleet', () => {
  test('every close and anchor is cosigned by a quorum and spreads to every node', async () => {
    const { fleet, first } = await rolledOut()
    expect(await fleet.until(60_000, settled(fleet))).toBe(true)
    const { trust } = first.parts
    for (const node of fleet.nodes) {
      const notes = await notesOf(node)
      const tree = await treeOf(node)
      expect(notes.length).toBeGreaterThan(0)
      for (const { size, note } of notes) {
        const { checkpoint } = openCheckpoint(formatNote(note), node.parts.name)
        expect(checkpoint.origin).toBe(gateOrigin(trust.fleet, 'site'))
        expect(checkpoint.size).toBe(size)
        expect(toHex(checkpoint.root)).toBe(toHex(tree.root(size)))
      }
      const newest = notes.at(-1)
      expect(newest && standingOf(newest.note, trust).by.length).toBeGreaterThanOrEqual(3)
    }
  })

  test('an idle fleet with new facts is anchored, and the anchor cosigned', async () => {
    const { fleet, first } = await rolledOut()
    expect(await fleet.until(60_000, settled(fleet))).toBe(true)
    const { due } = first.cosign.sizes
    await fleet.sign(first, fleet.operator, 'rollout.halt', {
      ...{ rollout: 'ab'.repeat(32), revert: false, why: 'a fact and nothing to decide' },
    })
    const anchored = (): boolean => first.cosign.sizes.due > due && settled(fleet)()
    expect(await fleet.until(60_000, anchored)).toBe(true)
    let last: number | undefined
    for await (const { block } of first.gate.log.committed(LOG_START))
      last = block.body.commands.length
    expect(last).toBe(0)
  })

  test('S15: a voter signs no other root, no smaller tree, and nothing without a proof', async () => {
    const { fleet, first } = await rolledOut()
    expect(await fleet.until(60_000, settled(fleet))).toBe(true)
    const { due, log } = first.cosign.sizes
    const tree = await treeOf(first)
    const origin = gateOrigin(first.parts.trust.fleet, 'site')
    const text = (size: number, root = tree.root(size)): string =>
      checkpointText({ origin, size, root })
    const asked = { kind: 'cosign', from: due, proof: [] } as const

    const smaller = { ...asked, checkpoint: text(1), from: 1 }
    expect(await ask(fleet, first, smaller)).toEqual({ kind: 'conflict', size: due })
    const back = { ...asked, checkpoint: text(1) }
    expect(await ask(fleet, first, back)).toEqual({ kind: 'conflict', size: due })
    const other = { ...asked, checkpoint: text(due, tree.root(1)) }
    expect(await ask(fleet, first, other)).toMatchObject({ kind: 'refused' })
    const beyond = { ...asked, checkpoint: text(log + 1, tree.root(1)) }
    expect(await ask(fleet, first, beyond)).toEqual({ kind: 'behind', size: log })
    const foreign = { ...asked, checkpoint: text(due).replace('/g/site', '/g/mars') }
    expect(await ask(fleet, first, foreign)).toMatchObject({ kind: 'refused' })
    const unproven = { ...asked, checkpoint: text(due), proof: [tree.root(1)] }
    expect(await ask(fleet, first, unproven)).toMatchObject({ kind: 'refused' })
    expect(await ask(fleet, first, { ...asked, checkpoint: text(due) })).toMatchObject({
      kind: 'cosigned',
    })
    const follower = nodeOf(fleet, 'host-05')
    expect(await ask(fleet, follower, { ...asked, checkpoint: text(due) })).toMatchObject({
      kind: 'refused',
    })
  })

  test('S15: times and sizes of one voter rise together, through a crash and a lost disk', async () => {
    const { fleet, first } = await rolledOut()
    expect(await fleet.until(60_000, settled(fleet))).toBe(true)
    fleet.crash('host-02')
    fleet.loseDisk('host-03')
    await fleet.boot('host-02')
    await fleet.boot('host-03')
    const release = await fleet.announce(first, 2)
    await fleet.plan(first, release, [fleet.names])
    const { due } = first.cosign.sizes
    const later = (): boolean => first.cosign.sizes.due > due && settled(fleet)()
    expect(await fleet.until(120_000, later)).toBe(true)
    const { trust } = first.parts
    for (const { host, key } of cosignersOf(trust.fleet, trust.config)) {
      const times: number[] = []
      for (const { note } of await notesOf(first)) {
        const timeS = cosignedAt(note, key)
        if (timeS !== undefined) times.push(timeS)
      }
      expect(times.length, host).toBeGreaterThan(0)
      expect(times).toEqual([...times].sort((a, b) => a - b))
    }
  })

  test('a voter that signs another log is kept as proof and stops nothing', async () => {
    const { fleet, first } = await rolledOut()
    expect(await fleet.until(60_000, settled(fleet))).toBe(true)
    const { trust } = first.parts
    const liar = fleet.host('host-04')
    const cosigner = cosignersOf(trust.fleet, trust.config).find(({ host }) => host === 'host-04')
    if (cosigner === undefined) throw new Error('host-04 does not vote')
    const forged = checkpointText({
      ...{ origin: gateOrigin(trust.fleet, 'site'), size: 1, root: new Uint8Array(32) },
    })
    const line = cosign({ text: forged, key: liar.keys.cosign, cosigner: cosigner.key, timeS: 1 })
    const theirs = nodeOf(fleet, 'host-04')
    await theirs.parts.store.write(
      [
        {
          key: 'tlog/checkpoint/site/0000000000000999',
          value: new TextEncoder().encode(formatNote({ text: forged, signatures: [line] })),
        },
      ],
      { sync: true },
    )
    expect(await fleet.until(60_000, () => first.cosign.splits > 0)).toBe(true)
    expect(first.cosign.sizes.standing).toBeGreaterThan(0)
    expect(first.gate.frozen).toBe(false)
  })
})
