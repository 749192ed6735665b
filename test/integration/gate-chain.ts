/** A node's gate log as its API serves it, followed block by block from genesis. */
import type { Documents } from '../../node/index.ts'
import { openGateMessage, openGroupConfig } from '../../protocol/index.ts'
import type { Trust } from '../../rollout/index.ts'
import type { Api } from './fleet-api.ts'

/** One committed block. */
export interface ChainBlock {
  readonly id: string
  readonly epoch: number
  readonly view: number
}

interface BlockRows {
  readonly items: readonly { readonly block: string }[]
  readonly next: { readonly epoch: number; readonly view: number } | null
}

/**
 * Every committed block of a node, the oldest first. Throws unless each stands on the one before it;
 * the first of an epoch that a recovery began stands on the hash of that configuration.
 */
export async function chainOf(api: Api, trust: Trust): Promise<readonly ChainBlock[]> {
  const geneses = await recoveries(api, trust)
  const chain: ChainBlock[] = []
  let after = { epoch: 0, view: 0 }
  for (let more = true; more; ) {
    const page: BlockRows = await api.get(
      `/api/v1/log/blocks?epoch=${after.epoch}&view=${after.view}`,
    )
    for (const { block } of page.items) {
      const message = openGateMessage(bytesOf(block), { fleet: trust.fleet, whose: 'a log' })
      if (message.kind !== 'block') throw new Error(`expected a block, found a ${message.kind}`)
      const { id, body } = message.block
      const last = chain.at(-1)
      const recovered = body.epoch === last?.epoch ? undefined : geneses.get(body.epoch)
      const parent = recovered ?? last?.id ?? trust.genesis
      if (body.parent !== parent)
        throw new Error(`expected a block on ${parent}, found ${id} on ${body.parent}`)
      chain.push({ id, epoch: body.epoch, view: body.view })
      after = body
    }
    more = page.next !== null
  }
  if (chain.length === 0) throw new Error('expected a log with blocks, found none')
  return chain
}

async function recoveries(api: Api, trust: Trust): Promise<ReadonlyMap<number, string>> {
  const { groups } = await api.get<Documents>('/api/v1/documents')
  const opened = groups.map(({ config }) => openGroupConfig(bytesOf(config), trust))
  const recovered = opened.filter(({ value }) => value.recover !== undefined)
  return new Map(recovered.map(({ value, hash }) => [value.epoch, hash]))
}

function bytesOf(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'))
}
