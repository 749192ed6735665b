/** Where a node's API was reached over TCP when it last started, in its data folder, for whoever makes tokens there. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { errorCode, writeDurably } from '../system/durable.ts'

/** One address, with what proves that the right node answers there. */
export interface ApiPlace {
  /** `http://…` or `https://…`, as it is configured: `0.0.0.0` stands for every address of the host. */
  readonly url: string
  /** SHA-256 of the certificate; null without TLS. */
  readonly fingerprint: string | null
}

const PLACE: z.ZodType<ApiPlace> = z.strictObject({
  url: z.string().max(300),
  fingerprint: z.string().max(100).nullable(),
})

/** Notes the place, or that there is none. */
export async function notePlace(data: string, place: ApiPlace | undefined): Promise<void> {
  const path = join(data, 'api.json')
  if (place === undefined) await rm(path, { force: true })
  else await writeDurably(path, `${JSON.stringify(place)}\n`, 0o600)
}

/** The place that was noted; undefined where the API is on the socket alone. */
export async function readPlace(data: string): Promise<ApiPlace | undefined> {
  try {
    return PLACE.parse(JSON.parse(await readFile(join(data, 'api.json'), 'utf8')))
  } catch (error) {
    if (errorCode(error) === 'EACCES') throw error
    return undefined
  }
}
