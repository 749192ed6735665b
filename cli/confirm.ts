/** Asks before hosts that run are changed back. */
import type { Context } from './context.ts'
import { CliError, Interrupted } from './errors.ts'

/**
 * Shows `hosts` and asks `question`; returns on yes and with --yes. Throws NF-1003 where nobody can
 * answer, Interrupted on no.
 */
export async function confirm(
  context: Context,
  question: string,
  hosts: readonly string[],
): Promise<void> {
  if (context.settings.yes) return
  const { stderr } = context.out
  stderr.write(`${hosts.join(', ')}\n`)
  const answer = await context.ask(`${question} [y/N] `)
  if (answer === undefined) throw new CliError('NF-1003', question)
  if (/^y(es)?$/i.test(answer.trim())) return
  throw new Interrupted('nothing was changed')
}
