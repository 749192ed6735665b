/**
 * A host's three keys, all from one 32-byte seed (SPEC §3.2).
 *
 * Labels differ so that no key serves two kinds of signature; signed notes require distinct
 * cosigner keys.
 */
import { type Hex, toHex } from './bytes.ts'
import { deriveSeed, publicKeyOf } from './crypto.ts'
import { type HostName, KEY_ID, NAME } from './ids.ts'
import { type Schema, shape } from './schema.ts'

/** One signing key: the seed stays with its owner, the public key is its id. */
export interface KeyPair {
  readonly seed: Uint8Array
  readonly publicKey: Hex
}

/** The keys of one host: for the libp2p transport, for facts and votes, for cosignatures. */
export interface HostKeys {
  readonly transport: KeyPair
  readonly fact: KeyPair
  readonly cosign: KeyPair
}

/** What others may know of a host's keys. */
export interface HostIdentity {
  readonly name: HostName
  readonly transport: Hex
  readonly fact: Hex
  readonly cosign: Hex
}

export const HOST_IDENTITY: Schema<HostIdentity> = shape<HostIdentity>({
  name: NAME,
  transport: KEY_ID,
  fact: KEY_ID,
  cosign: KEY_ID,
})

/** The pair that belongs to a seed of 32 bytes. Throws BAD_KEY. */
export function keyPair(seed: Uint8Array): KeyPair {
  return { seed, publicKey: toHex(publicKeyOf(seed)) }
}

/** The three keys of the host whose seed this is. Throws BAD_KEY. */
export function deriveHostKeys(seed: Uint8Array): HostKeys {
  const derived = (label: string): KeyPair => keyPair(deriveSeed(seed, `nixfleet/v1/${label}`))
  return { transport: derived('transport'), fact: derived('fact'), cosign: derived('cosign') }
}

/** The public half of a host's keys. */
export function hostIdentity(name: HostName, keys: HostKeys): HostIdentity {
  return {
    name,
    transport: keys.transport.publicKey,
    fact: keys.fact.publicKey,
    cosign: keys.cosign.publicKey,
  }
}
