/**
 * Who judges the parts of a pull: this thread, or several at once, each one part at a time.
 *
 * A verification is nearly all Ed25519, so that it takes as many cores as it is given. This file is also
 * what the threads start with: its last lines are theirs.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import {
  judge,
  type Part,
  type PartKind,
  type Parts,
  type Scene,
  type Seen,
} from './verify-parts.ts'

/** Judges parts; they may be given all at once. */
export interface Judges {
  judge<K extends PartKind>(kind: K, part: Parts[K]['part']): Promise<Parts[K]['seen']>
  /** To be called once, also after a part has failed. */
  close(): Promise<void>
}

/** Judges in this thread; between two parts whatever else waits has its turn. */
export function judgesHere(scene: Scene, signal: AbortSignal): Judges {
  let last: Promise<unknown> = Promise.resolve()
  return {
    judge: <K extends PartKind>(_: K, part: Parts[K]['part']) => {
      const mine = last.then(async () => {
        await new Promise((resolve) => setImmediate(resolve))
        signal.throwIfAborted()
        return judge(scene, part) as Parts[K]['seen']
      })
      last = mine.catch(() => undefined)
      return mine
    },
    close: async () => void (await last),
  }
}

/** What a thread is started with; `for` tells it from threads of others. */
interface ThreadStart {
  readonly for: 'nixfleet audit verify'
  readonly scene: Scene
}

type Answer = { readonly seen: Seen } | { readonly failed: unknown }

interface Waiting {
  readonly part: Part
  readonly done: (seen: Seen) => void
  readonly failed: (error: unknown) => void
}

/** Judges in `count` threads. A thread that fails, and an abort, fail every part that is not done. */
export function judgesInThreads(scene: Scene, count: number, signal: AbortSignal): Judges {
  const start: ThreadStart = { for: 'nixfleet audit verify', scene }
  const waiting: Waiting[] = []
  const idle: Worker[] = []
  const busy = new Map<Worker, Waiting>()
  let broken: { readonly error: unknown } | undefined
  const fail = (error: unknown): void => {
    broken ??= { error }
    for (const one of [...busy.values(), ...waiting.splice(0)]) one.failed(error)
    busy.clear()
  }
  const next = (): void => {
    const worker = idle.at(-1)
    const one = worker && waiting.shift()
    if (worker === undefined || one === undefined) return
    idle.pop()
    busy.set(worker, one)
    worker.postMessage(one.part)
  }
  const workers = Array.from({ length: count }, () => {
    const worker = new Worker(new URL(import.meta.url), { workerData: start })
    worker.on('message', (answer: Answer) => {
      const one = busy.get(worker)
      busy.delete(worker)
      idle.push(worker)
      if ('failed' in answer) fail(answer.failed)
      else one?.done(answer.seen)
      next()
    })
    worker.on('error', fail)
    worker.on('exit', () => fail(new Error('a thread of the verification ended before its work')))
    idle.push(worker)
    return worker
  })
  const stop = (): void => fail(signal.reason)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  return {
    judge: <K extends PartKind>(_: K, part: Parts[K]['part']) =>
      new Promise<Parts[K]['seen']>((resolve, reject) => {
        if (broken !== undefined) return reject(broken.error)
        const one = {
          part,
          done: (seen: Seen) => resolve(seen as Parts[K]['seen']),
          failed: reject,
        }
        // Feeds are many and short: last, so that no thread is left with a long part at the end.
        if (part.kind === 'feed') waiting.push(one)
        else waiting.unshift(one)
        next()
      }),
    close: async () => {
      signal.removeEventListener('abort', stop)
      for (const worker of workers) worker.removeAllListeners('exit')
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}

/** What lies in buffers moves to the thread that needs it next: nobody holds a second copy. */
function buffersOf(seen: Seen): ArrayBuffer[] {
  const pins = 'gate' in seen ? [...seen.gate.pins.values()] : []
  const ids = 'ids' in seen ? [seen.ids] : []
  return [...pins, ...ids].flatMap(({ seqs, heads }) => [seqs.buffer, heads.buffer])
}

function work({ scene }: ThreadStart): void {
  parentPort?.on('message', (part: Part) => {
    try {
      const seen = judge(scene, part)
      parentPort?.postMessage({ seen } satisfies Answer, buffersOf(seen))
    } catch (failed) {
      parentPort?.postMessage({ failed } satisfies Answer)
    }
  })
}

if (!isMainThread && (workerData as ThreadStart | undefined)?.for === 'nixfleet audit verify')
  work(workerData as ThreadStart)
