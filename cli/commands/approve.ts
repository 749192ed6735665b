/** `nixfleet approve REQUEST…|FILE…|--all`: lets in who asked. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { RequestRow } from '../../node/index.ts'
import type { Client } from '../client.ts'
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import {
  type Asked,
  admit,
  bringRequest,
  letInBefore,
  readAsked,
  sayAdmitted,
  verifyRow,
} from '../enrol/approve.ts'
import { openRequestFile } from '../enrol/request-file.ts'
import { assertWithinUses, describeRequest } from '../enrol/verify.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { type VerifiedFleet, verifyFleet } from '../operator.ts'
import { type CommandInput, flagOption } from '../registry.ts'
import { adminKeys } from '../root-change.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const all = flagOption(input.options, 'all')
  if (all === input.args.length > 0)
    throw usage('expected requests by id or name, files of requests, or --all')
  const [first] = adminKeys(context, input)
  if (first === undefined) throw usage('expected --admin-key with a file, found none')
  const client = await context.connect()
  const fleet = await verifyFleet(client, first.rootHash)
  const ids = await brought(context, input, { client, fleet, rootHash: first.rootHash })
  const asked = await readAsked(client)
  const rows = all
    ? asked.requests.filter(({ state }) => state === 'pending')
    : ids.map((id) => pendingRow(asked, id))
  if (rows.length === 0) {
    context.out.note('nobody waits to be let in')
    if (!context.out.human) sayAdmitted(context, [])
    return EXIT_OK
  }
  const now = context.now()
  const chosen = rows.map((row) => verifyRow(row, asked, fleet, now))
  assertWithinUses(chosen, letInBefore(asked, fleet, now))
  if (all) await confirm(context, 'Let all of them in?', chosen.map(describeRequest))
  await admit(context, input, chosen)
  sayAdmitted(context, chosen)
  return EXIT_OK
}

/** The ids of the arguments; requests that came as files are sent to the peer first. */
async function brought(
  context: Context,
  input: CommandInput,
  given: { client: Client; fleet: VerifiedFleet; rootHash: string },
): Promise<readonly string[]> {
  const { client, fleet, rootHash } = given
  const ids: string[] = []
  for (const arg of input.args) {
    const path = resolve(context.cwd, arg)
    if (!existsSync(path)) {
      ids.push(arg)
      continue
    }
    const { bytes, id } = openRequestFile(path, rootHash, fleet.fleet)
    const { requests } = await readAsked(client)
    if (!requests.some((row) => row.id === id))
      await bringRequest(context, input, { client, fleet, bytes })
    ids.push(id)
  }
  return ids
}

/** The request of that id, its first digits, or that name, which must wait. Throws NF-1005, NF-1303, NF-1302, NF-1308. */
function pendingRow({ requests }: Asked, wanted: string): RequestRow {
  const byName = requests.filter(({ name, state }) => name === wanted && state === 'pending')
  const byId = requests.filter(({ id }) => wanted.length >= 4 && id.startsWith(wanted))
  const found = byName.length > 0 ? byName : byId
  const [row] = found
  if (row === undefined || found.length > 1)
    throw new CliError('NF-1005', `expected one request ${wanted}, found ${found.length}`, {
      fix: ['nixfleet requests list; one by file needs an invite that this fleet knows'],
    })
  if (row.state === 'pending') return row
  if (row.state === 'admitted') throw usage(`${row.name} was let in already`)
  const code = { denied: 'NF-1308', surplus: 'NF-1303', late: 'NF-1302' }[row.state]
  throw new CliError(code, `the request of ${row.name} does not wait: ${row.why || row.state}`)
}
