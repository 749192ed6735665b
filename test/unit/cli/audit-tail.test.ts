/**
 * A reconfig that a block above it committed: the way to that block lies beside the log, and every
 * checker walks it. The log is made by hand, because a calm fleet commits a reconfig at once.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Findings } from '../../../cli/audit/findings.ts'
import { gateAt, tailAt } from '../../../cli/audit/layout.ts'
import { LogWriter, readTail, writeTail, writeWhole } from '../../../cli/audit/log-files.ts'
import { writeVerifiers } from '../../../cli/audit/verifiers.ts'
import { verifyPull } from '../../../cli/audit/verify-pull.ts'
import {
  type Block,
  type BlockBody,
  DEMO,
  deriveHostKeys,
  encodeCertificate,
  entryOf,
  fleetIdOf,
  type GroupConfig,
  gateOrigin,
  hostIdentity,
  keyPair,
  type LogEntry,
  sealBlock,
  sealVote,
  sha256,
  signGroupConfig,
  signRoot,
  toHex,
  utf8,
} from '../../../protocol/index.ts'
import { check, forged } from '../../pulled-fleet.ts'

const admin = keyPair(sha256(utf8('tail/admin')))
const keys = deriveHostKeys(sha256(utf8('tail/host')))
const root = signRoot(
  {
    ...{ version: 1, name: 'tail', admins: [admin.publicKey], threshold: 1 },
    ...{ operators: [], releaseKeys: [], groups: ['main'] },
  },
  [admin],
)
const fleet = fleetIdOf(root.hash)
const by = { fleet, key: keys.fact }

function config(epoch: number) {
  const value: GroupConfig = {
    ...{ fleet, group: 'main', epoch, voters: ['host-1'], faultModel: 'crash', quorum: 1 },
    hosts: [{ ...hostIdentity('host-1', keys), addresses: [], tags: [] }],
    floors: { canaryMin: 0, soakMsMin: 0, wavePercentMax: 100, budgetMax: 250 },
    timing: DEMO,
  }
  return signGroupConfig(value, [admin])
}

const [first, second] = [config(1), config(2)]

function block(place: Pick<BlockBody, 'epoch' | 'view' | 'parent'>, more: Partial<BlockBody> = {}) {
  return sealBlock(
    { group: 'main', ...place, commands: [], rootVersion: 1, basis: [], ...more },
    by,
  )
}

function certified({ id, body }: Block): Uint8Array {
  const { group, epoch, view } = body
  const vote = sealVote('final', { group, epoch, view, block: id }, by)
  const votes = [{ voter: vote.voter, signature: vote.signature }]
  return encodeCertificate({ kind: 'final', body: vote.body, votes })
}

function entry({ bytes }: Block): LogEntry {
  return entryOf(bytes, 'gate.propose', fleet)
}

const document = toHex(sha256(second.bytes))
const change = block(
  { epoch: 1, view: 1, parent: first.hash },
  { commands: [{ kind: 'reconfig', config: document }] },
)
const above = block({ epoch: 1, view: 3, parent: change.id })
const top = block({ epoch: 1, view: 4, parent: above.id })
const next = block(
  { epoch: 2, view: 1, parent: change.id },
  { commands: [{ kind: 'admit', rollout: 'ab'.repeat(32) }] },
)

const pull = mkdtempSync(join(tmpdir(), 'nixfleet-tail-'))
const copies: string[] = []

beforeAll(() => {
  mkdirSync(join(pull, 'documents'))
  writeWhole(join(pull, 'documents/root.1.cbor'), root.bytes)
  writeWhole(join(pull, 'documents/group.main.1.cbor'), first.bytes)
  writeWhole(join(pull, 'documents/group.main.2.cbor'), second.bytes)
  const log = new LogWriter(gateAt(pull, 'main'), gateOrigin(fleet, 'main'), { certified: true })
  log.append({ ...entry(change), certificate: certified(top) })
  log.append({ ...entry(next), certificate: certified(next) })
  log.finish()
  writeTail(tailAt(pull, 'main', 1), [entry(above), entry(top)])
  writeVerifiers(pull)
})
afterAll(() => {
  for (const folder of [pull, ...copies]) rmSync(folder, { recursive: true, force: true })
})

/** What the three checkers say of a pull. */
async function codes(folder: string): Promise<readonly (readonly string[])[]> {
  const findings = new Findings()
  await verifyPull(folder, root.hash, findings)
  const others = [
    [process.execPath, 'verify.mjs'],
    ['bash', 'verify.sh'],
  ].map((command) => check(folder, command, root.hash).text.match(/^[A-Z_]+(?=: )/gm) ?? [])
  return [findings.kept.map(({ code }) => code), ...others]
}

describe('the way from the end of an epoch to the block that committed it', () => {
  it('proves the reconfig to all three checkers', async () => {
    expect(await codes(pull)).toEqual([[], [], []])
    expect(readTail(tailAt(pull, 'main', 1))).toHaveLength(2)
  })

  const [stray] = [block({ epoch: 1, view: 4, parent: change.id })]
  const full = block(
    { epoch: 1, view: 3, parent: change.id },
    { commands: [{ kind: 'admit', rollout: 'cd'.repeat(32) }] },
  )
  const unsigned = { ...entry(top), signature: new Uint8Array(64) }
  it.each([
    ['is missing', []],
    ['ends below the certified block', [entry(above)]],
    ['leaves a block out', [entry(top)]],
    ['is another one', [entry(stray)]],
    ['holds a block that decides something', [entry(full), entry(top)]],
    ['holds a block whose signature does not verify', [entry(above), unsigned]],
  ] as const)('that %s proves nothing to any of them', async (what, entries) => {
    const copy = forged(pull, what.replaceAll(' ', '-'), (at) => {
      rmSync(tailAt(at, 'main', 1))
      if (entries.length > 0) writeTail(tailAt(at, 'main', 1), entries)
    })
    copies.push(copy)
    for (const found of await codes(copy)) expect(new Set(found)).toEqual(new Set(['CERTIFICATE']))
  })
})
