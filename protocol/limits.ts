/**
 * Every bound of the wire and of the disk format, each with its reason.
 *
 * A bound is checked before the work that it limits: size before decoding, count before allocation.
 */

/** One signed fact. A page of memory; an attestation splits its subjects to fit. */
export const FACT_BYTES_MAX: number = 4096
/** Facts that travel together in one sync answer or gossip batch. */
export const BATCH_BYTES_MAX: number = 64 * 1024
/** A gate block carries the feeds that moved since its parent: 250 hosts at 100 bytes, with room. */
export const GATE_BYTES_MAX: number = 64 * 1024
/** The body of a plan: a 250-host plan is about 18 kB, so this leaves room for long names. */
export const PLAN_BYTES_MAX: number = 1024 * 1024
/** The manifest of a release: 250 hosts sharing a closure of some thousand paths. */
export const MANIFEST_BYTES_MAX: number = 8 * 1024 * 1024
/** Root documents and group configurations: 250 hosts at 250 bytes, with room. */
export const DOCUMENT_BYTES_MAX: number = 256 * 1024
/** One request or answer of the stream protocol `ask`; holds a batch and its framing. */
export const ASK_BYTES_MAX: number = 128 * 1024
/** A NAR that one peer hands another whole; a kernel with modules is about 200 MiB. */
export const NAR_BYTES_MAX: number = 4 * 1024 * 1024 * 1024
/**
 * One piece of a NAR. Of 256 KiB, 1 MiB and 4 MiB the middle: the smallest costs twice the processor time for each byte, the
 * largest saves nothing more and makes a peer wait four times as long for something to pass on.
 */
export const PIECE_BYTES: number = 1024 * 1024
/** Pieces that one question offers: enough for the giver to find one that nobody has yet. */
export const PIECE_OFFERS_MAX: number = 16
/** NARs that one question asks about: 512 × 32 bytes; a larger closure asks in turns. */
export const PIECE_NARS_MAX: number = 512
/** Nesting of any wire value; the deepest honest one (a plan's waves) is 5. */
export const DEPTH_MAX: number = 6
/**
 * CBOR items of one value, map keys included: an empty list is one byte on the wire and fifty in
 * memory. The densest honest value, a manifest of 8 MiB, stays below three quarters of this.
 */
export const ITEMS_MAX: number = 1_000_000

/** Hosts of one group: the traffic figures of the design hold up to here. */
export const GROUP_HOSTS_MAX: number = 250
/** Groups of one fleet: 20 groups of 250 hosts is the largest fleet that was calculated. */
export const GROUPS_MAX: number = 64
/** Voters of one group: above 7 the messages grow and the tolerance hardly does. */
export const VOTERS_MAX: number = 7
/** Keys of one kind that a root may name. */
export const ROOT_KEYS_MAX: number = 64
/** Waves of one plan; more than one a host makes no sense. */
export const WAVES_MAX: number = GROUP_HOSTS_MAX
/** Rounds a host may be started in one rollout: the first and two of catching up. */
export const ROUNDS_MAX: number = 3
/** Commands of one gate block; more than a group can use between two blocks. */
export const COMMANDS_MAX: number = 64
/** Feeds that one block's basis may move. */
export const BASIS_FEEDS_MAX: number = 512
/** Subjects of one attestation: bounded by the 4 KiB of a fact. */
export const ATTEST_SUBJECTS_MAX: number = 24
/** Observers of one host. */
export const OBSERVERS_MAX: number = 5
/** Store paths of one release, all hosts together. */
export const MANIFEST_PATHS_MAX: number = 50_000
/** Store paths that one path refers to; the widest known derivations name some hundreds. */
export const REFERENCES_MAX: number = 1024
/** Cache signatures of one store path: one for each trusted cache, with room. */
export const PATH_SIGNATURES_MAX: number = 8
/** Binary caches of one release. */
export const CACHES_MAX: number = 16
/** Generations of one release that must not be gone back to; more belongs under `minVersion`. */
export const NOT_REVERTABLE_MAX: number = 8
/** Health checks of one host. */
export const CHECKS_MAX: number = 32
/** Rollouts one plan may supersede. */
export const SUPERSEDES_MAX: number = 16
/** Hosts that one halt names: 32 names of 63 characters fit a fact; for more, halt the rollout. */
export const HALT_HOSTS_MAX: number = 32
/** Holds that one fact releases. */
export const HOLD_RELEASES_MAX: number = 32
/** In-flight limits of one plan. */
export const IN_FLIGHT_LIMITS_MAX: number = 16
/** Peers that a plan may ask to hold each closure: above it a site buys disks, not safety. */
export const HOLDERS_MAX: number = 8
/** Closures that one fact says are held: 40 store paths of NixOS fit a fact; who holds more writes more. */
export const HELD_CLOSURES_MAX: number = 64

/** Addresses of one host: a few interfaces, two IP versions, two transports. */
export const ADDRESSES_MAX: number = 8
/** Tags of one host. */
export const TAGS_MAX: number = 16
/** A message type on the wire; the longest of version 1 has 16 characters. */
export const TYPE_CHARS_MAX: number = 32

/** A host's name: one DNS label, because it is used as one. */
export const NAME_CHARS_MAX: number = 63
/** Free text that a person wrote: a reason, a version, a title. */
export const TEXT_CHARS_MAX: number = 256
/** A URL, a command, or a store path. */
export const LONG_TEXT_CHARS_MAX: number = 1024

