/** Bounds of the gate machine (SPEC §7.3), each with its reason. */

/** A voter that waits in vain waits this much longer for the next view. */
export const VIEW_GROWTH = 1.5
/**
 * The share of a view that its leader lets pass before it fills the view with an empty block: the
 * final votes on the block before it are usually already on their way.
 */
export const GRACE_SHARE = 0.25
/** Votes and blocks of views this far ahead are kept: a voter that is further behind is repaired. */
export const VIEWS_AHEAD_MAX = 64
/** Votes of views this far back are kept: older views can only be decided by their certificates. */
export const VOTE_VIEWS_MAX = 64
/** Blocks of one view: an honest leader makes one, two prove a lie, any other is fetched if certified. */
export const BLOCKS_PER_VIEW_MAX = 2
/** Distinct blocks that one voter's votes of one kind and view may name: the second proves a lie. */
export const BALLOTS_MAX = 2
/** Blocks of one repair answer above the commit: honest chains hold one or two. */
export const REPAIR_BLOCKS_MAX = 16
/** Certificates of one kind in one repair answer; 128 of them at 388 bytes fit an answer of the wire. */
export const REPAIR_CERTIFICATES_MAX = 128
/** Committed places that are remembered, to tell a late certificate from a contradiction. */
export const TRAIL_MAX = 64
