/**
 * Plays the demo: starts the fleet, goes through the steps, has another process report, and then
 * either ends or leaves the fleet to whoever watches.
 */
import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { DEMO, PRODUCTION, type Timing } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { Interrupted } from '../errors.ts'
import { shortId, span } from '../words.ts'
import { writeGeneration } from './generation.ts'
import type { DemoReport } from './report.ts'
import { DIGESTS_READ, writePlaybill } from './reporter.ts'
import { foundSite, type Site } from './site.ts'
import { type Act, playStep, type StepName, type Victim } from './steps.ts'
import { Story } from './story.ts'

/** What was asked for on the command line. */
export interface PlayOptions {
  readonly folder: string
  /** The bundled program, `nixfleet.cjs`. */
  readonly program: string
  readonly hosts: number
  readonly steps: readonly StepName[]
  readonly victim: Victim
  /** End after the report. */
  readonly script: boolean
  /** Leave the folder where it is. */
  readonly keep: boolean
}

const GATHER_MS_MAX = 60_000
/** Between two looks whether the watcher has left; Ctrl-C ends the wait at once. */
const A_LONG_TIME_MS = 3600_000

/** Plays it; gives the exit code. Whatever happens, no process of the fleet is left. */
export async function play(context: Context, options: PlayOptions): Promise<number> {
  const { out, signal } = context
  out.note(`founding a fleet of ${options.hosts} hosts in ${options.folder}`)
  const site = await foundSite({
    ...options,
    preset: 'demo',
    initial: (folder) => writeGeneration(join(folder, 'generations', '0'), 'shop 0', 'good'),
  })
  const letGo = endWithThisProcess(site)
  try {
    const story = new Story({ site, program: options.program, out, signal })
    const code = await perform(context, options, story)
    if (options.script && code === 0 && !options.keep) {
      await site.close()
      rmSync(site.folder, { recursive: true, force: true })
    }
    return code
  } catch (error) {
    if (!(error instanceof Interrupted))
      out.note(`what the daemons said: ${site.folder}/hosts/*/daemon.log`)
    throw error
  } finally {
    await site.close()
    letGo()
  }
}

async function perform(context: Context, options: PlayOptions, story: Story): Promise<number> {
  const { site } = story
  story.say(`${site.hosts.length} hosts, each a process with its own key, store and web page.`)
  showTimings(context, site)
  await startAll(story)
  const acts: Act[] = []
  for (const step of options.steps) acts.push(await playStep(story, step, options.victim))
  story.say('Silence for five seconds; then another process reads what the nodes hold.')
  const { code, report } = await reportOn(context, options, story, acts)
  if (options.script) return code
  await startAll(story)
  await invite(context, options, story, report)
  return code
}

/** Starts what does not run, and waits until everybody sees everybody. */
async function startAll(story: Story): Promise<void> {
  const { site } = story
  const missing = site.hosts.filter((host) => site.pid(host.name) === undefined)
  for (const host of missing) site.start(host.name)
  await story.answers(...missing)
  await story.until('every host sees every other', GATHER_MS_MAX, async () => {
    const views = await Promise.all(site.hosts.map((host) => story.fleet(host)))
    return views.every((view) => view.hosts.every((host) => host.path !== 'none'))
  })
}

/** The reporter asks the nodes, they are ended, it reads their stores. */
async function reportOn(
  { out }: Context,
  { program }: PlayOptions,
  { site }: Story,
  acts: readonly Act[],
): Promise<{ readonly code: number; readonly report: DemoReport | undefined }> {
  writePlaybill(site.folder, {
    rootHash: readFileSync(join(site.folder, 'trust', 'root.hash'), 'utf8').trim(),
    hosts: site.hosts.map(({ name, folder, api }) => ({ name, data: folder, api })),
    acts,
  })
  const argv = [program, 'demo', '--report', '--data', site.folder]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  const stops: Promise<void>[] = []
  child.on('message', (message) => {
    if (message === DIGESTS_READ) stops.push(...site.hosts.map((host) => site.stop(host.name)))
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? 1))
  })
  // Whoever starts them again must not take one that is still ending for one that runs.
  await Promise.all(stops)
  const line = text.trim()
  const report = line === '' ? undefined : (JSON.parse(line) as DemoReport)
  if (!out.human) out.line(line)
  else if (report !== undefined) for (const row of summary(report)) out.line(row)
  return { code, report }
}

