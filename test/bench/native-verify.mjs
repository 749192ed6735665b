/**
 * What Ed25519 alone costs here: `node native-verify.mjs PULL THREADS SECONDS` verifies signatures out of
 * a pull's feeds with Node's own function in so many threads and prints how many a second. Bytes and keys
 * are in memory, and parsed, before the clock starts. Not a line of nixfleet is used.
 */
import { createPublicKey, verify } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** Signatures that each thread goes round. */
const KEPT = 5000
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

if (isMainThread) await main(process.argv.slice(2))
else verifyAll(workerData)

async function main([pull = '', threads = '1', seconds = '1']) {
  const workers = Array.from(
    { length: Number(threads) },
    (_, share) =>
      new Worker(fileURLToPath(import.meta.url), {
        workerData: { pull, share, shares: Number(threads), seconds: Number(seconds) },
      }),
  )
  const heard = (worker) => new Promise((resolve) => worker.once('message', resolve))
  await Promise.all(workers.map(heard))
  const results = workers.map(heard)
  for (const worker of workers) worker.postMessage('go')
  const done = await Promise.all(results)
  const perSecond = done.reduce((sum, { count, ms }) => sum + (1000 * count) / ms, 0)
  const { user, system } = process.cpuUsage()
  const verified = done.reduce((sum, { count }) => sum + count, 0)
  const cpuSeconds = (user + system) / 1e6
  process.stdout.write(`${JSON.stringify({ perSecond, verified, cpuSeconds })}\n`)
}

function verifyAll({ pull, share, shares, seconds }) {
  const signed = [...signatures(pull, share, shares)]
  parentPort.once('message', () => {
    const startedAt = performance.now()
    let count = 0
    let ms = 0
    while (ms < seconds * 1000) {
      for (let i = 0; i < 200; i++, count++) {
        const { key, entry, signature } = signed[count % signed.length]
        if (!verify(null, entry, key, signature)) throw new Error('a signature does not verify')
      }
      ms = performance.now() - startedAt
    }
    parentPort.postMessage({ count, ms })
  })
  parentPort.postMessage('ready')
}

/** Of every so-many-th feed its first bundle: 2 bytes of length before each entry (SPEC §15.2). */
function* signatures(pull, share, shares) {
  const authors = readdirSync(join(pull, 'feeds')).filter((_, i) => i % shares === share)
  let left = KEPT
  for (const author of authors) {
    const key = createPublicKey({
      ...{ key: Buffer.concat([SPKI, Buffer.from(author, 'hex')]), format: 'der', type: 'spki' },
    })
    const [session] = readdirSync(join(pull, 'feeds', author))
    const feed = join(pull, 'feeds', author, session)
    const at = readdirSync(join(feed, 'signatures')).includes('000') ? '000' : partialIn(feed)
    const bundle = readFileSync(join(feed, 'tile/entries', at))
    const all = readFileSync(join(feed, 'signatures', at))
    for (let from = 0, i = 0; from < bundle.length && left > 0; i++, left--) {
      const end = from + 2 + bundle.readUInt16BE(from)
      yield {
        key,
        entry: bundle.subarray(from + 2, end),
        signature: all.subarray(i * 64, i * 64 + 64),
      }
      from = end
    }
  }
}

function partialIn(feed) {
  return join('000.p', readdirSync(join(feed, 'signatures/000.p'))[0])
}
