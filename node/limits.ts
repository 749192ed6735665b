/** Every bound of the node, each with its reason. Append only. */

/* --- The host's system (node/system) --- */

/** Silence between two chunks of a NAR; a peer that is alive sends one long before. */
export const NAR_STALL_MS_MAX: number = 60_000
/** One `nix copy` of a closure: 5 GiB over a line of 10 Mbit/s, which is 70 minutes, with room. */
export const NIX_COPY_MS_MAX: number = 2 * 3600_000
/** One question to Nix's database, one profile switch, one link: milliseconds unless it is locked. */
export const NIX_COMMAND_MS_MAX: number = 120_000
/** Store paths on one command line: 500 of 255 bytes stay far below the kernel's 2 MiB. */
export const NIX_PATHS_PER_COMMAND_MAX: number = 500
/** `switch-to-configuration boot`: a boot loader that writes many kernels to a slow disk. */
export const BOOT_LOADER_MS_MAX: number = 10 * 60_000
/** What one command may print on stdout: `nix path-info --json` of 500 paths is below 1 MiB. */
export const COMMAND_OUTPUT_BYTES_MAX: number = 16 * 1024 * 1024
/** The end of a command's output that is kept for people: some lines of an error. */
export const COMMAND_TAIL_CHARS_MAX: number = 2_000
/** From SIGTERM to SIGKILL of a command's process group, and of an activation that is ended. */
export const COMMAND_KILL_GRACE_MS: number = 2_000
/** A health check: longer, and it would say more about the past than about now. */
export const CHECK_MS_MAX: number = 60_000
/** What a check's outcome says why: one line on a screen. */
export const CHECK_WHY_CHARS_MAX: number = 200
/** From the launch of the deadman's script until it says that it watches: one fork and exec. */
export const DEADMAN_START_MS_MAX: number = 10_000
/** From the kill of a deadman's script to its end: what a disk holds up for longer, no kill ends. */
export const DEADMAN_END_MS_MAX: number = 10_000
/** One step of the deadman's way back; a real switch takes below a minute, a hanging one must end. */
export const DEADMAN_STEP_MS_MAX: number = 15 * 60_000
/** Times that a directory is read again when a rename went on under the first reading. */
export const DEADMAN_READS_MAX: number = 50
/** The deadman's token, which is part of a process's arguments and of a unit's name. */
export const DEADMAN_TOKEN_CHARS_MAX: number = 128
/** Profile links kept as history; the generations behind them are kept by pins, not by these. */
export const PROFILE_LINKS_MAX: number = 50
/** How long a path that Nix called valid counts as valid for peers: collected meanwhile, it is missing files and nothing wrong is sent. */
export const NIX_VALID_MS: number = 10_000
/** Paths of which that is remembered: a few closures. */
export const NIX_VALID_PATHS_MAX: number = 10_000
/** Store paths whose layouts are kept for peers that take them piece by piece: a closure under way. */
export const NAR_INDEXES_MAX: number = 256
/** Bytes of those layouts together: some 100,000 files at 150 bytes. */
export const NAR_INDEX_BYTES_MAX: number = 16 * 1024 * 1024

/* --- The runtime --- */

/** Tasks waiting in the node's queue; above it gossip is dropped, because sync brings it again. */
export const MAILBOX_TASKS_MAX: number = 4096

/* --- The store (node/store) --- */

/** Free bytes before a store that ran full is opened again: the log, the manifest and one table. */
export const STORE_REOPEN_FREE_BYTES_MIN: number = 8 * 1024 * 1024
/** What LevelDB gathers in memory before it becomes a table: twice this at most; a host writes a few MB a day. */
export const STORE_WRITE_BUFFER_BYTES: number = 1024 * 1024
/** Blocks of tables kept in memory: facts are read at the start and by sync, in rows. */
export const STORE_CACHE_BYTES: number = 2 * 1024 * 1024
/** A key of the store: the longest (a feed, a sequence and a prefix) has about 140 characters. */
export const STORE_KEY_CHARS_MAX: number = 256

/* --- The network (node/network) --- */

