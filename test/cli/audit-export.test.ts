/** Rows wait for whoever reads them, and end when nobody wants more. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { feedsIn } from '../../cli/audit/layout.ts'
import { runCli } from '../../cli/run.ts'
import { type LongLog, writeLongLog } from '../bench/long-log.ts'
import { forged } from '../pulled-fleet.ts'

const FACTS = 1300
const folder = mkdtempSync(join(tmpdir(), 'nixfleet-export-'))
let log: LongLog

beforeAll(() => {
  const { signal } = new AbortController()
  log = writeLongLog(join(folder, 'pull'), { hosts: 3, facts: FACTS, signal })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A reader that takes what was written only when it is waited for. */
class SlowReader {
  lines = 0
  /** Most writes that it was given at once. */
  most = 0
  #held = 0

  readonly sink = {
    write: (text: string): void => {
      this.lines += text.split('\n').length - 1
      this.#held++
      this.most = Math.max(this.most, this.#held)
    },
    drained: async (): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve))
      this.#held = 0
    },
    ...{ isTTY: false, columns: 80 },
  }
}

interface Wanted {
  readonly pull?: string
  readonly more?: readonly string[]
  readonly stop?: AbortController
}

async function exported(
  reader: SlowReader,
  { pull = 'pull', more = [], stop = new AbortController() }: Wanted = {},
) {
  const said: string[] = []
  const { signal } = stop
  const words = ['audit', 'export', pull, '--root-hash', log.rootHash, '--format', 'jsonl']
  const exit = await runCli([...words, ...more], {
    ...{ stdout: reader.sink, env: {}, cwd: folder, signal },
    stderr: { write: (text) => void said.push(text), isTTY: false, columns: 80 },
    ...{ now: () => 0, sleep: () => Promise.resolve() },
    random: (count) => new Uint8Array(count),
    ask: () => Promise.resolve(undefined),
  })
  return { exit, said: said.join('') }
}

describe('an export', () => {
  it('never writes on before its reader has taken what there is', async () => {
    const reader = new SlowReader()
    const { exit } = await exported(reader)
    expect({ exit, lines: reader.lines, most: reader.most }).toEqual({
      ...{ exit: 0, lines: FACTS, most: 1 },
    })
  })

  it('ends at once when it is interrupted, and not as if all were well', async () => {
    const stop = new AbortController()
    const reader = new SlowReader()
    const { write } = reader.sink
    reader.sink.write = (text) => {
      write(text)
      stop.abort('SIGINT')
    }
    const { exit } = await exported(reader, { stop })
    expect(exit).toBe(130)
    expect(reader.lines).toBe(500)
  })

  it('writes every row to a file', async () => {
    const { exit } = await exported(new SlowReader(), { more: ['-o', 'out'] })
    expect(exit).toBe(0)
    expect(readFileSync(join(folder, 'out'), 'utf8').split('\n')).toHaveLength(FACTS + 1)
  })

  it('says how many facts it has left out', async () => {
    const copy = forged(join(folder, 'pull'), 'holed', (at) => {
      rmSync(join(feedsIn(at)[0]?.folder ?? '', 'tile/entries/000'))
    })
    const reader = new SlowReader()
    const { exit, said } = await exported(reader, { pull: copy })
    expect(exit).toBe(0)
    expect(reader.lines).toBe(FACTS - 256)
    expect(said).toMatch(/^256 facts left out/m)
  })
})