/** The shortest soak that still holds four probes of the demo preset; a plan below it is a mistake. */
export const SOAK_MS_MIN: number = 1
/** A soak, confirmation or start timeout of more than a week is a mistake, not a policy. */
export const POLICY_MS_MAX: number = 7 * 24 * 3600 * 1000

/** Facts held of authors that no known root names yet; they are dropped and refetched by sync. */
export const PEN_FACTS_MAX: number = 256
/** The share of one unknown author in that pen. */
export const PEN_FACTS_PER_AUTHOR_MAX: number = 16

/** Feeds that a bucket of the vector tree lists instead of splitting: fewer rounds for more bytes. */
export const SYNC_LEAF_FEEDS_MAX: number = 8
/** Buckets of one sync question; their answer is at most 64 × 0.9 kB, half of an `ask`. */
export const SYNC_LOOKS_MAX: number = 64
/** Buckets that one sync looks at: 8 times those of 1,000 feeds that all differ. */
export const SYNC_LOOKS_TOTAL_MAX: number = 8192
/** Ranges of one sync question: 256 × 0.1 kB. */
export const SYNC_RANGES_MAX: number = 256
/** Envelopes of one batch; the smallest fact has about 200 bytes. */
export const SYNC_FACTS_MAX: number = 512
/** Batches that one sync fetches or sends, 256 MiB; the next sync goes on where it stopped. */
export const SYNC_BATCHES_MAX: number = 4096
/** The gate's summary that rides on a greeting. */
export const SYNC_GATE_BYTES_MAX: number = 128

/** The two envelopes of a proof that travels inside its fact: a fact without its frame, 400 bytes. */
export const LIE_INLINE_BYTES_MAX: number = 3584
/** A proof as a blob: two gate messages of the largest size, and their framing. */
export const LIE_BYTES_MAX: number = 2 * GATE_BYTES_MAX + 64
/** Proofs about one voter that count: one is enough to accuse it, the others are for people. */
export const LIES_PER_KEY_MAX: number = 8
/** New sessions that a host opens in an hour: a crash loop on an old disk must not grow every vector. */
export const SESSIONS_PER_HOUR_MAX: number = 20
/** Hashes of one tile: 8 KiB, as tlog-tiles has it. */
export const TILE_WIDTH: number = 256
/** One entry of a log: what two bytes can count. A fact and a gate block are smaller. */
export const ENTRY_BYTES_MAX: number = 65_535
/** Hashes of one inclusion or consistency proof: a tree of 2^63 leaves. */
export const PROOF_HASHES_MAX: number = 63
/** A signed note: a checkpoint and the longest signature lines of `NOTE_SIGNATURES_MAX` cosigners. */
export const NOTE_CHARS_MAX: number = 65_536
/** Signatures of one note; a reader must take 16, a group has at most 7 voters. */
export const NOTE_SIGNATURES_MAX: number = 64
/** A log's name: a fleet id, an author and a session are 122 characters. */
export const ORIGIN_CHARS_MAX: number = 256
/** What stands beside a proof: a fact, its followers up to the next anchor, and a block, as base64. */
export const PROOF_EXTRA_CHARS_MAX: number = 16 * 1024 * 1024
/** Cosigned checkpoints that a node answers with at once; each is below 2 kB. */
export const CHECKPOINTS_PER_ANSWER_MAX: number = 32
/** Rumours that ride on one reach message: six of 300 bytes, so that a message stays below 4 KiB. */
export const REACH_RUMOURS_MAX: number = 6
/** One rumour in its envelope; with a name of 63 characters it has about 280 bytes. */
export const REACH_RUMOUR_BYTES_MAX: number = 320
/** Sightings that ride on one reach message: a member of 250 is mentioned about every 20 messages. */
export const REACH_SEEN_MAX: number = 12
/** Times that a host may have to refute a suspicion in one life: once a second for a century. */
export const INCARNATION_MAX: number = 2 ** 32 - 1
/** Feeds that one revocation names: 64 of 40 bytes stay far below a fact's bound. */
export const REVOKED_FEEDS_MAX: number = 64
/** One record of a bundle: a manifest is the largest thing that travels whole. */
export const BUNDLE_RECORD_BYTES_MAX: number = MANIFEST_BYTES_MAX + 64
/** One chunk of a NAR in a bundle: what is broken is named this closely, and memory stays this small. */
export const BUNDLE_CHUNK_BYTES_MAX: number = 1024 * 1024
/** Feeds or hashes of one record of a vector file: at 0.13 kB each, 130 kB. */
export const BUNDLE_HAVES_MAX: number = 1024
/** Blobs and NARs that a vector file lists: 64 MiB of hashes, more than any store holds of them. */
export const BUNDLE_HAVES_TOTAL_MAX: number = 1_000_000
/** One request to be let in, with both signatures: it travels inside a fact, with room for its frame. */
export const ENROLL_BYTES_MAX: number = 3584
/** A question of somebody who wants in: the request and the number of a document. */
export const ENROLL_QUESTION_BYTES_MAX: number = ENROLL_BYTES_MAX + 64
/** Its answer: at most one document. */
export const ENROLL_ANSWER_BYTES_MAX: number = DOCUMENT_BYTES_MAX + 64
/** Keys that one invite lets in: a whole group, installed from one image. */
export const INVITE_USES_MAX: number = GROUP_HOSTS_MAX
/** Peers that a ticket names: enough for one to be up, few enough to be read aloud or drawn as a QR code. */
export const TICKET_PEERS_MAX: number = 3
/** A ticket as text: three peers with IPv6 addresses and a name of 63 characters are 600 characters. */
export const TICKET_CHARS_MAX: number = 2048
