/**
 * The table at the end of `npm test`: where the time went and what was left out. Its last line,
 * `N passed, N failed, N skipped`, stands alone so that a script can read it.
 *
 * A file that could not be loaded, and an error outside every test, count as failures: a run that
 * ended badly never says "0 failed".
 */
import type { Reporter, SerializedError, TestModule } from 'vitest/node'

interface SuiteRow {
  suite: string
  files: number
  tests: number
  failed: number
  skipped: number
  seconds: number
}

/** Collects one row for each vitest project. */
export class SuiteTimes implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const rows = new Map<string, SuiteRow>()
    for (const module of modules) addModule(rowOf(rows, module.project.name), module)
    const sorted = [...rows.values()].sort((a, b) => b.seconds - a.seconds)

    const sum = (field: Exclude<keyof SuiteRow, 'suite'>): number =>
      sorted.reduce((total, row) => total + row[field], 0)
    const failed = sum('failed') + unhandled.length
    const skipped = sum('skipped')
    const passed = sum('tests') - sum('failed') - skipped
    const outside = unhandled.length > 0 ? [`errors outside tests: ${unhandled.length}`] : []

    const lines = [...table(sorted), ...outside, '', summary(passed, failed, skipped)]
    process.stdout.write(`\n${lines.join('\n')}\n`)
    // A run without a single test has checked nothing.
    if (passed + failed === 0) process.exitCode = 1
  }
}

function summary(passed: number, failed: number, skipped: number): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}

function rowOf(rows: Map<string, SuiteRow>, suite: string): SuiteRow {
  const row = rows.get(suite) ?? { suite, files: 0, tests: 0, failed: 0, skipped: 0, seconds: 0 }
  rows.set(suite, row)
  return row
}

function addModule(row: SuiteRow, module: TestModule): void {
  row.files += 1
  let failedHere = 0
  for (const test of module.children.allTests()) {
    const { state } = test.result()
    row.tests += 1
    if (state === 'failed') failedHere += 1
    if (state === 'skipped' || state === 'pending') row.skipped += 1
  }
  if (failedHere === 0 && module.state() === 'failed') {
    // It failed outside its tests: an import, a hook. One failure that no test shows.
    row.tests += 1
    failedHere = 1
  }
  row.failed += failedHere
  const { duration, collectDuration, setupDuration, prepareDuration } = module.diagnostic()
  row.seconds += (duration + collectDuration + setupDuration + prepareDuration) / 1000
}

function table(rows: readonly SuiteRow[]): string[] {
  const head = ['suite', 'files', 'tests', 'failed', 'skipped', 'seconds']
  const body = rows.map((row) => [
    row.suite,
    String(row.files),
    String(row.tests),
    String(row.failed),
    String(row.skipped),
    row.seconds.toFixed(1),
  ])
  const widths = head.map((title, column) =>
    Math.max(title.length, ...body.map((cells) => cells[column]?.length ?? 0)),
  )
  return [head, ...body].map((cells) =>
    cells
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  )
}
