/** A host's public record: what `node init` prints and `bootstrap` reads. It holds no secret. */
import { readFileSync } from 'node:fs'
import { GROUP_HOST, type GroupHost } from '../protocol/index.ts'
import { CliError } from './errors.ts'

const KIND = 'nixfleet-host/v1'
/** A record is some 500 bytes. */
const RECORD_BYTES_MAX = 16 * 1024

/** The record as JSON text. */
export function hostRecordText(host: GroupHost): string {
  return `${JSON.stringify({ kind: KIND, ...host }, null, 2)}\n`
}

/** The record in the file at `path`. Throws NF-1004, NF-1005. */
export function readHostRecord(path: string): GroupHost {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new CliError('NF-1005', `the host record ${path} cannot be read`, {
      why: [error instanceof Error ? error.message : String(error)],
      fix: ['make it on that host: nixfleet node init --name … > file.json'],
    })
  }
  try {
    if (text.length > RECORD_BYTES_MAX)
      throw new Error(`expected at most ${RECORD_BYTES_MAX} bytes`)
    const { kind, ...host } = JSON.parse(text) as Record<string, unknown>
    if (kind !== KIND) throw new Error(`expected kind ${KIND}, found ${JSON.stringify(kind)}`)
    return GROUP_HOST.decode(wireOf(host), path)
  } catch (error) {
    throw new CliError('NF-1004', `${path} is no host record`, {
      why: [error instanceof Error ? error.message : String(error)],
      fix: ['make it again on that host: nixfleet node id'],
    })
  }
}

/** Keys are hex in JSON and bytes on the wire, and the wire's schema is the one that checks them. */
function wireOf(host: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const bytesOf = (value: unknown): unknown =>
    typeof value === 'string' && /^([0-9a-f]{2})*$/.test(value)
      ? Uint8Array.from(Buffer.from(value, 'hex'))
      : value
  return {
    ...host,
    transport: bytesOf(host['transport']),
    fact: bytesOf(host['fact']),
    cosign: bytesOf(host['cosign']),
  }
}
