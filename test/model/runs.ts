/** Which sizes are checked, and what each has to say. */

/** `holds` needs every state seen; `broken` is a control that has to be found. */
export type Verdict = 'holds' | 'broken'

export interface ModelRun {
  readonly name: string
  readonly file: 'agreement.pml' | 'liveness.pml'
  /** Switches of the model, as for `-D`. */
  readonly define: readonly string[]
  /** The formula; without one, assertions are checked. */
  readonly formula?: string
  readonly expected: Verdict
}

const FOUR = ['N=4', 'Q=3', 'LIARS=1']
const THREE = ['N=3', 'Q=2', 'LIARS=0']

const AGREEMENT: readonly ModelRun[] = [
  safe('n4 f1 q3, 2 views', FOUR),
  safe('n3 f0 q2, 2 views', THREE),
  safe('n3 f0 q2, 2 views, 1 crash', [...THREE, 'CRASHES=1']),
  safe('n3 f0 q2, 2 views, 1 lost disk', [...THREE, 'LOSSES=1']),
  safe('n3 f0 q2, change of voters', [...THREE, 'RECONFIG', 'VIEWS0=1']),
  broken('control n4 f1 q2', ['N=4', 'Q=2', 'LIARS=1']),
  broken('control n5 f1 q3', ['N=5', 'Q=3', 'LIARS=1']),
  broken('control n3 f1 q2', ['N=3', 'Q=2', 'LIARS=1']),
  broken('control no skip certificates asked for (R1)', [...FOUR, 'NO_R1']),
  broken('control skip after the view is left (R3)', [...FOUR, 'BAD_R3']),
  broken('control final after skip (R4)', [...FOUR, 'BAD_R4']),
  broken('control lost disk, nobody asked', [...THREE, 'LOSSES=1', 'NO_MEMORY']),
  broken('control votes of the old epoch count', [...THREE, 'RECONFIG', 'OLD_VOTES']),
  broken('control change of voters is no stop sign', [...THREE, 'RECONFIG', 'NO_STOP']),
]

const LIVENESS: readonly ModelRun[] = [
  ...[0, 1, 2, 3].map((first) => live('n4 q3, 1 dead', ['N=4', 'Q=3', 'DEAD=1'], first)),
  ...[0, 1, 2].map((first) => live('n3 q2, 1 dead', ['N=3', 'Q=2', 'DEAD=1'], first)),
  stuck('control q too large: n4 q4, 1 dead', ['N=4', 'Q=4', 'DEAD=1', 'FIRST=0']),
  stuck('control 2 of 4 dead', ['N=4', 'Q=3', 'DEAD=2', 'FIRST=0']),
  stuck('control no timer', ['N=4', 'Q=3', 'DEAD=1', 'FIRST=3', 'NO_TIMER']),
  stuck('control notarized views do not end', ['N=4', 'Q=3', 'DEAD=1', 'FIRST=0', 'NO_ADVANCE']),
  { ...stuck('control calm never comes', ['N=4', 'Q=3', 'DEAD=1', 'FIRST=0']), formula: 'calms' },
]

/** Every run, in the order of the table. */
export const RUNS: readonly ModelRun[] = [...AGREEMENT, ...LIVENESS]

function safe(name: string, define: readonly string[]): ModelRun {
  return { name: `agreement ${name}`, file: 'agreement.pml', define, expected: 'holds' }
}

function broken(name: string, define: readonly string[]): ModelRun {
  return { name: `agreement ${name}`, file: 'agreement.pml', define, expected: 'broken' }
}

/** `first` turns the rotation of leaders, so that each voter is the dead one's neighbour once. */
function live(name: string, define: readonly string[], first: number): ModelRun {
  return {
    name: `liveness ${name}, leaders from ${first}`,
    file: 'liveness.pml',
    define: [...define, `FIRST=${first}`, 'CALM_BY=2'],
    formula: 'decided',
    expected: 'holds',
  }
}

function stuck(name: string, define: readonly string[]): ModelRun {
  return {
    name: `liveness ${name}`,
    file: 'liveness.pml',
    define: [...define, 'CALM_BY=2'],
    formula: 'decided',
    expected: 'broken',
  }
}
