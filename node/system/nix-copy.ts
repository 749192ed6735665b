/** `nix copy` from this machine's store to a cache, for people and scripts. */
import { NIX_COPY_MS_MAX } from '../limits.ts'
import { nixFault } from './nix.ts'
import { NIX_FEATURES, type NixCommands, runNix } from './nix-info.ts'

/** Copies the closures of `paths`; undefined when all are there, else what Nix says. */
export async function copyToCache(
  paths: readonly string[],
  to: string,
  nix: NixCommands,
): Promise<string | undefined> {
  const args = [...NIX_FEATURES, 'copy', '--to', to, ...paths]
  const copied = await runNix(nix, 'nix', args, NIX_COPY_MS_MAX)
  return copied.ok ? undefined : nixFault(copied.detail)
}