/** One gossiped message: a batch of facts or a gate block, whichever is larger. */
export const GOSSIP_BYTES_MAX: number = 64 * 1024
/** One gossip frame. A peer answers a request for missed messages in one frame: four of the largest. */
export const GOSSIP_FRAME_BYTES_MAX: number = 4 * GOSSIP_BYTES_MAX
/** Messages in one gossip frame; a burst of a 250-host group arrives in several. */
export const GOSSIP_MESSAGES_MAX: number = 256
/** Message ids in one announcement of what a peer has or wants: three heartbeats of a burst. */
export const GOSSIP_IDS_MAX: number = 1024
/** Gossip validations under way; above it a message is left to sync, which has back pressure. */
export const GOSSIP_VALIDATIONS_MAX: number = 1024
/** Connections that a host keeps besides those to voters: the traffic was calculated for 12. */
export const CONNECTIONS_WANTED: number = 12
/** All connections: a voter is dialed by its whole group, with room for operators and other groups. */
export const CONNECTIONS_MAX: number = 600
/** Connections that one operator key may hold: a few terminals and a dashboard. */
export const OPERATOR_CONNECTIONS_MAX: number = 8
/** Connections of one host: two that crossed, and some that died and are not missed yet. */
export const HOST_CONNECTIONS_MAX: number = 8
/** From an accepted connection to a proven key: as long as a dial waits. Whoever is slower is a stranger. */
export const HANDSHAKE_MS_MAX: number = 5_000
/** Connections of strangers, who have proven nothing yet: each costs a socket and a handshake's state. */
export const HANDSHAKES_MAX: number = 512
/** Of one address: a site behind one NAT that comes back at once has them in turns. */
export const HANDSHAKES_PER_ADDRESS_MAX: number = 32
/** Inbound connections of one address in a second: a whole site behind one NAT comes back at once. */
export const INBOUND_PER_ADDRESS_MAX: number = 100
/** Between two rounds of redialing: the time that a healed partition stays open. */
export const REDIAL_MS: number = 2_000
/** Dials under way at once; the rest of the group waits for the next round. */
export const REDIAL_PARALLEL_MAX: number = 4
/** One dial: time for two lost SYNs, and for the handshake on a host that is busy. */
export const DIAL_MS_MAX: number = 5_000
/** Received bytes of one stream that may be under way. Below the 4 MiB at which a paused stream is reset. */
export const STREAM_WINDOW_BYTES_MAX: number = 2 * 1024 * 1024
/** Rounds that a connected member may lack gossip streams before its connection is made anew. */
export const GOSSIP_MISSING_ROUNDS_MAX: number = 5
/** Addresses kept of one member: those of the configuration and as many learned on the LAN. */
export const ADDRESSES_PER_PEER_MAX: number = 8
/** Questions of one peer under way at once, over all its connections. */
export const ASKS_PER_PEER_MAX: number = 32
/** Questions of all peers under way at once: memory stays below 256 × 128 KiB. */
export const ASKS_MAX: number = 256
/** From the opening of an `ask` stream until its question has arrived whole. */
export const ASK_READ_MS_MAX: number = 10_000
/** The longest that an answer may take; an asker with more patience asks again. */
export const ASK_ANSWER_MS_MAX: number = 120_000
/** What a refusal says in words. */
export const REFUSAL_CHARS_MAX: number = 240
/** Blobs sent to one peer at once. */
export const BLOBS_PER_PEER_MAX: number = 4
/** Blobs sent to all peers at once: a release spreads as a tree, not from one host. */
export const BLOBS_MAX: number = 32
/** One write of a blob: 64 KiB was the fastest that was measured. */
export const BLOB_CHUNK_BYTES_MAX: number = 64 * 1024
/** Bytes of one blob that have arrived and are not yet taken; above it the sender is held back. */
export const BLOB_READ_AHEAD_BYTES_MAX: number = 512 * 1024
/** Silence in a blob's stream, either way, before the transfer is given up. */
export const BLOB_STALL_MS_MAX: number = 15_000
/** Rounds over all peers without one new byte before a blob counts as missing. */
export const BLOB_ROUNDS_MAX: number = 2
/** Times that one peer is pulled from for one blob: each ends in progress, a liar or an idle round. */
export const BLOB_PULLS_MAX: number = 256
/** One question to a peer; longer, and the peer is as good as gone. */
export const ASK_MS_MAX: number = 5_000
/** Peers that one repair question goes to: more answers than a quorum add nothing. */
export const REPAIR_PEERS_MAX: number = 7
/** Plans and manifests fetched at once; each is at most 8 MiB in memory. */
export const BLOB_FETCHES_MAX: number = 4
/** A read of a file that goes into a NAR: large enough for the disk, small enough for 16 peers. */
export const NAR_CHUNK_BYTES: number = 256 * 1024
/** The host machine's journal: some hundred rollouts at some hundred bytes. */
export const HOST_STATE_BYTES_MAX: number = 256 * 1024
/** The observer's journal: a window number for each watched rollout. */
export const OBSERVER_JOURNAL_BYTES_MAX: number = 64 * 1024
/** An unchanged host still says so once a day, so that silence means something. */
export const HEALTH_REPORT_MS: number = 24 * 3600 * 1000
/** Facts whose time of arrival is remembered, for ages on a screen. */
export const FOLLOW_EVENTS_MAX: number = 50_000
/** The first activation of a portable host: a script that starts a service or two. */
export const FIRST_ACTIVATION_MS_MAX: number = 120_000
/** Between two syncs with a random peer: what gossip lost is repaired within it. */
export const SYNC_EVERY_MS: number = 30_000
/** In groups with short probe intervals syncs are as many probes apart as in production. */
export const SYNC_PROBES: number = 6

