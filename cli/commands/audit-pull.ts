/** `nixfleet audit pull`: the whole log of one node, or of every node, into a folder. */
import { join, resolve } from 'node:path'
import type { PeerRow } from '../../node/index.ts'
import { type Pulled, pullInto } from '../audit/pull.ts'
import type { Client } from '../client.ts'
import type { Context } from '../context.ts'
import { usage } from '../errors.ts'
import { EXIT_FAILED, EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, flagOption, textOption } from '../registry.ts'
import { plural } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const given = textOption(input.options, 'out')
  if (given === undefined) throw usage('expected -o DIR, the folder to pull into')
  const folder = resolve(context.cwd, given)
  if (flagOption(input.options, 'all')) return await pullAll(context, folder)
  const from = textOption(input.options, 'from')
  const client = from === undefined ? await context.connect() : context.connectTo(from)
  const pulled = await pullOne(context, client, folder)
  show(context, [{ folder, ...pulled }], [])
  return EXIT_OK
}

/** Each node into a folder of its own name: two of them are then compared. */
async function pullAll(context: Context, folder: string): Promise<number> {
  const client = await context.connect()
  const { items: peers } = await client.all<PeerRow>('/api/v1/peers')
  const pulled: (Pulled & { folder: string })[] = []
  const failed: string[] = []
  const found = await addressesOf(context, client, peers)
  for (const { name } of peers) {
    const address = found.get(name)
    const into = join(folder, name)
    try {
      if (address === undefined) throw new Error('no address of it is known here')
      pulled.push({ folder: into, ...(await pullOne(context, context.connectTo(address), into)) })
    } catch (error) {
      context.signal.throwIfAborted()
      failed.push(name)
      context.out.note(`${name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  show(context, pulled, failed)
  return failed.length === 0 ? EXIT_OK : EXIT_FAILED
}

/** Where each node answers: the peer that was asked, sockets beside it, and what peers tell of. */
async function addressesOf(
  context: Context,
  client: Client,
  peers: readonly PeerRow[],
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  for (const peer of peers) {
    const [address] = peer.api
    if (address !== undefined) found.set(peer.name, address)
  }
  const near = new Set([client.address(), ...context.siblings(client.address())])
  for (const address of near) {
    const stamp = await context
      .connectTo(address)
      .get<{ observedBy: string }>('/api/v1/fleet?hosts=no')
      .catch(() => undefined)
    if (stamp !== undefined) found.set(stamp.observedBy, address)
  }
  return found
}

async function pullOne(context: Context, client: Client, folder: string): Promise<Pulled> {
  const { out, signal, sleep } = context
  let shown = 0
  const progress = (done: number, total: number): void => {
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100)
    if (percent === shown || out.quiet) return
    shown = percent
    if (out.stderr.isTTY) out.stderr.write(`\rfacts ${done} of ${total} (${percent} %)`)
  }
  const pulled = await pullInto(folder, { client, signal, sleep, progress })
  if (shown > 0 && out.stderr.isTTY) out.stderr.write('\n')
  return pulled
}

function show(
  { out }: Context,
  pulled: readonly (Pulled & { folder: string })[],
  failed: readonly string[],
): void {
  if (!out.human) {
    out.document(cliDocument('AuditPull', { pulls: pulled, failed }))
    return
  }
  for (const { folder, from, facts, feeds, blocks, kept } of pulled) {
    const before = kept > 0 ? `, ${kept} of them already here` : ''
    out.line(
      `${folder}: ${plural(facts, 'fact')} in ${plural(feeds, 'feed')} and ${plural(blocks, 'block')} of ${from}${before}`,
    )
  }
  const [first] = pulled
  if (first !== undefined) {
    out.note(
      `check it: nixfleet audit verify ${first.folder} --root-hash HASH, with the hash that your hosts pin`,
    )
  }
}
