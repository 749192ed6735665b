import { describe, expect, it } from 'vitest'
import {
  blobOf,
  concatBytes,
  encodeCanonical,
  fromHex,
  GROUP_HOSTS_MAX,
  MANIFEST_BYTES_MAX,
  type Manifest,
  manifestBlob,
  openManifest,
  openPlan,
  PLAN_BYTES_MAX,
  type PlanBody,
  planBlob,
  REFERENCES_MAX,
  SUPERSEDES_MAX,
  type WireValue,
} from '../../../protocol/index.ts'
import { golden } from './golden.ts'
import { codeOf } from './refusal.ts'

interface Golden<T> {
  readonly input: T
  readonly bytes: string
  readonly hash: string
}
const plan = golden<Golden<PlanBody>>('blob-plan')
const manifest = golden<Golden<Manifest>>('blob-manifest')
const bytes = fromHex(plan.bytes)
const id = 'ab'.repeat(32)

const planCode = (change: Partial<PlanBody>): string =>
  codeOf(() => {
    const blob = planBlob({ ...plan.input, ...change })
    return openPlan(blob.bytes, blob.hash)
  })
const wavesCode = (waves: readonly (readonly string[])[]): string =>
  planCode({ groups: [{ group: 'berlin', base: id, waves }] })
const policyCode = (change: object): string =>
  planCode({ policy: { ...plan.input.policy, ...change } })
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `h${i}`)
const ids = (count: number): string[] =>
  names(count).map((_, i) => i.toString(16).padStart(64, '0'))

describe('blobs', () => {
  it('of another hash are refused, though they are whole', () => {
    expect(codeOf(() => openPlan(bytes, id))).toBe('BAD_BLOB')
    expect(codeOf(() => openManifest(fromHex(manifest.bytes), plan.hash))).toBe('BAD_BLOB')
  })

  it('of the right hash are refused where their form is wrong', () => {
    const longer = blobOf(concatBytes(bytes, Uint8Array.of(0)))
    expect(codeOf(() => openPlan(longer.bytes, longer.hash))).toBe('NOT_CANONICAL')
    expect(codeOf(() => openManifest(bytes, plan.hash))).toBe('BAD_SHAPE')
    const stray = blobOf(encodeCanonical({ kind: 'nix' } satisfies WireValue))
    expect(codeOf(() => openManifest(stray.bytes, stray.hash))).toBe('BAD_SHAPE')
  })

  it('are judged by size before anything else', () => {
    expect(codeOf(() => openPlan(new Uint8Array(PLAN_BYTES_MAX + 1), id))).toBe('TOO_LARGE')
    expect(codeOf(() => openPlan(new Uint8Array(PLAN_BYTES_MAX), id))).toBe('BAD_BLOB')
    const large = new Uint8Array(MANIFEST_BYTES_MAX + 1)
    expect(codeOf(() => openManifest(large, id))).toBe('TOO_LARGE')
  })

  it('too large to be read are not written', () => {
    const [path] = manifest.input.paths
    if (path === undefined) throw new Error('expected a path in the vector')
    const references = Array.from({ length: REFERENCES_MAX }, () => 'r'.repeat(255))
    const paths = names(33).map((name) => ({ ...path, path: name, references }))
    expect(codeOf(() => manifestBlob({ ...manifest.input, paths }))).toBe('TOO_LARGE')
  })
})

describe('a plan', () => {
  it('names each host once, in one wave', () => {
    expect(wavesCode([['a'], ['b', 'c']])).toBe('accepted')
    expect(wavesCode([['a'], ['b', 'a']])).toBe('BAD_SHAPE')
    expect(wavesCode([['a', 'a']])).toBe('BAD_SHAPE')
    expect(wavesCode([['a'], []])).toBe('BAD_SHAPE')
    expect(wavesCode([])).toBe('BAD_SHAPE')
  })

  it('names at most a group of hosts, in whatever waves', () => {
    const hosts = names(GROUP_HOSTS_MAX + 1)
    expect(wavesCode(hosts.slice(1).map((host) => [host]))).toBe('accepted')
    expect(wavesCode([hosts.slice(1)])).toBe('accepted')
    expect(wavesCode([hosts])).toBe('BAD_SHAPE')
    expect(wavesCode([hosts.slice(0, 100), hosts.slice(100)])).toBe('BAD_SHAPE')
  })

  it.each<[string, object, object]>([
    ['soakMs', { soakMs: 1 }, { soakMs: 0 }],
    ['soakMs of a week', { soakMs: 604_800_000 }, { soakMs: 604_800_001 }],
    ['confirmMs', { confirmMs: 0 }, { confirmMs: -1 }],
    ['startTimeoutMs', { startTimeoutMs: 604_800_000 }, { startTimeoutMs: 604_800_001 }],
    [
      'a budget of hosts',
      { budget: { kind: 'count', count: 250 } },
      { budget: { kind: 'count', count: 251 } },
    ],
    [
      'a budget of percent',
      { budget: { kind: 'percent', percent: 100 } },
      { budget: { kind: 'percent', percent: 101 } },
    ],
    ['onFailure', { onFailure: 'halt' }, { onFailure: 'ignore' }],
    [
      'a limit',
      { maxInFlight: [{ hosts: [], limit: 1 }] },
      { maxInFlight: [{ hosts: [], limit: 0 }] },
    ],
  ])('%s is bounded', (_, inside, outside) => {
    expect(policyCode(inside)).toBe('accepted')
    expect(policyCode(outside)).toBe('BAD_SHAPE')
  })

  it('supersedes a bounded set', () => {
    expect(planCode({ supersedes: ids(SUPERSEDES_MAX) })).toBe('accepted')
    expect(planCode({ supersedes: ids(SUPERSEDES_MAX + 1) })).toBe('BAD_SHAPE')
    expect(planCode({ supersedes: [id, id] })).toBe('BAD_SHAPE')
  })

  it('names each group once', () => {
    const [part] = plan.input.groups
    if (part === undefined) throw new Error('expected a group in the vector')
    expect(planCode({ groups: [part, part] })).toBe('BAD_SHAPE')
    expect(planCode({ groups: [] })).toBe('BAD_SHAPE')
    expect(planCode({ groups: [{ ...part, group: 'z' }, part] })).toBe('accepted')
  })
})
