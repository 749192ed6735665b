/**
 * Bounds of the Nix formats (NAR, narinfo, signatures), each with its reason. Nix itself has almost
 * none of them: it trusts the signer. We read these bytes before we know who signed them.
 */

/** One path component: NAME_MAX of every file system that NixOS boots from. */
export const NAR_NAME_BYTES_MAX = 255
/** A symlink target: PATH_MAX of Linux without its closing NUL; a longer one cannot be created. */
export const NAR_TARGET_BYTES_MAX = 4095
/** Directories inside each other: nested node_modules reach about 30, and PATH_MAX ends the rest. */
export const NAR_DEPTH_MAX = 64
/** Files, symlinks and directories of one NAR: ten kernel source trees. */
export const NAR_NODES_MAX = 1_000_000
/** Bytes of one narinfo: 1,000 references of 60 characters. */
export const NARINFO_BYTES_MAX: number = 64 * 1024
/** Signatures of one narinfo: a handful of caches and builders; each costs a verification. */
export const NARINFO_SIGNATURES_MAX = 32
/** The name before the colon of a Nix key: `cache.example.org-1`. A DNS name and a number fit. */
export const NIX_KEY_NAME_CHARS_MAX = 255
/** A store path's name, after hash and dash: Nix's own limit, 255 less the hash, dash and `.lock`. */
export const STORE_NAME_CHARS_MAX = 211
