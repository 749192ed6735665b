/**
 * The root changes while real daemons run: an operator comes, deploys, and goes; an admin key is exchanged
 * for another; a host that was away and one that joins later come to the same root by the log.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeKeyFile } from '../../cli/key-file.ts'
import type { Documents, FleetStatus } from '../../node/index.ts'
import { keyPair, NO_FACT, openRoots, type Root, sealFact } from '../../protocol/index.ts'
import { announce, baseOver, signPlan, submitPlan } from './fleet-api.ts'
import { FleetProcesses, until } from './fleet-processes.ts'

const MS_MAX = 60_000

let fleet: FleetProcesses

beforeAll(async () => {
  fleet = await FleetProcesses.create({
    label: 'roots',
    hosts: 3,
    later: 1,
    voters: 3,
    timing: { viewMs: 500, probeMs: 2_000, windowMs: 4_000 },
  })
  keyFile('admin', 'admin', fleet.admin)
  keyFile('second', 'admin', keyPair(new Uint8Array(32).fill(2)))
  keyFile('bob', 'operator', keyPair(new Uint8Array(32).fill(3)))
  await fleet.start('host-1', 'host-2', 'host-3')
}, 60_000)

afterAll(async () => {
  await fleet?.destroy()
})

function keyFile(
  name: string,
  role: 'admin' | 'operator',
  key: ReturnType<typeof keyPair>,
): string {
  const common = { fleet: 'site-a', rootHash: fleet.rootHash, role, name, key }
  writeKeyFile(fleet.keyFile(name), common)
  return key.publicKey
}

function publicKeyOf(name: string): string {
  return (JSON.parse(readFileSync(fleet.keyFile(name), 'utf8')) as { publicKey: string }).publicKey
}

async function run(as: string, ...args: readonly string[]): Promise<string> {
  const ran = await fleet.cli('host-1', as, args)
  expect(ran.exit, `${args.join(' ')}\n${ran.stdout}${ran.stderr}`).toBe(0)
  return ran.stdout
}

async function rootOf(host: string): Promise<Root | undefined> {
  const documents = await fleet.api(host).get<Documents>('/api/v1/documents')
  const sources = [documents.root, ...documents.roots].map(
    (text) => new Uint8Array(Buffer.from(text, 'base64')),
  )
  return openRoots(sources, fleet.rootHash).at(-1)
}

async function untilRoot(version: number, ...names: readonly string[]): Promise<void> {
  await until(MS_MAX, `root version ${version} on ${names.join(', ')}`, async () => {
    const roots = await Promise.all(names.map((name) => rootOf(name).catch(() => undefined)))
    return roots.every((root) => root?.version === version)
  })
}

/** Whoever came with the second root has a plan admitted: its body and its author are the test's point. */
async function bobDeploys(): Promise<void> {
  const api = fleet.api('host-1')
  const from = { trust: fleet.trust, key: fleet.release, api }
  const release = (await announce(from, { folder: fleet.folder, label: 'next', version: 1 })).id
  const waves = [['host-1']]
  const plan = { release, base: baseOver(await api.base(), waves.flat()), waves }
  const r = await submitPlan(api, signPlan(fleet.trust, keyPair(new Uint8Array(32).fill(3)), plan))
  await until(MS_MAX, 'the plan of bob is admitted', async () => {
    return (await api.rollout(r)).state !== 'proposed'
  })
}

