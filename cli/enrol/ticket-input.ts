/** The ticket that was given: as a word, or in a file, which keeps it out of the list of processes. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { ProtocolError, parseTicket, TICKET_CHARS_MAX, type Ticket } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { type CommandInput, textOption } from '../registry.ts'

/** Throws NF-1301 for a word that is no whole ticket, usage errors where none was given. */
export function readTicket(context: Context, input: CommandInput): Ticket {
  const file = textOption(input.options, 'ticket-file')
  const [given] = input.args
  if ((file === undefined) === (given === undefined))
    throw usage('expected a ticket, or --ticket-file with a file that holds one')
  const text = file === undefined ? given : readFileSync(resolve(context.cwd, file), 'utf8')
  try {
    return parseTicket((text ?? '').slice(0, TICKET_CHARS_MAX + 1).trim())
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new CliError('NF-1301', error.message, { cause: error })
  }
}
