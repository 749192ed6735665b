/** The ids and names that appear in many shapes, with their schemas (SPEC §3). */
import type { Hex } from './bytes.ts'
import { LONG_TEXT_CHARS_MAX, NAME_CHARS_MAX, TEXT_CHARS_MAX } from './limits.ts'
import { hex, type Schema, text } from './schema.ts'

/** An Ed25519 public key; it is its own id. */
export type KeyId = Hex
/** SHA-256 of a fact's signed bytes. */
export type FactId = Hex
/** SHA-256 of a blob: a manifest, a plan's body, a NAR. */
export type Hash = Hex
/** The first 16 bytes of SHA-256 of root version 1. */
export type FleetId = Hex
/** 16 random bytes that tell the feeds of one key apart. */
export type Session = Hex
/** SHA-256 of a gate block's signed bytes; at genesis, of the group's configuration. */
export type BlockId = Hex
/** The fact id of the plan: a rollout is what a plan becomes. */
export type RolloutId = FactId
/** A host's name, unique in the fleet. */
export type HostName = string
/** A group's name, unique in the fleet. */
export type GroupName = string
/** A store path: `/nix/store/…` or, portable, `<hash>-<name>`. It names a generation. */
export type StorePath = string

export const KEY_ID: Schema<KeyId> = hex(32)
export const FACT_ID: Schema<FactId> = hex(32)
export const HASH: Schema<Hash> = hex(32)
export const FLEET_ID: Schema<FleetId> = hex(16)
export const SESSION: Schema<Session> = hex(16)
export const BLOCK_ID: Schema<BlockId> = hex(32)
/** A lower-case DNS label. */
export const NAME: Schema<string> = text(NAME_CHARS_MAX, /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, 1)
/** A host's boot: the kernel's boot id, or what the system adapter uses in its place. */
export const BOOT_ID: Schema<string> = text(64, /^[\x21-\x7e]*$/)
/** No control character, no line break, nothing that turns the direction of what stands around it. */
const ONE_LINE = /^[^\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}]*$/u
/** One line that a person wrote: it is shown in terminals and pages as it stands. */
export const LINE: Schema<string> = text(TEXT_CHARS_MAX, ONE_LINE)
/** A URL, a command word, a store path. */
export const LONG_LINE: Schema<string> = text(LONG_TEXT_CHARS_MAX, ONE_LINE, 1)
/** Printable, no blank, at most 255: the shapes themselves are judged by `store-path.ts`. */
export const STORE_PATH: Schema<StorePath> = text(255, /^[\x21-\x7e]+$/, 1)
