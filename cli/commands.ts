/** Every command, in the order of the help page. */
import type { CommandSpec } from './registry.ts'
import { ACCESS } from './table/access.ts'
import { BUNDLE } from './table/bundle.ts'
import { CACHE } from './table/cache.ts'
import { CHANGE } from './table/change.ts'
import { ENROL } from './table/enrol.ts'
import { LOOK } from './table/look.ts'
import { NODE } from './table/node.ts'
import { PROVE } from './table/prove.ts'
import { START } from './table/start.ts'
import { TOKENS } from './table/tokens.ts'

export const COMMANDS: readonly CommandSpec[] = [
  ...START,
  ...LOOK,
  ...CHANGE,
  ...CACHE,
  ...BUNDLE,
  ...ENROL,
  ...ACCESS,
  ...TOKENS,
  ...PROVE,
  ...NODE,
]
