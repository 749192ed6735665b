/** The light program hands over what it does not hold, before it has said or done anything. */
import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../../../cli/commands.ts'
import { HandOver } from '../../../cli/errors.ts'
import type { World } from '../../../cli/process-world.ts'
import { type CliParts, runCli } from '../../../cli/run.ts'

const PEER = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp'

function handOver(): never {
  throw new HandOver()
}

async function run(
  argv: readonly string[],
  parts: CliParts,
): Promise<{ said: string; end: unknown }> {
  const said: string[] = []
  const sink = { write: (text: string) => void said.push(text), isTTY: false, columns: 80 }
  const world: World = {
    ...{ stdout: sink, stderr: sink, env: {}, cwd: '/' },
    signal: new AbortController().signal,
    now: () => 0,
    sleep: () => Promise.resolve(),
    random: (count) => new Uint8Array(count),
    ask: () => Promise.resolve(undefined),
  }
  const end = await runCli(argv, world, parts).catch((error: unknown) => error)
  return { said: said.join(''), end }
}

describe('a program that does not hold a part', () => {
  it.each(COMMANDS.map(({ name }) => name))('says nothing of `%s`', async (name) => {
    const command = COMMANDS.find((one) => one.name === name)
    const args = command?.args.filter(({ required }) => required).map(() => 'x') ?? []
    const { said, end } = await run([...name.split(' '), ...args], {
      load: async () => handOver(),
      transport: handOver,
    })
    expect(end).toBeInstanceOf(HandOver)
    expect(said).toBe('')
  })

  it('says nothing of a peer that it cannot reach', async () => {
    const parts: CliParts = { load: ({ command }) => command.load(), transport: handOver }
    const { said, end } = await run(['status', '--peer', PEER], parts)
    expect(end).toBeInstanceOf(HandOver)
    expect(said).toBe('')
  })

  it('answers what needs no part', async () => {
    const parts: CliParts = { load: async () => handOver(), transport: handOver }
    expect(await run(['version'], parts)).toMatchObject({ end: 0 })
    expect(await run(['help', 'status'], parts)).toMatchObject({ end: 0 })
    expect(await run(['stauts'], parts)).toMatchObject({ end: 64 })
  })
})
