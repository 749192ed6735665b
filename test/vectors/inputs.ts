/** Whose golden vectors these are and what they say: keys, documents and bodies, all from fixed labels. */
import {
  accusationOf,
  type BlockBody,
  DEMO,
  deriveHostKeys,
  type EnrollRequest,
  type FactBodies,
  type FactType,
  fleetIdOf,
  type GroupConfig,
  encodeCanonical,
  hostIdentity,
  type HostKeys,
  type KeyPair,
  keyPair,
  type Manifest,
  manifestBlob,
  NO_FACT,
  type PlanBody,
  planBlob,
  quorumOf,
  type Root,
  ROOT,
  sealBlock,
  sealFact,
  sealVote,
  sha256,
  signEnroll,
  signGroupConfig,
  toHex,
  utf8,
} from '../../protocol/index.ts'

export const seedOf = (label: string): Uint8Array => sha256(utf8(`golden vector seed: ${label}`))
export const idOf = (label: string): string => toHex(sha256(utf8(`golden vector id: ${label}`)))
export const shortId = (label: string): string => idOf(label).slice(0, 32)

export const SESSION = shortId('session')
export const TS = 1_790_000_000_000
export const GENERATION =
  '/nix/store/3n58xw4373jp0ljirf06d8077j15pc4j-nixos-system-web-1-25.11.20260901.5ae3b07'
export const BOOT = '1f0c3a52-7b2e-4e0b-9a55-0d6a6c1f2b77'
export const ROLLOUT = idOf('rollout')
export const RELEASE = idOf('release')

export const TICKET_KEY = keyPair(seedOf('ticket'))
export const admins = ['admin-1', 'admin-2', 'admin-3'].map((name) => keyPair(seedOf(name)))
export const operator = keyPair(seedOf('operator'))
export const release = keyPair(seedOf('release'))
export const HOSTS = ['db-1', 'web-1', 'web-2', 'web-3']
export const hostKeys: ReadonlyMap<string, HostKeys> = new Map(
  HOSTS.map((name) => [name, deriveHostKeys(seedOf(name))]),
)
export const web1 = keysOf('web-1')

export const ROOT_1: Root = {
  version: 1,
  name: 'example',
  admins: admins.map((key) => key.publicKey).sort(),
  threshold: 2,
  operators: [
    {
      name: 'alice',
      key: operator.publicKey,
      role: 'deploy',
      groups: ['berlin'],
      channels: [],
      expires: 0,
    },
  ],
  releaseKeys: [{ name: 'ci', key: release.publicKey, channels: ['stable'] }],
  groups: ['berlin'],
}
export const rootPayload = encodeCanonical(ROOT.encode(ROOT_1))
export const FLEET = fleetIdOf(toHex(sha256(rootPayload)))

export const CONFIG: GroupConfig = {
  fleet: FLEET,
  group: 'berlin',
  epoch: 1,
  hosts: HOSTS.map((name, i) => ({
    ...hostIdentity(name, keysOf(name)),
    addresses: [`/ip4/192.0.2.${i + 1}/tcp/7411`],
    tags: [`rack=r${i % 2}`],
  })),
  voters: HOSTS,
  faultModel: 'byzantine',
  quorum: quorumOf(HOSTS.length, 'byzantine'),
  floors: { canaryMin: 1, soakMsMin: 1000, wavePercentMax: 50, budgetMax: 1 },
  timing: DEMO,
}

export const MANIFEST_INPUT: Manifest = {
  kind: 'nix',
  hosts: [
    {
      host: 'web-1',
      generation: GENERATION,
      closure: [GENERATION],
      checks: [
        {
          name: 'front-page',
          kind: 'http',
          from: 'both',
          target: 'http://{host}:8080/',
          status: 200,
          timeoutMs: 2000,
        },
        { name: 'ssh', kind: 'tcp', from: 'outside', target: '{host}:22', timeoutMs: 1000 },
      ],
    },
  ],
  paths: [
    {
      path: GENERATION,
      narHash: idOf('nar'),
      narSize: 123_456,
      references: [GENERATION],
      signatures: [
        'cache.example.org-1:QgP3bsLpr7Sb6zMxkYbKqB0uPsQjRTvNGZ5DX8hJLGFf6BKr1kUqPZ7oCkJdH3J0V7fQ3r2ccz9D3bUqvFzQCw==',
      ],
    },
  ],
  caches: ['https://cache.example.org'],
}

