/** What a signed release says of a store path, in the form in which Nix asks for it. */
import {
  fromHex,
  type ManifestPath,
  type Narinfo,
  type NixSignature,
  parseNixSignature,
  parseStoreName,
  storePathOf,
} from '../../protocol/index.ts'

/** The narinfo of `path`: uncompressed, signed by whom the manifest names. Throws BAD_STORE_PATH. */
export function narinfoOf(path: ManifestPath): Narinfo {
  const hash = fromHex(path.narHash)
  return {
    storePath: storePathOf(parseStoreName(baseName(path.path))),
    url: `nar/${path.narHash}.nar`,
    compression: 'none',
    fileHash: hash,
    fileSize: path.narSize,
    narHash: hash,
    narSize: path.narSize,
    references: path.references.map((reference) => parseStoreName(baseName(reference))).sort(),
    signatures: path.signatures.flatMap(signatureIn),
  }
}

/** The name without the store's directory; portable paths have none. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** A text that is no signature vouches for nothing: it is left out, and Nix finds the path unsigned. */
function signatureIn(text: string): NixSignature[] {
  try {
    return [parseNixSignature(text)]
  } catch {
    return []
  }
}
