/** Every bound of the substituter, each with its reason. */

/** Questions that come within this time are put together: Nix asks for a closure path by path. */
export const GATHER_MS: number = 0
/** A peer that has not said by then what it holds counts as holding nothing: Nix waits meanwhile. */
export const HOLDINGS_MS_MAX: number = 3_000
/** How long what a peer said counts: a closure's narinfo files come within it. */
export const HOLDINGS_MS: number = 10_000
/** NARs remembered with it: some closures. */
export const HOLDINGS_MAX: number = 10_000
/** NARs that are brought in for clients at once; Nix takes 16 at a time. */
export const FETCHES_MAX: number = 64
/** An upstream cache's answer to a small question: slower ones are as good as none. */
export const UPSTREAM_MS_MAX: number = 10_000
/** An upstream that failed is left alone for so long: a site without Internet must not wait for each path. */
export const UPSTREAM_REST_MS: number = 30_000
/** Silence of an upstream within a NAR: as between peers. */
export const UPSTREAM_STALL_MS_MAX: number = 60_000
/** Upstream caches in the configuration: a site's, the fleet's, and the world's. */
export const UPSTREAMS_MAX: number = 8
/** Priority among a client's substituters, lower first: before cache.nixos.org (40), which is far away. */
export const CACHE_PRIORITY: number = 30
/** From a NAR that was handed out until this node looks whether its own store has it now: Nix registers it within seconds. */
export const SETTLE_MS: number = 60_000
/** Without a piece for so long the peers are asked again whether they have the rest. */
export const LOOK_AGAIN_MS: number = 2_000
/** Questions to one cache at once while its paths are checked: as many as Nix asks. */
export const CHECKS_AT_ONCE: number = 16