export const PLAN_INPUT: PlanBody = {
  release: RELEASE,
  kind: 'forward',
  groups: [{ group: 'berlin', base: idOf('base'), waves: [['web-1'], ['web-2', 'web-3']] }],
  policy: {
    soakMs: 60_000,
    confirmMs: 30_000,
    startTimeoutMs: 120_000,
    budget: { kind: 'percent', percent: 10 },
    onFailure: 'revertAll',
    maxInFlight: [{ hosts: [], limit: 2 }],
  },
  supersedes: [],
  strategy: 'canary:1 then 50%',
  reason: 'kernel update',
}

/** Two votes of one voter in one view: what a proof inside a fact looks like. */
export function twoVotes(): FactBodies['equivocation'] {
  const by = { fleet: FLEET, key: keysOf('web-3').fact }
  const place = { group: 'berlin', epoch: 1, view: 7 }
  const [first, second] = ['block', 'another block'].map(
    (label) => sealVote('notarize', { ...place, block: idOf(label) }, by).bytes,
  )
  if (first === undefined || second === undefined) throw new Error('expected two votes')
  const accusation = accusationOf({ first, second }, { fleet: FLEET })
  if (accusation === undefined) throw new Error('expected a proof')
  return accusation.body
}

/** A halt as it stands in its own feed. */
export function relayedHalt(): string {
  const body = { rollout: ROLLOUT, revert: false, why: 'the feed of this halt forked' }
  const draft = { type: 'rollout.halt', body, session: SESSION, seq: 0, prev: NO_FACT } as const
  const fact = sealFact({ ...draft, epoch: 1, ts: TS }, { fleet: FLEET, key: operator })
  return toHex(fact.bytes)
}

/** Two proposals of one leader in one view: a proof that is too large for a fact. */
export function twoBlocks(): { readonly first: Uint8Array; readonly second: Uint8Array } {
  const by = { fleet: FLEET, key: keysOf('web-3').fact }
  const [first, second] = ['parent', 'another parent'].map((label) => {
    const basis = Array.from({ length: 20 }, (_, i) => ({
      author: operator.publicKey,
      session: shortId(`session ${i}`),
      seq: i,
      head: idOf(`head ${i}`),
    }))
    return sealBlock({ ...BLOCK, parent: idOf(label), basis }, by).bytes
  })
  if (first === undefined || second === undefined) throw new Error('expected two blocks')
  return { first, second }
}

