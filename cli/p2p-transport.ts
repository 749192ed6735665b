/** The API over libp2p. Loads the node's network; every other command does without. */
import { CliError } from './errors.ts'
import { readKeyFile } from './key-file.ts'
import { identityPaths } from './places.ts'
import type { World } from './process-world.ts'
import type { Settings } from './settings.ts'
import { ASK_TIMEOUT_MS, type Ask, type Transport, Unreachable } from './transport.ts'

/** A transport to the multiaddr `address`; the operator's key is what the peer knows the client by. */
export async function p2pTransport(
  address: string,
  settings: Settings,
  world: Pick<World, 'env' | 'cwd'>,
): Promise<Transport> {
  const { key } = readKeyFile(identityPaths(settings, world.env, world.cwd), 'operator')
  const { ASK_BODY_BYTES_MAX, decodeApiReply, dialApi, encodeApiAsk } = await import(
    '../node/index.ts'
  )
  const link = await dialApi(address, key.seed)
  return {
    address,
    ask: async (question) => {
      if (question.save !== undefined) {
        throw new CliError('NF-1104', 'a file does not travel over libp2p')
      }
      const body = await bodyOf(question, ASK_BODY_BYTES_MAX)
      const { method, path } = question
      try {
        const bytes = encodeApiAsk(body === undefined ? { method, path } : { method, path, body })
        const reply = decodeApiReply(await link.ask(bytes, ASK_TIMEOUT_MS))
        return { status: reply.status, text: Buffer.from(reply.body).toString('utf8') }
      } catch (error) {
        throw new Unreachable(error instanceof Error ? error.message : String(error), {
          cause: error,
        })
      }
    },
    close: () => link.close(),
  }
}

async function bodyOf(question: Ask, bytesMax: number): Promise<Uint8Array | undefined> {
  const { body } = question
  if (body === undefined) return undefined
  if (body.size > bytesMax) {
    throw new CliError(
      'NF-1104',
      `a blob of ${body.size} bytes does not fit one message of ${bytesMax}`,
    )
  }
  const chunks: Uint8Array[] = []
  for await (const chunk of body.open()) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}
