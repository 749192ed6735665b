/**
 * Which store paths Nix calls valid, remembered for a moment: a peer that takes a path piece by piece
 * must not cost a process for each piece.
 */
import type { StorePath } from '../../protocol/index.ts'
import { NIX_VALID_MS, NIX_VALID_PATHS_MAX } from '../limits.ts'

export class ValidPaths {
  readonly #invalidOf: (paths: readonly StorePath[]) => Promise<readonly StorePath[]>
  readonly #nowMs: () => number
  /** Until when each path counts as valid. */
  readonly #until = new Map<StorePath, number>()

  constructor(
    invalidOf: (paths: readonly StorePath[]) => Promise<readonly StorePath[]>,
    nowMs: () => number,
  ) {
    this.#invalidOf = invalidOf
    this.#nowMs = nowMs
  }

  /** Those of `paths` that are valid, or were a moment ago. */
  async of(paths: readonly StorePath[]): Promise<ReadonlySet<StorePath>> {
    const now = this.#nowMs()
    const unknown = paths.filter((path) => (this.#until.get(path) ?? 0) <= now)
    if (unknown.length > 0) {
      const invalid = new Set(await this.#invalidOf(unknown))
      for (const path of unknown) {
        if (invalid.has(path)) this.#until.delete(path)
        else this.#until.set(path, now + NIX_VALID_MS)
      }
      for (const path of this.#until.keys()) {
        if (this.#until.size <= NIX_VALID_PATHS_MAX) break
        this.#until.delete(path)
      }
      return new Set(paths.filter((path) => !invalid.has(path)))
    }
    return new Set(paths)
  }
}