export const FACTS: { readonly [T in FactType]: { readonly body: FactBodies[T]; readonly key: KeyPair } } =
  {
    'release.announce': {
      key: release,
      body: {
        name: '2026-09-01',
        channel: 'stable',
        version: 42,
        minVersion: 40,
        manifest: manifestBlob(MANIFEST_INPUT).hash,
        manifestBytes: manifestBlob(MANIFEST_INPUT).bytes.length,
        revision: '5ae3b07d8d6527c42f17c876e404993199144b6a',
        lock: idOf('lock'),
        sbom: idOf('sbom'),
        notRevertable: [GENERATION],
      },
    },
    'rollout.plan': {
      key: operator,
      body: {
        plan: planBlob(PLAN_INPUT).hash,
        planBytes: planBlob(PLAN_INPUT).bytes.length,
        release: RELEASE,
        groups: ['berlin'],
      },
    },
    'rollout.halt': {
      key: operator,
      body: { rollout: ROLLOUT, revert: true, hosts: ['web-1'], why: 'front page is blank' },
    },
    'rollout.hold': {
      key: operator,
      body: { kind: 'off', rollout: ROLLOUT, releases: [idOf('hold')], why: 'lunch is over' },
    },
    'host.lost': { key: operator, body: { host: 'web-3', rollout: ROLLOUT, why: 'disk died' } },
    'host.transition': {
      key: web1.fact,
      body: {
        rollout: ROLLOUT,
        round: 0,
        from: 'PROBATION',
        to: 'REVERTING',
        generation: GENERATION,
        boot: BOOT,
        why: 'check',
        detail: 'front-page: status 500 — expected 200',
      },
    },
    'health.change': {
      key: web1.fact,
      body: {
        generation: GENERATION,
        boot: BOOT,
        state: 'unhealthy',
        checks: [
          { name: 'front-page', ok: false },
          { name: 'ssh', ok: true },
        ],
      },
    },
    'obs.attest': {
      key: keysOf('web-2').fact,
      body: {
        rollout: ROLLOUT,
        subjects: [
          {
            host: 'web-1',
            round: 0,
            window: 3,
            verdict: 'fail',
            ok: 2,
            ko: 3,
            elapsedMs: 18_400,
            generation: GENERATION,
            boot: BOOT,
            why: 'front-page',
          },
        ],
      },
    },
    equivocation: { key: keysOf('web-2').fact, body: twoVotes() },
    'halt.relay': { key: keysOf('web-2').fact, body: { halt: relayedHalt() } },
    'group.config': {
      key: admins[0] ?? operator,
      body: {
        group: 'berlin',
        epoch: 2,
        config: idOf('document'),
        configBytes: 1234,
        why: 'web-3 left',
      },
    },
    'closure.held': {
      key: keysOf('web-2').fact,
      body: { rollout: ROLLOUT, wave: 1, generations: [GENERATION] },
    },
    'fleet.root': {
      key: admins[0] ?? operator,
      body: { version: 2, root: idOf('root'), rootBytes: 1234, why: 'bob joined' },
    },
    'key.revoke': {
      key: admins[0] ?? operator,
      body: {
        key: operator.publicKey,
        feeds: [
          { session: shortId('feed 1'), seq: 3 },
          { session: shortId('feed 2'), seq: 0 },
        ].sort((a, b) => (a.session < b.session ? -1 : 1)),
        why: 'laptop stolen',
      },
    },
    'invite.open': {
      key: admins[0] ?? operator,
      body: {
        group: 'berlin',
        key: TICKET_KEY.publicKey,
        role: 'host',
        tags: ['role=web'],
        groups: [],
        channels: [],
        expires: 0,
        uses: 3,
        notAfter: TS + 3_600_000,
        why: 'a new rack',
      },
    },
    'invite.revoke': {
      key: admins[0] ?? operator,
      body: { invite: idOf('invite'), why: 'the ticket was mailed' },
    },
    'enroll.request': {
      key: keysOf('web-2').fact,
      body: { request: toHex(enrolling().bytes) },
    },
    'enroll.deny': {
      key: admins[0] ?? operator,
      body: { request: idOf('request'), why: 'not ours' },
    },
  }

/** A host asks to be let in. */
export function enrolling(): EnrollRequest {
  const keys = deriveHostKeys(seedOf('web-9'))
  const host = {
    transport: keys.transport.publicKey,
    cosign: keys.cosign.publicKey,
    addresses: ['/ip4/10.0.0.9/tcp/7460'],
  }
  const body = { invite: idOf('invite'), name: 'web-9', host }
  return signEnroll(body, { fleet: FLEET, key: keys.fact, ticket: TICKET_KEY })
}

export const CONFIG_2: GroupConfig = { ...CONFIG, epoch: 2, voters: HOSTS.slice(0, 3), faultModel: 'crash', quorum: 2 }
export const CONFIG_3: GroupConfig = { ...CONFIG_2, epoch: 3, recover: { slot: 41, head: idOf('head') } }
/** One admin leaves, one comes, and an operator with them: admins of both versions sign. */
export const ROOT_2: Root = {
  ...ROOT_1,
  version: 2,
  previous: toHex(sha256(rootPayload)),
  admins: [...admins.slice(1), keyPair(seedOf('admin-4'))].map((key) => key.publicKey).sort(),
  operators: [
    ...ROOT_1.operators,
    {
      name: 'bob',
      key: keyPair(seedOf('bob')).publicKey,
      role: 'readonly',
      groups: [],
      channels: ['stable'],
      expires: 1_790_000_000_000,
    },
  ],
}
export const SIGNED_2 = signGroupConfig(CONFIG_2, admins.slice(0, 2))

export const BLOCK: BlockBody = {
  group: 'berlin',
  epoch: 1,
  view: 7,
  parent: idOf('parent'),
  commands: [
    { kind: 'admit', rollout: ROLLOUT },
    { kind: 'start', rollout: ROLLOUT, round: 0, hosts: ['web-1'] },
    { kind: 'skip', rollout: ROLLOUT, round: 0, hosts: ['web-2', 'web-3'] },
    { kind: 'close', rollout: ROLLOUT, outcome: 'complete' },
  ],
  rootVersion: 1,
  basis: [{ author: operator.publicKey, session: SESSION, seq: 12, head: idOf('head') }],
}

export function keysOf(name: string): HostKeys {
  const keys = hostKeys.get(name)
  if (keys === undefined) throw new Error(`no keys of ${name}`)
  return keys
}
