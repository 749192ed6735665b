/**
 * How many votes decide: safety 2q − n > f, liveness q ≤ n − f (SPEC §7.1).
 *
 * `crash` tolerates voters that stop; `byzantine` also `f` that lie.
 */
export type FaultModel = 'crash' | 'byzantine'

/** Voters out of `n` that may lie without harm to safety. */
export function liarsTolerated(n: number, model: FaultModel): number {
  return model === 'crash' ? 0 : Math.floor((n - 1) / 3)
}

/** The smallest safe number of votes out of `n`. */
export function quorumOf(n: number, model: FaultModel): number {
  return Math.floor((n + liarsTolerated(n, model)) / 2) + 1
}

/** Whether `q` of `n` votes is safe and, with every tolerated liar silent, still reachable. */
export function quorumHolds(input: { n: number; q: number; model: FaultModel }): boolean {
  const f = liarsTolerated(input.n, input.model)
  return 2 * input.q - input.n > f && input.q <= input.n - f
}

/** How many voters may stop while the others still decide. */
export function crashesSurvived(input: { n: number; q: number }): number {
  return input.n - input.q
}