describe('the root of a running fleet', () => {
  it('changes at every host, also one that was away, and stays after a restart', async () => {
    await until(MS_MAX, 'host-1 reaches every voter', async () => {
      const { voters } = await fleet.api('host-1').get<FleetStatus>('/api/v1/fleet?hosts=no')
      return voters.every((voter) => voter.reachable)
    })
    const refused = await fleet.cli('host-1', 'bob', ['rollout', 'pause', '--yes'])
    expect(refused.exit, refused.stderr).not.toBe(0)
    await fleet.kill('host-3')
    const add = ['operators', 'add', 'bob', '--key', publicKeyOf('bob'), '--role', 'deploy']
    await run('alice', ...add, '--admin-key', fleet.keyFile('admin'))
    await untilRoot(2, 'host-1', 'host-2')
    await bobDeploys()
    expect(await run('bob', 'operators', 'list')).toMatch(/bob +deploy/)
    await fleet.start('host-3')
    await untilRoot(2, 'host-3')
    await fleet.stop('host-2')
    await fleet.start('host-2')
    expect((await rootOf('host-2'))?.version, 'from its own disk').toBe(2)
  }, 150_000)

  it('changes hands: the new admin alone signs, and a host that joins verifies it', async () => {
    const exchange = ['--add-admin', publicKeyOf('second'), '--remove-admin', fleet.admin.publicKey]
    const both = ['--admin-key', fleet.keyFile('admin'), '--admin-key', fleet.keyFile('second')]
    await run('alice', 'root', 'propose', ...exchange, ...both)
    const old = ['operators', 'remove', 'bob', '--admin-key', fleet.keyFile('admin')]
    expect((await fleet.cli('host-1', 'alice', old)).exit).toBe(77)

    const joins = join(fleet.folder, 'joins')
    const record = fleet.record('host-4').file
    const add = ['hosts', 'add', record, '--out', joins, '--admin-key', fleet.keyFile('second')]
    await run('alice', ...add)
    copyFileSync(join(joins, 'root-3.cbor'), join(fleet.folder, 'root-3.cbor'))
    fleet.trustFrom('host-4', joins)
    await fleet.start('host-4')
    await untilRoot(3, 'host-4')

    writeFileSync(join(joins, 'root-3.cbor'), readFileSync(join(joins, 'root-2.cbor')))
    await fleet.stop('host-4')
    fleet.spawn('host-4')
    await until(MS_MAX, 'host-4 refuses a chain with a hole', () => {
      return (
        fleet.logOf('host-4').includes('TRUST_UNREADABLE') ||
        fleet.host('host-4').daemon?.exitCode === 78
      )
    })
  }, 150_000)

  it('counts nothing more of a key that is revoked, at any host and without a quorum', async () => {
    await fleet.kill('host-2')
    await fleet.kill('host-3')
    expect((await fleet.cli('host-1', 'alice', ['keys', 'revoke', 'bob', '--yes'])).exit).toBe(77)
    await run('bob', 'keys', 'revoke', 'bob', '--yes', '--reason', 'laptop stolen')
    await fleet.start('host-2', 'host-3')
    const author = keyPair(new Uint8Array(32).fill(3))
    const draft = {
      type: 'rollout.halt',
      body: { rollout: 'ee'.repeat(32), revert: true, why: 'a thief' },
      session: '77'.repeat(16),
      ...{ seq: 0, prev: NO_FACT, epoch: 1, ts: 1 },
    } as const
    const { bytes } = sealFact(draft, { fleet: fleet.trust.fleet, key: author })
    for (const name of ['host-1', 'host-2', 'host-3']) {
      await until(MS_MAX, `${name} refuses the key`, async () => {
        return await fleet
          .api(name)
          .post(bytes)
          .then(
            () => false,
            (error: unknown) => String(error).includes('NF-4015'),
          )
      })
    }
  }, 150_000)

  it('is verified offline to its end, by nixfleet and by the scripts of the pull', async () => {
    const pull = join(fleet.folder, 'pull')
    const verify = ['audit', 'verify', pull, '--root-hash', fleet.rootHash]
    await until(MS_MAX, 'a pull that is clean', async () => {
      rmSync(pull, { recursive: true, force: true })
      await run('alice', 'audit', 'pull', '--out', pull)
      return (await fleet.cli('host-1', 'alice', verify)).exit === 0
    })
    const scripts = [
      [process.execPath, join(pull, 'verify.mjs'), fleet.rootHash],
      ['bash', join(pull, 'verify.sh'), fleet.rootHash],
    ]
    for (const [command = '', ...args] of scripts) {
      const ran = spawnSync(command, args, { encoding: 'utf8' })
      expect(ran.status, `${command} ${ran.stdout}${ran.stderr}`).toBe(0)
    }
    await until(MS_MAX, 'a replay of a pull that gives the digest of the node', async () => {
      rmSync(pull, { recursive: true, force: true })
      await run('alice', 'audit', 'pull', '--out', pull)
      const { digest } = await fleet.api('host-1').get<FleetStatus>('/api/v1/fleet?hosts=no')
      const replay = ['replay', '--pull', pull, '--root-hash', fleet.rootHash]
      return (await fleet.cli('host-1', 'alice', [...replay, '--expect', digest])).exit === 0
    })
    const second = join(pull, 'documents', 'root.2.cbor')
    writeFileSync(second, readFileSync(join(pull, 'documents', 'root.3.cbor')))
    expect((await fleet.cli('host-1', 'alice', verify)).stdout).toContain('root.2.cbor')
    for (const [command = '', ...args] of scripts) {
      const ran = spawnSync(command, args, { encoding: 'utf8' })
      expect(ran.status, `${command} ${ran.stdout}${ran.stderr}`).toBe(4)
      expect(ran.stdout).toContain('root.2.cbor')
    }
  }, 150_000)

  it('lets nobody in whom it does not name any more', async () => {
    await run('alice', 'operators', 'remove', 'bob', '--admin-key', fleet.keyFile('second'))
    await untilRoot(4, 'host-1', 'host-2', 'host-3')
    expect(await run('alice', 'operators', 'list')).not.toMatch(/bob/)
    const ran = await fleet.cli('host-2', 'bob', ['deploy', '--plan'])
    expect(ran.exit, ran.stdout + ran.stderr).toBe(77)
    expect(ran.stderr).toContain('the root does not name the key')
  }, 150_000)
})
