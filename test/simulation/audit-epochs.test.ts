/**
 * A pull of a group that has changed: by a reconfig, and by a recovery.
 * Three checkers that share nothing but the bytes follow the log through all of it.
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Finding, type FindingCode, Findings } from '../../cli/audit/findings.ts'
import { verifyPull } from '../../cli/audit/verify-pull.ts'
import { DEMO, decodeCanonical } from '../../protocol/index.ts'
import {
  check,
  cosigned,
  forged,
  nodeOf,
  type PulledFleet,
  pullsOf,
  rewrite,
  rollOut,
  runHere,
} from '../pulled-fleet.ts'
import { SimFleet } from './fleet.ts'

const CHECKERS = [
  ['verify.mjs', [process.execPath, 'verify.mjs']],
  ['verify.sh', ['bash', 'verify.sh']],
] as const

let lived: PulledFleet
let pull: string
let facts: number

async function enters(fleet: SimFleet, epoch: number): Promise<void> {
  const done = await fleet.until(60_000, () =>
    fleet.nodes.every((node) => node.gate.state.epoch === epoch),
  )
  if (!done) throw new Error(`epoch ${epoch} did not begin`)
}

beforeAll(async () => {
  const fleet = new SimFleet({ hosts: 5, voters: 4, timing: { ...DEMO, anchorMs: 5_000 } })
  await fleet.start()
  const at = nodeOf(fleet, 'host-05')
  const own = ['host-05', 'host-04']
  await rollOut(fleet, at, 1, own)
  await fleet.configure(at, {
    remove: ['host-01'],
    voters: ['host-02', 'host-03', 'host-04', 'host-05'],
  })
  await enters(fleet, 2)
  fleet.crash('host-01')
  await rollOut(fleet, at, 2, own)
  for (const lost of ['host-02', 'host-03']) fleet.crash(lost)
  await fleet.clock.advance(2_000)
  const { slot, head } = at.gate.state
  const voters = ['host-04', 'host-05']
  await fleet.configure(at, { remove: ['host-02', 'host-03'], voters, recover: { slot, head } })
  await enters(fleet, 3)
  await rollOut(fleet, at, 3, own)
  await cosigned(fleet, at)
  lived = await pullsOf(fleet)
  const pulled = await lived.pull('host-05', 'epochs')
  pull = pulled.path
  facts = pulled.facts
}, 120_000)
afterAll(() => rmSync(lived.folder, { recursive: true, force: true }))

async function judge(folder: string): Promise<readonly Finding[]> {
  const findings = new Findings()
  await verifyPull(folder, lived.rootHash, findings)
  return findings.kept
}

/** Every checker finds what is wrong with a changed copy. */
async function found(
  name: string,
  code: FindingCode,
  change: (copy: string) => void,
): Promise<void> {
  const copy = forged(pull, name, change)
  expect((await judge(copy)).map((finding) => finding.code)).toContain(code)
  for (const [checker, command] of CHECKERS) {
    const said = check(copy, command, lived.rootHash)
    expect(said.text, checker).toMatch(new RegExp(`^${code}: `, 'm'))
    expect(said.exit, checker).toBe(4)
  }
}

describe('a pull that crosses a reconfig and a recovery', () => {
  it('brings the configuration of every epoch, as it was signed', () => {
    expect(readdirSync(join(pull, 'documents'))).toEqual([
      ...['group.site.1.cbor', 'group.site.2.cbor', 'group.site.3.cbor', 'root.1.cbor'],
    ])
  })

  it('is clean to all three checkers, which count the same facts', async () => {
    expect(await judge(pull)).toEqual([])
    for (const [checker, command] of CHECKERS) {
      const said = check(pull, command, lived.rootHash)
      expect(said, checker).toMatchObject({ exit: 0 })
      expect(said.text).toContain(`verified ${facts} facts`)
    }
  })

  it('goes on where it was, and replays to the digest of the node', async () => {
    const again = await lived.pull('host-05', 'epochs')
    expect(again.kept).toBe(again.facts + again.blocks)
    const { digest } = await lived.client('host-05').get<{ digest: string }>('/api/v1/fleet')
    const words = ['replay', '--pull', pull, '--root-hash', lived.rootHash, '--expect', digest]
    const ran = await runHere(lived.folder, ...words)
    expect(ran.exit, ran.out + ran.err).toBe(0)
  })

  it('that lacks the configuration of an epoch is not clean', async () => {
    await found('no-config', 'BLOCK', (copy) =>
      rmSync(join(copy, 'documents', 'group.site.3.cbor')),
    )
  })

  it('whose configuration of an epoch is another one that the admins signed is not clean', async () => {
    await found('other-config', 'CONFIG', (copy) => {
      rewrite(join(copy, 'documents', 'group.site.2.cbor'), signedTwice)
    })
  })
})

/** The one signature twice: as good as once, and not the document that the log names. */
function signedTwice(bytes: Buffer): Buffer {
  const [, signatures] = decodeCanonical(new Uint8Array(bytes), 262_144, 'a document') as [
    Uint8Array,
    readonly unknown[],
  ]
  if (signatures.length !== 1) throw new Error('expected one signature')
  const one = bytes.subarray(bytes.length - 101)
  const head = bytes.subarray(0, bytes.length - 102)
  return Buffer.concat([head, Buffer.of(0x82), one, one])
}