/* --- The runtime: what failed is tried again (node/pause.ts) --- */

/** The first wait after a failure: a disk that was full for a moment, a peer that restarts. */
export const RETRY_MS_MIN: number = 500
/** The longest wait between two tries: an operator who freed space sees it within half a minute. */
export const RETRY_MS_MAX: number = 30_000
/** Tries to set the boot default at the end of a way back, before the host calls itself stuck. */
export const BOOT_DEFAULT_TRIES_MAX: number = 6
/** Members that must have sent wrong bytes of one NAR before a host gives its staging up. */
export const NAR_LIARS_MAX: number = 3
/** Looks that good news must last before they are signed: a minute, so that a service that comes and goes costs two facts in it. */
export const HEALTH_CALM_LOOKS: number = 12
/** Between two tries to end an activation: one that has only just begun shows itself within it. */
export const END_AGAIN_MS: number = 200
/** Messages of one deep repair answer: blocks and certificates, two for each committed block. */
export const SERVE_MESSAGES_MAX: number = 128
/** Attestations and their journals that wait for a full disk: some hours of windows; then the oldest go. */
export const OBSERVER_WAITING_MAX: number = 1024
/** Confirmations of one host under way at once: each is a whole look at it, and it asks once in three probes. */
export const CONFIRMS_PER_PEER_MAX: number = 2
/** Lines of a node's log that one page looks at: a filter that hits nothing must not read a year at once. */
export const LOG_LINES_PER_PAGE_MAX: number = 20_000
/** Closures of other hosts that come in at once: the host's own must not wait behind all of them. */
export const HOLDER_STAGINGS_MAX: number = 2
/** Probe periods between two words about closures of which some are still coming in. */
export const HOLDER_PROBES: number = 2
/** Between two looks of a voter for NARs that it lacks: shorter than anybody types a deploy. */
export const NAR_KEEPER_MS: number = 500
/** Newest releases of which voters keep a copy: the one that rolls out, and two before it. */
export const RELEASES_KEPT: number = 3
/** Newest plans whose releases' bytes are kept: some of them may not be admitted yet. */
export const PLANS_KEPT: number = 8
/** Between two questions to one voter for a cosignature: a block behind, it has caught up by then. */
export const COSIGN_AGAIN_MS: number = 1_000
/** Between two clearings of the depot, and of a store that has no collector of its own. */
export const DEPOT_SWEEP_MS: number = 3600_000
/**
 * How long a host that left the group is still answered: long enough for gossip, a sync and a repair
 * to tell it, short enough that nobody mistakes it for a member.
 */
export const FAREWELL_MS: number = 10_000

/* --- Liars and restored disks --- */

/** Facts kept beside a feed that forked, taken from peers for a block that names them: an hour of a busy author. */
export const STRAYS_PER_FEED_MAX: number = 1024
/** Proofs of one accuser that are fetched as blobs at once: whoever accuses falsely holds up itself alone. */
export const PROOFS_WANTED_MAX: number = 4
/** Contradictions that wait to be signed as facts; above it they are found again by the next sync. */
export const ACCUSATIONS_WAITING_MAX: number = 64
/** Probes that a restarted host waits for its peers to say what it wrote before it takes a new session. */
export const OWN_FEED_PROBES: number = 6
/* --- The swarm (node/swarm) --- */

