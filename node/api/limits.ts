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
