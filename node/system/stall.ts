/** A bound on silence: a stream may last as long as it likes, but not without bringing anything. */

/** The items of `source`; throws when the next one takes longer than `ms`. */
export async function* withoutStalls<T>(
  source: AsyncIterable<T>,
  ms: number,
): AsyncGenerator<T, void> {
  const items = source[Symbol.asyncIterator]()
  let stalled = false
  try {
    while (true) {
      const next = await soon(items.next(), ms, () => {
        stalled = true
      })
      if (next.done) return
      yield next.value
    }
  } finally {
    // One that stalls may never answer a farewell either.
    if (!stalled) await items.return?.()
  }
}

async function soon<T>(promise: Promise<T>, ms: number, late: () => void): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      late()
      reject(new Error(`expected more bytes within ${ms} ms, found none`))
    }, ms)
  })
  try {
    return await Promise.race([promise, end])
  } finally {
    clearTimeout(timer)
  }
}
