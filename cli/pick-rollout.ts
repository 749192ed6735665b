/** The rollout that a command is about: the one that was named, or the newest. */
import type { Page, RolloutRow, RolloutStatus, Stamped } from '../node/index.ts'
import type { Client } from './client.ts'
import { CliError } from './errors.ts'

/** The rollout `given` (an id or its first digits), or the newest one. Throws NF-4001, NF-1005. */
export async function pickRollout(
  client: Client,
  given: string | undefined,
): Promise<Stamped<'RolloutStatus', RolloutStatus>> {
  const id = given ?? (await newestRollout(client))
  return client.get(`/api/v1/rollouts/${encodeURIComponent(id)}`)
}

async function newestRollout(client: Client): Promise<string> {
  const page = await client.get<Page<RolloutRow>>('/api/v1/rollouts?limit=1')
  const [newest] = page.items
  if (newest !== undefined) return newest.id
  throw new CliError('NF-1005', 'there is no rollout yet', {
    why: [],
    fix: ['nixfleet deploy --plan'],
  })
}
