/**
 * A mutant: one rule of the protocol, the smallest change to the shipped source that breaks it, and
 * the ordinary check that has to notice. Plain data; `apply` is all that is done with it here.
 */

/** One replacement. `find` stands exactly once in the file; the shorter it is, the longer it holds. */
export interface Edit {
  readonly file: string
  readonly find: string
  readonly replace: string
}

/**
 * Who has to notice: cases of `npm run explore`, scenarios of `npm run simulate` (files in
 * `test/mutants/scenarios`, without their ending), or its seeds. Tried in this order until one does.
 */
export type Catcher =
  | { readonly explore: readonly string[] }
  | { readonly scenarios: readonly string[] }
  | { readonly from: number; readonly seeds: number; readonly with: readonly string[] }

export interface Mutant {
  readonly name: string
  /** Where the rule stands (a section of SPEC.md) and what it says. */
  readonly rule: string
  readonly edits: readonly Edit[]
  readonly catch: Catcher
}

/** The file with the edit made. Throws where `find` does not stand there exactly once. */
export function mutate(text: string, { file, find, replace }: Edit): string {
  const places = text.split(find).length - 1
  if (places !== 1)
    throw new Error(`${file}: expected ${found(find)} once, found it ${places} times`)
  const at = text.indexOf(find)
  return text.slice(0, at) + replace + text.slice(at + find.length)
}

function found(find: string): string {
  const [line = ''] = find.trim().split('\n')
  return `"${line}"`
}

/** One command that may catch a mutant. */
export interface Trial {
  /** Equal names are equal commands. */
  readonly name: string
  readonly program: 'explore' | 'simulate'
  readonly args: readonly string[]
}

/** The commands of a catcher, in order. */
export function trialsOf(catcher: Catcher): readonly Trial[] {
  if ('explore' in catcher) {
    return catcher.explore.map((name) => trial('explore', ['--case', name]))
  }
  if ('scenarios' in catcher) {
    return catcher.scenarios.map((name) => {
      return trial('simulate', ['--scenario', `test/mutants/scenarios/${name}.json`])
    })
  }
  const { from, seeds } = catcher
  const range = ['--from', String(from), '--seeds', String(seeds), '--stop-at-first']
  return [trial('simulate', [...range, ...catcher.with])]
}

function trial(program: Trial['program'], args: readonly string[]): Trial {
  return { name: `${program} ${args.join(' ')}`, program, args }
}