function summary(report: DemoReport): readonly string[] {
  const { agreement, audit } = report
  return [
    '',
    'What the hosts signed, read from their disks and verified again by another process:',
    ...report.steps.map((step) => {
      const cause = step.cause === null ? '' : `, because of ${CAUSES[step.cause]}`
      const back = step.secondsToAllBack === null ? '' : `, all back in ${step.secondsToAllBack} s`
      return `  ${step.name.padEnd(18)} ${step.outcome.padEnd(9)} ${step.seconds.toFixed(1).padStart(5)} s   ${step.started} started, ${step.reverted} went back${cause}${back}`
    }),
    `  ${agreement.nodes} nodes gave ${agreement.distinctDigests} digest${agreement.distinctDigests === 1 ? '' : 's'}; ${audit.verified} of ${audit.facts} stored facts verify`,
  ]
}

const CAUSES = { self: 'its own checks', peers: 'what peers saw', operator: 'an operator' } as const

function showTimings({ out }: Context, site: Site): void {
  if (!out.human) return
  const voters = site.hosts.filter((host) => host.voter).length
  const row = (what: string, of: (timing: Timing) => number): string =>
    `  ${what.padEnd(34)} ${span(of(DEMO)).padStart(8)} ${span(of(PRODUCTION)).padStart(12)}`
  const head = `  ${`${voters} of them vote. Clocks:`.padEnd(34)} ${'demo'.padStart(8)} ${'production'.padStart(12)}`
  out.line(out.paint.dim(head))
  out.line(row('peers probe each other every', (timing) => timing.probeMs))
  out.line(row('failure after bad probes of', (timing) => timing.probeMs * timing.failRounds))
  out.line(row('peers attest at most every', (timing) => timing.windowMs))
  out.line(row('a lease to change lasts', (timing) => timing.leaseMs))
  out.line(row('an activation may take', (timing) => timing.activateMs))
  out.line(row('voters wait for a leader', (timing) => timing.viewMs))
}

/** What to type next: lines that work as they are, in the folder where the demo was started. */
async function invite(
  context: Context,
  { folder, program }: PlayOptions,
  story: Story,
  report: DemoReport | undefined,
): Promise<void> {
  const { out, cwd, env, signal, sleep } = context
  const [first] = story.site.hosts
  if (first === undefined) return
  const elsewhere = folder === join(cwd, '.nixfleet-demo') && !env['NIXFLEET_DEMO']
  const nixfleet = `${elsewhere ? '' : `NIXFLEET_DEMO='${folder}' `}node ${relative(cwd, program)}`
  const last = await story.newestRollout(first)
  const supersede = last.state === 'complete' ? '' : ` --supersede ${shortId(last.id)}`
  const release = await story.release(first, 'shop 7', 'good')
  out.line()
  out.line(
    `The fleet stays up until you press Ctrl-C${report === undefined ? '' : '; nothing is left behind then'}. In another terminal, here:`,
  )
  out.line()
  out.line(`  ${nixfleet} status --watch`)
  out.line(`  ${nixfleet} deploy ${shortId(release)} --strategy canary${supersede} --wait`)
  out.line(`  ${nixfleet} rollback --all`)
  out.line()
  while (!signal.aborted) await sleep(A_LONG_TIME_MS)
}

/** However this process ends, the fleet ends with it; but for SIGKILL, after which the next demo sees to it. */
function endWithThisProcess(site: Site): () => void {
  const close = (): void => site.closeNow()
  const hangUp = (): void => process.exit(129)
  process.on('exit', close)
  process.on('SIGHUP', hangUp)
  return () => {
    process.off('exit', close)
    process.off('SIGHUP', hangUp)
  }
}
