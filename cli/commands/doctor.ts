/** `nixfleet doctor`: what is wrong with the answering node; 1 if anything is. */
import type { Doctor, Stamped } from '../../node/index.ts'
import type { Context } from '../context.ts'
import { EXIT_FAILED, EXIT_OK } from '../exit-codes.ts'
import { safeText } from '../words.ts'

export async function run(context: Context): Promise<number> {
  const { out, words } = context
  const client = await context.connect()
  const doctor = await client.get<Stamped<'Doctor', Doctor>>('/api/v1/doctor')
  out.list(doctor, doctor.checks, [
    { title: 'CHECK', text: (row) => row.name },
    { title: 'STATE', text: (row) => words.mark(row.state), value: (row) => row.state },
    { title: 'FOUND', text: (row) => safeText(row.found) },
    { title: 'FIX', text: (row) => safeText(row.fix ?? '') },
  ])
  return doctor.checks.some((check) => check.state === 'fail') ? EXIT_FAILED : EXIT_OK
}
