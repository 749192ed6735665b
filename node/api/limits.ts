/** Every bound of the API, each with its reason. */

/** Rows of one page when the client does not say: a screen or two. */
export const PAGE_ROWS_DEFAULT: number = 100
/** Rows of one page at most: a whole group with room. */
export const PAGE_ROWS_MAX: number = 500
/** JSON of one page: with its framing it must fit one answer over libp2p (ASK_BYTES_MAX, 128 KiB). */
export const PAGE_BYTES_MAX: number = 96 * 1024
/** The shortest start of an id that is looked up: four digits tell some hundred rollouts apart. */
export const ID_PREFIX_CHARS_MIN: number = 4
/** Uploads at once: each holds a file open and a hash; an operator's client sends one at a time. */
export const BLOB_PUTS_MAX: number = 4
/** Bundles and vector files made at once: each reads much of the store. */
export const BUNDLE_EXPORTS_MAX: number = 2
/** A vector file: some hundred thousand feeds and hashes, which are held in memory. */
export const VECTOR_FILE_BYTES_MAX: number = 64 * 1024 * 1024
/** Event streams at once: some operators, dashboards and collectors, and a bound for the rest. */
export const STREAMS_MAX: number = 64
/** Between two comments on a silent stream: below the 30 s after which many proxies hang up. */
export const STREAM_BEAT_MS: number = 15_000
/** Longest path and query of a request. */
export const URL_CHARS_MAX: number = 2048
/** Longest path of a unix socket that the kernel takes (108 bytes with its final zero). */
export const SOCKET_PATH_BYTES_MAX: number = 107
/** All headers of one request. */
export const HEADER_BYTES_MAX: number = 16 * 1024
/** Headers must be there after this long: a client on a socket is local or one hop away. */
export const HEADERS_TIMEOUT_MS: number = 10_000
/** A whole request may take this long: a NAR of 4 GiB over a slow link. */
export const REQUEST_TIMEOUT_MS: number = 2 * 3600 * 1000
/** How long the socket's present owner has to answer before it counts as gone. */
export const SOCKET_PROBE_MS: number = 1000

/** Read tokens that count at once: dashboards, scrapers and auditors of one host. */
export const TOKENS_MAX: number = 64
/** Records of tokens that ended, kept so that `tokens list` can say when. */
export const ENDED_TOKENS_KEPT: number = 64
/** The longest life of a token: whoever forgets one has to make it anew within about a year. */
export const TOKEN_TTL_MS_MAX: number = 400 * 24 * 3600 * 1000
/** The shortest: below it, a token ends before it was pasted anywhere. */
export const TOKEN_TTL_MS_MIN: number = 60 * 1000
/** Between two looks at the tokens: an open stream outlives its token by no more than two of these. */
export const TOKEN_LOOK_MS: number = 1000
/** Event streams of one token: one dashboard with some tabs. */
export const STREAMS_PER_TOKEN_MAX: number = 8

/** TCP connections at once, all clients together: each costs some 50 KiB with TLS. */
export const TCP_CONNECTIONS_MAX: number = 128
/** Of one client: a browser opens six, and several collectors may stand behind one address. */
export const TCP_CONNECTIONS_PER_CLIENT_MAX: number = 32
/** A whole request over TCP, which only reads and has no body. */
export const TCP_REQUEST_TIMEOUT_MS: number = 15_000
/** Silence on a TCP connection, four beats of a stream. */
export const TCP_IDLE_MS: number = 60_000
/** How often the server looks for requests that are late. */
export const TCP_CHECK_MS: number = 1000
/** Headers must be there after this long; nobody asks by hand. */
export const TCP_HEADERS_TIMEOUT_MS: number = 5_000
/** From the first byte to the end of a TLS handshake. */
export const TLS_HANDSHAKE_MS: number = 5_000

/** Requests that one client may make at once: a dashboard that loads. */
export const CLIENT_BURST: number = 120
/** Requests a second that it may make for ever: ten scrapers at one a second, twice. */
export const CLIENT_PER_SECOND: number = 20
/** What a request counts for that was refused for its token: guessing is ten times slower. */
export const REFUSED_COST: number = 10
/** Clients whose requests are counted; beyond it the one that was silent longest is forgotten. */
export const CLIENTS_MAX: number = 4096
