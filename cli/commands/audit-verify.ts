/** `nixfleet audit verify DIR [DIR2]`: a pull against the fleet's root hash, two pulls against each other. */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { comparePulls } from '../audit/compare.ts'
import { type Finding, Findings } from '../audit/findings.ts'
import { isPull } from '../audit/layout.ts'
import { iso } from '../audit/verify-checkpoints.ts'
import { type Verdict, verifyPull } from '../audit/verify-pull.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK, EXIT_UNVERIFIED } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { type CommandInput, textOption } from '../registry.ts'
import { ago, plural, safeText } from '../words.ts'

/** Findings that are shown; beyond it only their number grows. */
const FINDINGS_SHOWN_MAX = 1000
/** Threads of one verification: each takes some 50 MB, and reading the disk then sets the pace. */
const THREADS_MAX = 64

interface Seen {
  readonly findings: (Finding & { readonly pull: string })[]
  count: number
}

export async function run(context: Context, input: CommandInput): Promise<number> {
  const rootHash = textOption(input.options, 'root-hash') ?? ''
  if (!/^[0-9a-f]{64}$/.test(rootHash)) {
    throw usage(
      'expected --root-hash with the 64 hex digits that the fleet’s hosts pin',
      'it must come from elsewhere than the pull: from a host’s configuration',
    )
  }
  const pulls = input.args.map((arg) => resolve(context.cwd, arg))
  for (const pull of pulls) {
    if (!isPull(pull))
      throw new CliError('NF-1005', `${pull} is no pull: it has no documents`, {
        fix: ['make one: nixfleet audit pull -o DIR'],
      })
  }
  const threads = threadsOf(input)
  const seen: Seen = { findings: [], count: 0 }
  const verdicts: (Verdict | undefined)[] = []
  for (const pull of pulls) {
    const findings = new Findings()
    verdicts.push(await verifyPull(pull, rootHash, findings, { threads, signal: context.signal }))
    take(seen, pull, findings)
  }
  const [one, other] = pulls
  if (one !== undefined && other !== undefined) {
    const findings = new Findings()
    comparePulls(one, other, findings.reporter())
    take(seen, one, findings)
  }
  show(context, { rootHash, pulls, verdicts, seen })
  return seen.count === 0 ? EXIT_OK : EXIT_UNVERIFIED
}

function take(seen: Seen, pull: string, { kept, count }: Findings): void {
  seen.findings.push(...kept.map((finding) => ({ pull, ...finding })))
  seen.findings.length = Math.min(seen.findings.length, FINDINGS_SHOWN_MAX)
  seen.count += count
}

/** All processors of the machine where nobody says otherwise: nothing else is to be done meanwhile. */
function threadsOf({ options }: CommandInput): number {
  const given = textOption(options, 'threads')
  if (given === undefined) return Math.min(availableParallelism(), THREADS_MAX)
  const threads = Number(given)
  if (Number.isInteger(threads) && threads >= 1 && threads <= THREADS_MAX) return threads
  throw usage(`expected a number from 1 to ${THREADS_MAX} after --threads, found ${given}`)
}

interface Shown {
  readonly rootHash: string
  readonly pulls: readonly string[]
  readonly verdicts: readonly (Verdict | undefined)[]
  readonly seen: Seen
}

function show({ out, now }: Context, { rootHash, pulls, verdicts, seen }: Shown): void {
  const clean = seen.count === 0
  if (!out.human) {
    const { count, findings } = seen
    const rows = pulls.map((pull, i) => ({ pull, verdict: verdicts[i] ?? null }))
    out.document(cliDocument('AuditVerdict', { clean, rootHash, pulls: rows, count, findings }))
    return
  }
  for (const { code, where, text, proof } of seen.findings) {
    out.line(`${out.paint.red(code)} ${where}`)
    out.line(`  ${safeText(text)}${proof === undefined ? '' : ' (proof: --json)'}`)
  }
  if (seen.count > seen.findings.length) out.line(`… and ${seen.count - seen.findings.length} more`)
  for (const verdict of verdicts) {
    if (verdict === undefined) continue
    const { fleet, facts, feeds, blocks, checkpoints, lies } = verdict
    out.line(
      `${fleet}: ${plural(facts, 'fact')} in ${plural(feeds, 'feed')}, ${plural(blocks, 'block')}, ${plural(checkpoints, 'checkpoint')}`,
    )
    for (const { group, size, by, timeS } of verdict.standing) {
      out.line(
        `  ${group}: ${by.join(', ')} cosigned ${size} blocks, a quorum at ${iso(timeS)} (${ago(now() - timeS * 1000)})`,
      )
    }
    for (const { accused, kind, place, first, second } of lies) {
      const both = `${first.slice(0, 16)}… and ${second.slice(0, 16)}…`
      out.line(`  ${out.paint.red('proven')}: ${accused} signed ${both}, which exclude each other`)
      out.line(`    ${kind}, ${place}; both signatures verify`)
    }
  }
  out.line(
    clean
      ? out.paint.green(`clean under root hash ${rootHash}`)
      : out.paint.red(`NOT CLEAN: ${plural(seen.count, 'finding')}`),
  )
}
