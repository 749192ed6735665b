/** Requests and invites as files, for where no network leads. They hold no secret. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type EnrollRequest,
  type FactOf,
  type FleetId,
  fromBase64,
  openEnroll,
  openFact,
  toBase64,
} from '../../protocol/index.ts'
import { CliError } from '../errors.ts'

const REQUEST_KIND = 'nixfleet-request/v1'
const INVITE_KIND = 'nixfleet-invite/v1'
/** A request is at most 3.5 KiB, 4.7 KiB as text. */
const FILE_BYTES_MAX = 16 * 1024

/** A request as it travels. Of the fields beside it nothing is believed. */
export interface RequestFile {
  readonly rootHash: string
  readonly name: string
  readonly request: Uint8Array
}

/** The text of a request's file. */
export function requestText({ rootHash, name, request }: RequestFile): string {
  const file = { kind: REQUEST_KIND, rootHash, name, request: toBase64(request) }
  return `${JSON.stringify(file, null, 2)}\n`
}

/** Whether a file says that it is a request; false for what cannot be read. */
export function isRequestFile(path: string): boolean {
  try {
    return (JSON.parse(readText(path)) as { kind?: unknown }).kind === REQUEST_KIND
  } catch {
    return false
  }
}

/** The request in the file at `path`. Throws NF-1005, NF-1004. */
export function readRequestFile(path: string): RequestFile {
  const record = readRecord(path, REQUEST_KIND)
  const [rootHash, name, request] = [record['rootHash'], record['name'], record['request']]
  const good = /^[0-9a-f]{64}$/.test(rootHash ?? '') && request !== undefined
  if (!good) throw malformed(path, 'a root hash and a request')
  return { rootHash: rootHash ?? '', name: name ?? '', request: bytesOf(path, request) }
}

/** The request in a file, as its own key signed it for `fleet`. Throws NF-1004, NF-1005, NF-1305, NF-1310. */
export function openRequestFile(path: string, rootHash: string, fleet: FleetId): EnrollRequest {
  const file = readRequestFile(path)
  if (file.rootHash !== rootHash) {
    throw new CliError(
      'NF-1305',
      `${path} is for the fleet with root hash ${file.rootHash.slice(0, 16)}…, and this one has ${rootHash.slice(0, 16)}…`,
    )
  }
  return openRequest(file.request, fleet, path)
}

/** A request as its own key signed it. Throws NF-1310. */
export function openRequest(bytes: Uint8Array, fleet: FleetId, whose: string): EnrollRequest {
  try {
    return openEnroll(bytes, { fleet, whose })
  } catch (error) {
    throw new CliError('NF-1310', `the request in ${whose} does not verify`, {
      why: [error instanceof Error ? error.message : String(error)],
      cause: error,
    })
  }
}

/** The text of an invite's file. */
export function inviteText(fact: FactOf<'invite.open'>): string {
  const file = { kind: INVITE_KIND, id: fact.id, fact: toBase64(fact.bytes) }
  return `${JSON.stringify(file, null, 2)}\n`
}

/** The name of an invite's file beside the root. */
export function inviteFileName(id: string): string {
  return `invite-${id.slice(0, 12)}.json`
}

/** The invites beside the root in a trust folder; who signed them is judged elsewhere. Throws NF-1004, NF-1310. */
export function readInvites(folder: string, fleet: FleetId): readonly FactOf<'invite.open'>[] {
  const names = existsSync(folder) ? readdirSync(folder) : []
  return names
    .filter((name) => /^invite-[0-9a-f]{12}\.json$/.test(name))
    .map((name) => {
      const path = join(folder, name)
      return openInvite(bytesOf(path, readRecord(path, INVITE_KIND)['fact'] ?? ''), fleet, path)
    })
}

/** An invite as somebody signed it. Throws NF-1310. */
export function openInvite(
  bytes: Uint8Array,
  fleet: FleetId,
  whose: string,
): FactOf<'invite.open'> {
  try {
    const fact = openFact(bytes, { fleet, whose })
    if (fact.type === 'invite.open') return fact
    throw new Error(`expected an invite, found a fact of type ${fact.type}`)
  } catch (error) {
    throw new CliError('NF-1310', `the invite in ${whose} does not verify`, {
      why: [error instanceof Error ? error.message : String(error)],
      cause: error,
    })
  }
}

function readRecord(path: string, kind: string): Readonly<Record<string, string | undefined>> {
  let value: unknown
  try {
    value = JSON.parse(readText(path))
  } catch (error) {
    if (error instanceof CliError) throw error
    throw malformed(path, 'JSON')
  }
  const record = value as Record<string, unknown>
  if (record['kind'] !== kind) throw malformed(path, `kind ${kind}`)
  const texts = Object.entries(record).filter(([, text]) => typeof text === 'string')
  return Object.fromEntries(texts) as Record<string, string>
}

function readText(path: string): string {
  try {
    const text = readFileSync(path, 'utf8')
    if (text.length > FILE_BYTES_MAX) throw malformed(path, `at most ${FILE_BYTES_MAX} bytes`)
    return text
  } catch (error) {
    if (error instanceof CliError) throw error
    throw new CliError('NF-1005', `${path} cannot be read`, {
      why: [error instanceof Error ? error.message : String(error)],
    })
  }
}

function bytesOf(path: string, text: string): Uint8Array {
  try {
    return fromBase64(text)
  } catch {
    throw malformed(path, 'base64')
  }
}

function malformed(path: string, expected: string): CliError {
  return new CliError('NF-1004', `expected ${expected} in ${path}`, {
    why: [],
    fix: ['make it again: nixfleet enroll … --request-out FILE'],
  })
}
