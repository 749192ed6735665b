/**
 * A node's configuration: one object, validated once at the door, passed down explicitly.
 *
 * The file is JSON or TOML (by its name's ending), so that Nix can generate it. Unknown keys are
 * refused: a misspelt option must not leave a default in force silently. Exit code 78.
 */
import { readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parse as parseToml } from 'smol-toml'
import { z } from 'zod'
import { CHECKS_MAX, type HealthCheck, POLICY_MS_MAX } from '../protocol/index.ts'
import type { ApiTls } from './api/tcp-api.ts'
import { NodeError } from './errors.ts'
import { UPSTREAMS_MAX } from './substituter/limits.ts'

/** How the host's system is reached (design D7). */
export interface NodeSystemConfig {
  readonly kind: 'nix' | 'portable'
  /** Public keys, `name:base64`, whose signatures on store paths count. Without one no path is taken. */
  readonly cacheKeys: readonly string[]
  /** portable: the folder of store and profiles. Default `<data>/system`. */
  readonly root: string
  /** portable: the tree that a host with no generation yet starts with. */
  readonly initial?: string | undefined
  /** The file that names the boot; a host that is a process among others has its own. */
  readonly bootIdFile?: string | undefined
  /** nix: the link that `switch-to-configuration` keeps. Default `/run/current-system`. */
  readonly runningLink?: string | undefined
  /** nix: the profile that a generation becomes. Default `/nix/var/nix/profiles/system`. */
  readonly profile: string
}

/** The API's listeners. */
export interface NodeApiConfig {
  /** The unix socket. Default `<data>/api.sock`; the NixOS module sets `/run/nixfleet/api.sock`. */
  readonly socket: string
  /**
   * TCP, off by default. It only reads, and only for whoever shows a token (`nixfleet tokens create`).
   * Off loopback it needs `tls`.
   */
  readonly listen?: { readonly host: string; readonly port: number } | undefined
  /** Names that TCP requests may ask for. Default localhost and the loopback addresses. */
  readonly hosts: readonly string[]
  /** `own`: a certificate that the node makes at its first start. Else files in PEM; the key of mode 0600. */
  readonly tls?: ApiTls | undefined
}

/** Bounds on what passes in pieces between hosts. */
export interface NodeSwarmConfig {
  /** Bytes a second that this node gives to its peers. Default 0: as fast as the line. */
  readonly uploadRate: number
  /** Bytes a second that it takes from them. Default 0: as fast as the line. */
  readonly downloadRate: number
}

/** The binary cache that this node is for Nix on the same machine. */
export interface NodeSubstituterConfig {
  /** Off by default. Loopback only: who is elsewhere is a peer, or no member. */
  readonly listen?: { readonly host: string; readonly port: number } | undefined
  /** Upstream caches, as Nix store URLs, asked after this host and its peers, the first first. */
  readonly caches: readonly string[]
}

/** One node. */
export interface NodeConfig {
  /** This host's name in the group's configuration. */
  readonly name: string
  /** The folder of everything that the node keeps; mode 0700. */
  readonly data: string
  /**
   * A folder on another file system than `data`, and in no snapshot of it, that says after a start whether
   * `data` is the newest (SPEC §7.6). Default `/run/nixfleet`, else `/dev/shm`; those forget with a
   * reboot. Where another medium does not, a voter need not ask the others after one.
   */
  readonly witness?: string | undefined
  /** The file of the 32-byte seed, mode 0600. Default `<data>/seed`. */
  readonly seed: string
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[]
  /** The folder with `root.cbor` and `group.cbor`. */
  readonly trust: string
  /** The hash of root version 1: where trust starts. Nothing on the network can change it. */
  readonly rootHash: string
  readonly system: NodeSystemConfig
  readonly api: NodeApiConfig
  readonly swarm: NodeSwarmConfig
  readonly substituter: NodeSubstituterConfig
  /** Checks of this host besides those of its release. */
  readonly checks: readonly HealthCheck[]
  /** Finds peers on the LAN by multicast DNS. */
  readonly mdns: boolean
  /** Multiaddrs of members, with `/p2p/<id>`, to dial besides those of the group's configuration. */
  readonly peers: readonly string[]
  readonly log: 'debug' | 'info' | 'warn' | 'error'
}

const HOST_NAME = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'expected a lower-case DNS label')
const MULTIADDR = z
  .string()
  .max(256)
  .regex(/^\/[\x21-\x7e]+$/, 'expected a multiaddr, like /ip4/0.0.0.0/tcp/7460')
const PEER = MULTIADDR.regex(
  /\/p2p\/[1-9A-HJ-NP-Za-km-z]+$/,
  'expected a multiaddr that ends in /p2p/<id>, as nixfleet peers --format wide prints it',
)
const PATH = z.string().min(1).max(4096)
const CACHE_KEY = z
  .string()
  .max(1024)
  .regex(/^[^:\s]+:[A-Za-z0-9+/=]+$/, 'expected a key like cache-1:base64')

const LOOPBACK = z
  .string()
  .regex(/^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|::1)$/, 'expected an address of loopback')
