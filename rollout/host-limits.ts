/** Bounds of the host machine and of a voter's lease book (SPEC §12), each with its reason. */

/** Committed entries above the enrolment: a year of weekly rollouts, far more than is pinned. */
export const STACK_ENTRIES_MAX: number = 64
/** Rollouts that a host remembers: those of its stack, and as many that ended otherwise. */
export const HOST_ROLLOUTS_MAX: number = 128
/** Distinct generations of the stack that are kept from garbage collection. */
export const PINNED_GENERATIONS: number = 5
/** Transitions decided but not yet in the feed; a node that cannot write stops long before. */
export const UNSIGNED_MAX: number = 1024
/** Consecutive bad results of the host's own checks before it goes back: one may be a hiccup. */
export const BAD_CHECKS_MAX: number = 2
/** Probe periods that observers have to look and answer before they are asked over a new nonce. */
export const CONFIRM_PROBES: number = 3
/** Renewals that fit into one life of the deadman: a few may be lost before it fires. */
export const RENEWALS_PER_LIFE: number = 4
/** Activations' worth of time that a fired deadman has before the host goes back by itself. */
export const FIRED_ACTIVATIONS: number = 2
/** Notes of a full group: 250 hosts × 3 rounds of the two rollouts, old and new, that may concern each. */
export const LEASE_BOOK_MAX: number = 1500