/** Pieces asked for at once: 12 MiB of memory, enough to fill a line from several peers. */
export const PIECES_ASKED_MAX: number = 12
/** Of them at one peer: what waits there for its turn cannot come from elsewhere meanwhile. */
export const PIECES_PER_PEER_ASKED_MAX: number = 1
/** Share of a download's pieces that may be asked for twice at its end. */
export const SWARM_DUPLICATE_SHARE_MAX: number = 0.02
/** A piece that took this long may be asked for at a second peer, once nothing else is left to ask. */
export const SWARM_ENDGAME_MS: number = 2_000
/** Between two questions to a peer what it holds by now, where there are few; with each piece it says so anyway. */
export const SWARM_LOOK_MS: number = 200
/** Rest of a peer that is busy, or did not hold what it had said. */
export const SWARM_BUSY_MS: number = 100
/** Between two looks at the time: the shortest rest of a peer. */
export const SWARM_TICK_MS: number = 100
/** Pieces that leave a node at once: few, so that each is soon whole where it goes and goes on from there. */
export const PIECES_SENT_MAX: number = 4
/** Questions for pieces that wait for one of those places, so that the line never idles; above it the answer is 'busy', and the asker turns to others. */
export const PIECES_WAITING_MAX: number = 1
/** The longest such wait; below the silence at which the asker gives the stream up. */
export const PIECE_WAIT_MS_MAX: number = 8_000
/** NARs of which is counted how often each piece has left: a large closure under way. */
export const NARS_COUNTED_MAX: number = 4096
/** Streams for pieces of one peer at once: those that it asks for, and a look. */
export const PIECE_STREAMS_PER_PEER_MAX: number = 4
/** Streams for pieces of all peers at once: a whole group that downloads. */
export const PIECE_STREAMS_MAX: number = 512
/** NARs whose earlier pieces are looked through at once. */
export const SWARM_STARTS_MAX: number = 4
/** Without one new piece for so long a download says that it stands still. */
export const SWARM_STALL_MS: number = 20_000
/** Without a piece for so long a download is over, and memory is spared again. */
export const BULK_REST_MS: number = 10_000
/** Piece lists in memory: 128 KiB each for the largest NAR. */
export const PIECE_LISTS_MAX: number = 64
/** Peers that are asked so often; of more each is asked less often, so that looking costs no more. */
export const SWARM_LOOK_PEERS: number = 8
/* --- Freshness (node/freshness-service.ts) --- */

/** Without the word of a quorum for a day, what a host shows may be a day old: it says so. */
export const STALE_MS_MAX: number = 24 * 3600_000
/** Probe intervals between two questions for the log: five minutes in production, far below a day. */
export const CURRENT_PROBES: number = 60
/** Probe intervals between them while nobody has confirmed it: a host that waits must not wait long. */
export const CURRENT_RETRY_PROBES: number = 2

/* --- Facts of one author by gossip (node/author-limits.ts); sync is never limited --- */

/** In a quiet hour: a host says a few things a day, so that this is room for a very bad one. */
export const GOSSIP_FACTS_PER_HOUR_MAX: number = 60
/** At once: a host that was away for a rollout, with its observations, in one go. */
export const GOSSIP_FACTS_BURST_MAX: number = 200
/** New sessions of one key: each is a feed in every node's vector for good. */
export const GOSSIP_SESSIONS_PER_HOUR_MAX: number = 20
/** The window of attestations that these numbers were made for: the production preset's. */
export const GOSSIP_WINDOW_MS: number = 30_000
/** What an observer says in an hour of one rollout with such windows. */
export const ATTESTS_PER_HOUR: number = 120
/** With shorter windows in force all of it grows, up to windows of 0.3 s. */
export const GOSSIP_SCALE_MAX: number = 100
/** Peers that a sync is begun with after an import: as many as a host keeps connected besides voters. */
export const BUNDLE_SYNC_PEERS_MAX: number = 12
/** A connection that ends this soon after our dial was refused by the other side's gater. */
export const DENIED_MS_MAX: number = 2_000
/** Peer ids of strangers on the LAN that are counted; more say no more. */
export const STRANGERS_MAX: number = 1_000
/** Between two questions on the LAN, for each host of the group: all answer each question, so that their number grows with its square. */
export const LAN_QUERY_MS_PER_HOST: number = 200
/** The shortest time between two questions: a small site finds a host that was lost to a dropped packet within it. */
export const LAN_QUERY_MS_MIN: number = 2_000

/* --- Enrolment (node/enrol-desk.ts, node/network/enroll-protocol.ts) --- */

/** From the first byte to the last of one question or answer, and how long a ticket's connection lives. */
export const ENROLL_CONNECTION_MS_MAX: number = 30_000
/** Connections of one ticket: a rack that is installed from one image asks at the same time. */
export const TICKET_CONNECTIONS_MAX: number = 16
/** Connections of all tickets: strangers must not crowd members out. */
export const TICKET_CONNECTIONS_TOTAL_MAX: number = 32
/** Streams of one ticket's connection: it asks one thing after the other. */
export const TICKET_STREAMS_MAX: number = 2
/** Questions of all tickets under way at once: memory stays below 32 × 260 KiB. */
export const ENROLLS_MAX: number = 32
/** Questions of one ticket in an hour: a rack of 16 that looks every four seconds. */
export const ENROLLS_PER_HOUR_MAX: number = 4 * 3600
/** Questions of one ticket at once: a rack that asks and takes its documents, five questions each. */
export const ENROLLS_BURST_MAX: number = 80
