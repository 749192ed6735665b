/**
 * What may run: the announcement of a release and its manifest (SPEC §6.1).
 *
 * The announcement is a fact of a release key; the manifest is a blob that it names by hash.
 */
import {
  HASH,
  type Hash,
  type HostName,
  LINE,
  LONG_LINE,
  NAME,
  STORE_PATH,
  type StorePath,
} from './ids.ts'
import {
  CACHES_MAX,
  CHECKS_MAX,
  GROUP_HOSTS_MAX,
  GROUPS_MAX,
  MANIFEST_BYTES_MAX,
  MANIFEST_PATHS_MAX,
  NAR_BYTES_MAX,
  NOT_REVERTABLE_MAX,
  PATH_SIGNATURES_MAX,
  POLICY_MS_MAX,
  REFERENCES_MAX,
} from './limits.ts'
import { list, oneOf, optional, type Schema, shape, sortedList, uint } from './schema.ts'

/** Body of `release.announce`. */
export interface ReleaseAnnounce {
  readonly name: string
  readonly channel: string
  /** Rises within a channel; a release below the channel's mark needs a plan of kind rollback. */
  readonly version: number
  /** The oldest version that a host may still go back to after this one. 0 is any. */
  readonly minVersion: number
  readonly manifest: Hash
  readonly manifestBytes: number
  /** The revision of the flake that it was built from, if it was. */
  readonly revision?: string | undefined
  /** Digest of the flake's lock file. */
  readonly lock?: Hash | undefined
  readonly sbom?: Hash | undefined
  /** Generations that must not be gone back to, by store path. */
  readonly notRevertable: readonly StorePath[]
}

/** One store path of a release. */
export interface ManifestPath {
  readonly path: StorePath
  /** SHA-256 of the NAR, which is also the blob's name. */
  readonly narHash: Hash
  readonly narSize: number
  readonly references: readonly StorePath[]
  /** The signatures of the binary cache, `name:base64`. */
  readonly signatures: readonly string[]
  /** The root of its piece hashes; without it a peer hands the NAR over whole. */
  readonly pieces?: Hash | undefined
}

/** A health check; `from` says who runs it: the host itself, its peers, or both. */
export interface HealthCheck {
  readonly name: string
  readonly kind: 'http' | 'tcp' | 'unit' | 'command'
  readonly from: 'inside' | 'outside' | 'both'
  /**
   * http: a URL; tcp: `host:port`; unit: the unit's name; command: a shell line.
   * `{host}` stands for the address of the host under the eyes of whoever runs the check.
   */
  readonly target: string
  /** http: the status that counts as good. */
  readonly status?: number | undefined
  readonly timeoutMs: number
}

/** What one host runs under a release. */
export interface ManifestHost {
  readonly host: HostName
  readonly generation: StorePath
  /** The generation's closure, itself included. */
  readonly closure: readonly StorePath[]
  readonly checks: readonly HealthCheck[]
}

/** The signed answer to *what*: every host's generation and every path that it needs. */
export interface Manifest {
  readonly kind: 'nix' | 'portable'
  readonly hosts: readonly ManifestHost[]
  readonly paths: readonly ManifestPath[]
  /** Binary caches that serve the paths, as Nix store URLs. */
  readonly caches: readonly string[]
}

export const RELEASE_ANNOUNCE: Schema<ReleaseAnnounce> = shape<ReleaseAnnounce>({
  name: LINE,
  channel: NAME,
  version: uint(),
  minVersion: uint(),
  manifest: HASH,
  manifestBytes: uint(MANIFEST_BYTES_MAX),
  revision: optional(LINE),
  lock: optional(HASH),
  sbom: optional(HASH),
  notRevertable: list(STORE_PATH, NOT_REVERTABLE_MAX),
})

const MANIFEST_PATH: Schema<ManifestPath> = shape<ManifestPath>({
  path: STORE_PATH,
  narHash: HASH,
  narSize: uint(NAR_BYTES_MAX),
  references: list(STORE_PATH, REFERENCES_MAX),
  signatures: list(LONG_LINE, PATH_SIGNATURES_MAX),
  pieces: optional(HASH),
})

export const HEALTH_CHECK: Schema<HealthCheck> = shape<HealthCheck>({
  name: NAME,
  kind: oneOf('http', 'tcp', 'unit', 'command'),
  from: oneOf('inside', 'outside', 'both'),
  target: LONG_LINE,
  status: optional(uint(599, 100)),
  timeoutMs: uint(POLICY_MS_MAX, 1),
})

export const MANIFEST: Schema<Manifest> = shape<Manifest>({
  kind: oneOf('nix', 'portable'),
  hosts: sortedList(
    shape<ManifestHost>({
      host: NAME,
      generation: STORE_PATH,
      closure: list(STORE_PATH, MANIFEST_PATHS_MAX, 1),
      checks: list(HEALTH_CHECK, CHECKS_MAX),
    }),
    (host) => host.host,
    GROUP_HOSTS_MAX * GROUPS_MAX,
    1,
  ),
  paths: sortedList(MANIFEST_PATH, (path) => path.path, MANIFEST_PATHS_MAX, 1),
  caches: list(LONG_LINE, CACHES_MAX),
})
