/** What happens while a command waits: the user leaves, or the peer dies. The rollout goes on. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { writeKeyFile } from '../../cli/key-file.ts'
import { type Listening, listenUnix } from '../../node/api/listen.ts'
import { createApi } from '../../node/api/server.ts'
import { NO_FACT, planBlob, sealFact } from '../../protocol/index.ts'
import { FakeBackend } from './fake-backend.ts'
import { found } from './found.ts'
import { type Ran, runProgram } from './script.ts'

const founded = found(['web-01', 'web-02', 'db-01'])
const quiet = { warn: () => undefined, error: () => undefined }
const root = fileURLToPath(new URL('../..', import.meta.url))
const program = join(root, 'dist/nixfleet.cjs')

let cwd = ''
let backend: FakeBackend
let peers: Listening[] = []

beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'cli/bundle.mjs')], { stdio: 'pipe' })
})
beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'nf-leave-'))
  backend = new FakeBackend('web-01', founded.trust)
  peers = []
  for (const name of ['a', 'b']) {
    const path = join(cwd, '.nixfleet-demo/sockets', `${name}.sock`)
    peers.push(await listenUnix(createApi({ backend, log: quiet }), path))
  }
  const { rootHash } = founded.trust
  const file = {
    role: 'operator',
    name: 'alice',
    fleet: 'acme',
    rootHash,
    key: founded.operator,
  } as const
  writeKeyFile(join(cwd, 'alice.key'), file)
  await submitPlan()
})
afterEach(async () => {
  for (const peer of peers) await peer.close()
  rmSync(cwd, { recursive: true })
})

async function submitPlan(): Promise<void> {
  const blob = planBlob({
    release: 'c'.repeat(64),
    kind: 'forward',
    groups: [{ group: 'main', base: 'b'.repeat(64), waves: [['web-01'], ['web-02', 'db-01']] }],
    policy: {
      soakMs: 1000,
      confirmMs: 1000,
      startTimeoutMs: 1000,
      budget: { kind: 'count', count: 0 },
      onFailure: 'halt',
      maxInFlight: [],
    },
    supersedes: [],
    strategy: 'canary 1,100%',
    reason: '',
  })
  const body = {
    plan: blob.hash,
    planBytes: blob.bytes.length,
    release: 'c'.repeat(64),
    groups: ['main'],
  }
  const draft = {
    type: 'rollout.plan',
    body,
    session: '11'.repeat(16),
    seq: 0,
    prev: NO_FACT,
    epoch: 1,
    ts: 1,
  } as const
  await backend.submit(sealFact(draft, { fleet: founded.fleet, key: founded.operator }).bytes)
  backend.blobs.set(blob.hash, blob.bytes)
}

function nixfleet(
  args: readonly string[],
  onStdout?: (text: string, kill: (signal: NodeJS.Signals) => void) => void,
): Promise<Ran> {
  const env = { HOME: cwd, PATH: process.env['PATH'] ?? '', NIXFLEET_IDENTITY: 'alice.key' }
  return runProgram(program, args, { cwd, env, ...(onStdout ? { onStdout } : {}) })
}

describe('a command that waits', () => {
  it('leaves on Ctrl-C, says that the rollout goes on, and exits with 130', async () => {
    let sent = false
    const ran = await nixfleet(['rollout', 'watch'], (text, kill) => {
      if (sent || !text.includes('staging')) return
      sent = true
      kill('SIGINT')
    })
    expect(ran.exit).toBe(130)
    expect(ran.stderr).toMatch(
      /^left; rollout [0-9a-f]{8} goes on: nixfleet rollout watch [0-9a-f]{8}\n$/,
    )
    expect(backend.facts.map((fact) => fact.type)).toEqual(['rollout.plan'])
  })

  it('exits with 143 on SIGTERM', async () => {
    let sent = false
    const ran = await nixfleet(['rollout', 'watch'], (text, kill) => {
      if (sent || !text.includes('staging')) return
      sent = true
      kill('SIGTERM')
    })
    expect(ran.exit).toBe(143)
  })

  it('goes on with another peer when the first dies, and says so on stderr alone', async () => {
    let killed = false
    const ran = await nixfleet(['rollout', 'watch'], (text) => {
      if (killed || !text.includes('staging')) return
      killed = true
      void peers[0]?.close()
    })
    expect(ran.exit).toBe(0)
    expect(ran.stderr).toMatch(
      /^peer unix:\S+a\.sock does not answer; going on with unix:\S+b\.sock\n$/,
    )
    expect(ran.stdout).toContain('complete')
    expect(ran.stdout).not.toContain('does not answer')
  })

  it('prints one JSON object a line, and nothing else, with --json', async () => {
    const ran = await nixfleet(['rollout', 'watch', '--json'])
    const lines = ran.stdout.trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(3)
    const states = lines.map((line) => JSON.parse(line) as { kind: string; state: string })
    expect(new Set(states.map(({ kind }) => kind))).toEqual(new Set(['RolloutStatus']))
    expect(states.at(-1)?.state).toBe('complete')
  })

  it('follows events across the death of a peer without losing or repeating one', async () => {
    let killed = false
    const release = { why: '', kind: 'on', rollout: backend.facts[0]?.id ?? '' } as const
    const seen = (text: string): number =>
      text.split('\n').filter((line) => line.includes('rollout.hold')).length
    let written = 0
    const write = (): void => {
      const draft = {
        type: 'rollout.hold',
        body: release,
        session: `${written}`.padStart(32, '0'),
        seq: 0,
        prev: NO_FACT,
        epoch: 1,
        ts: written,
      } as const
      written += 1
      void backend.submit(sealFact(draft, { fleet: founded.fleet, key: founded.operator }).bytes)
    }
    const ran = await nixfleet(['events', '--follow'], (text, kill) => {
      if (written === 0) write()
      else if (seen(text) === 1 && !killed) {
        killed = true
        void peers[0]?.close().then(write)
      } else if (seen(text) >= 2) kill('SIGINT')
    })
    expect(seen(ran.stdout)).toBe(2)
    expect(ran.exit).toBe(130)
  })
})

describe('a file of the wrong kind', () => {
  it('is no key', async () => {
    writeFileSync(join(cwd, 'no.key'), '{}', { mode: 0o600 })
    const ran = await nixfleet(['rollout', 'pause', '--identity', 'no.key'])
    expect(ran.exit).toBe(65)
    expect(ran.stderr).toContain('NF-1004')
  })
})
