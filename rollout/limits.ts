/** The bounds of the rollout floor that are no field of the wire, each with its reason. */

/** From here on a draw of five can spread over racks and sites and still leave chance a say. */
export const SPREAD_HOSTS_MIN: number = 8
/** Members asked whether anything at all answers; the vote of eight is not swayed by one dead host. */
export const CONTROL_HOSTS_MAX: number = 8
/** An event loop that stood still for longer mistakes its own delay for a silent peer. */
export const OBSERVER_LAG_MS_MAX: number = 500
/** Rollouts whose window numbers an observer remembers: years of rollouts that a host is drawn for. */
export const WATCHED_ROLLOUTS_MAX: number = 256
/** A selector as an operator types it; the longest that still reads as one thought. */
export const SELECTOR_CHARS_MAX: number = 256
/** A pattern for names of at most 63 characters. */
export const PATTERN_CHARS_MAX: number = 64
/** `*`, `+` and `?` of one pattern: matching takes at most length³ steps. */
export const PATTERN_REPEATS_MAX: number = 3
/** Groups of one pattern: each multiplies the ways to match by its alternatives. */
export const PATTERN_GROUPS_MAX: number = 2
/** Members that ask in the place of one that heard nothing: one lost message blames nobody. */
export const RELAYS_ASKED: number = 3
/** Independent suspicions that shorten a suspect's time to the least; more would say no more. */
export const SUSPECTS_NEEDED: number = 3
/** The shortest time of a suspect, in periods × log₁₀(members): a rumour and its answer get around in it. */
export const SUSPICION_PERIODS: number = 4
/** The longest time of a suspect, in shortest ones: what one member alone says must wait for more. */
export const SUSPICION_MAX_FACTOR: number = 6
/** A member that is slow itself waits up to eight times as long; more, and it would watch nobody. */
export const DETECTOR_DELAY_MAX: number = 7
/** How long after an invite's end its ticket's holder may still hear what became of a request: a month. */
export const TICKET_KEPT_MS: number = 30 * 24 * 3600_000
/** Tickets whose holders a node lets speak at all: more invites than a group of 250 ever has open. */
export const TICKETS_MAX: number = 256
