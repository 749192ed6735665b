/** Every mutant there is, in the order of the rules. */
import { AGREEMENT } from './catalogue/agreement.ts'
import { HOSTS } from './catalogue/hosts.ts'
import { INVITES } from './catalogue/invites.ts'
import { LEASES } from './catalogue/leases.ts'
import { ROLLOUTS } from './catalogue/rollouts.ts'
import { STANDINGS } from './catalogue/standings.ts'
import { WORDS } from './catalogue/words.ts'
import type { Mutant } from './mutant.ts'

export const MUTANTS: readonly Mutant[] = [
  ...AGREEMENT,
  ...WORDS,
  ...INVITES,
  ...ROLLOUTS,
  ...STANDINGS,
  ...LEASES,
  ...HOSTS,
]