const CACHE_URL = z
  .string()
  .max(1024)
  .regex(
    /^[a-z][a-z0-9+.-]*:\/\/[\x21-\x7e]+$/,
    'expected a Nix store URL, like https://cache.example',
  )

/** As a URL names it: what a browser sends is compared letter by letter. */
const API_NAME = z
  .string()
  .max(253)
  .refine(
    (name) => URL.canParse(`http://${name}`) && new URL(`http://${name}`).hostname === name,
    'expected a name or an address without a port, in lower case; of IPv6 in brackets',
  )
const CHECK = z.strictObject({
  name: HOST_NAME,
  kind: z.enum(['http', 'tcp', 'unit', 'command']),
  from: z.enum(['inside', 'outside', 'both']).default('inside'),
  target: z.string().min(1).max(1024),
  status: z.int().min(100).max(599).optional(),
  timeoutMs: z.int().min(1).max(POLICY_MS_MAX).default(5000),
})

const FILE = z.strictObject({
  name: HOST_NAME,
  data: PATH,
  witness: PATH.optional(),
  seed: PATH.optional(),
  listen: z.array(MULTIADDR).min(1).max(8),
  trust: PATH,
  rootHash: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits, as bootstrap wrote to root.hash'),
  system: z.strictObject({
    kind: z.enum(['nix', 'portable']),
    cacheKeys: z.array(CACHE_KEY).max(16).default([]),
    root: PATH.optional(),
    initial: PATH.optional(),
    bootIdFile: PATH.optional(),
    runningLink: PATH.optional(),
    profile: PATH.default('/nix/var/nix/profiles/system'),
  }),
  api: z
    .strictObject({
      socket: PATH.optional(),
      listen: z
        .strictObject({
          host: z.string().default('127.0.0.1'),
          port: z.int().min(0).max(65535).default(7461),
        })
        .optional(),
      hosts: z.array(API_NAME).max(16).default(['localhost', '127.0.0.1', '[::1]']),
      tls: z.union([z.literal('own'), z.strictObject({ cert: PATH, key: PATH })]).optional(),
    })
    .prefault({}),
  swarm: z
    .strictObject({
      uploadRate: z.int().min(0).default(0),
      downloadRate: z.int().min(0).default(0),
    })
    .prefault({}),
  substituter: z
    .strictObject({
      listen: z
        .strictObject({
          host: LOOPBACK.default('127.0.0.1'),
          port: z.int().min(0).max(65535).default(7462),
        })
        .optional(),
      caches: z.array(CACHE_URL).max(UPSTREAMS_MAX).default([]),
    })
    .prefault({}),
  checks: z.array(CHECK).max(CHECKS_MAX).default([]),
  mdns: z.boolean().default(true),
  peers: z.array(PEER).max(64).default([]),
  log: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
})

/** Reads and validates a configuration file. Throws NodeError CONFIG_INVALID with every fault found. */
export function readNodeConfig(path: string): NodeConfig {
  return validateNodeConfig(parseFile(path), { source: path, base: dirname(resolve(path)) })
}

/**
 * Validates `value`; relative paths are taken from `base`. Throws NodeError CONFIG_INVALID.
 */
export function validateNodeConfig(
  value: unknown,
  { source, base }: { source: string; base: string },
): NodeConfig {
  const parsed = FILE.safeParse(value)
  if (!parsed.success) {
    const faults = parsed.error.issues.map(
      (issue) => `${issue.path.join('.') || 'top level'}: ${issue.message}`,
    )
    throw invalid(source, faults.join('; '))
  }
  const { api, system, ...file } = parsed.data
  const at = (path: string): string => (isAbsolute(path) ? path : join(base, path))
  const data = at(file.data)
  return {
    ...file,
    data,
    ...(file.witness === undefined ? {} : { witness: at(file.witness) }),
    seed: at(file.seed ?? join(data, 'seed')),
    trust: at(file.trust),
    system: {
      ...system,
      root: at(system.root ?? join(data, 'system')),
      ...(system.initial === undefined ? {} : { initial: at(system.initial) }),
      ...(system.bootIdFile === undefined ? {} : { bootIdFile: at(system.bootIdFile) }),
    },
    api: { ...api, ...tlsAt(api.tls, at), socket: at(api.socket ?? join(data, 'api.sock')) },
  }
}

function tlsAt(tls: ApiTls | undefined, at: (path: string) => string): { tls?: ApiTls } {
  if (tls === undefined) return {}
  return { tls: tls === 'own' ? tls : { cert: at(tls.cert), key: at(tls.key) } }
}

function parseFile(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw invalid(path, `cannot be read: ${messageOf(error)}`, error)
  }
  try {
    return path.endsWith('.toml') ? parseToml(text) : JSON.parse(text)
  } catch (error) {
    throw invalid(
      path,
      `is not ${path.endsWith('.toml') ? 'TOML' : 'JSON'}: ${messageOf(error)}`,
      error,
    )
  }
}

function invalid(source: string, fault: string, cause?: unknown): NodeError {
  return new NodeError(
    'CONFIG_INVALID',
    `expected a node configuration in ${source}, found a fault: ${fault}`,
    'correct the file; every option is described in node/config.ts and docs',
    { cause },
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
