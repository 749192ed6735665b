/**
 * `Promise.withResolvers` for Node 20. libp2p calls it at import time, so every entry point imports
 * this file first. Delete it when Node 20 is no longer supported.
 */
const target = Promise as unknown as { withResolvers?: () => unknown }

target.withResolvers ??= () => {
  const deferred: Record<string, unknown> = {}
  deferred['promise'] = new Promise((resolve, reject) =>
    Object.assign(deferred, { resolve, reject }),
  )
  return deferred
}

export {}
