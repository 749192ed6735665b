/** The node floor's public face: the API's contract, and what starts a node. */

export * from './api/ask.ts'
export * from './api/backend.ts'
export * from './api/cache-schema.ts'
export * from './api/dial.ts'
export * from './api/enrol-schema.ts'
export * from './api/fork-schema.ts'
export * from './api/listen.ts'
export * from './api/log-schema.ts'
export * from './api/problem.ts'
export * from './api/schema.ts'
export * from './api/server.ts'
export * from './config.ts'
export * from './errors.ts'
export * from './key-files.ts'
export { type EnrolLink, openEnrolLink } from './network/enrol-link.ts'
export { peerIdText } from './network/peer-book.ts'
export * from './offline.ts'
export * from './replay.ts'
export * from './replay-source.ts'
export * from './start.ts'
export { type CacheCheck, checkCache } from './substituter/check-cache.ts'
export { writeDurably } from './system/durable.ts'
export {
  type BuiltGeneration,
  readNixGeneration,
  readPortableGeneration,
} from './system/generation.ts'
export { narOfDisk } from './system/nar-disk.ts'
export { copyToCache } from './system/nix-copy.ts'
export * from './trust-files.ts'
