/**
 * The six steps of the demo. Each says what it is about, does it with the real commands, and names
 * the rollout whose facts the report is computed from.
 *
 * A step notes what it saw otherwise than it must be: exit codes, pages, what `status` shows. Whether
 * the rollout went as it should is not the step's to say but the report's, from what was signed.
 */
import { createServer, type Server } from 'node:http'
import type { PlanBody } from '../../protocol/index.ts'
import { EXIT_CHANGES, EXIT_OK, EXIT_STOPPED } from '../exit-codes.ts'
import type { SiteHost } from './site.ts'
import { off, type Story } from './story.ts'

export type StepName =
  | 'canary'
  | 'lose-entry-peer'
  | 'lose-host-in-wave'
  | 'broken-release'
  | 'late-failure'
  | 'operator-rollback'

/** One step as the script knows it; everything else is read from facts. */
export interface Act {
  readonly name: StepName
  readonly rollout: string
  readonly killed: readonly string[]
  /** What was seen otherwise than it must be. */
  readonly faults: readonly string[]
}

/** Who is killed in `lose-entry-peer`: the peer of the CLI, the gate log's leader, or one without a vote. */
export type Victim = 'entry' | 'leader' | 'non-voter'

/** In the order in which they are played. */
export const STEP_NAMES: readonly StepName[] = [
  'canary',
  'lose-entry-peer',
  'lose-host-in-wave',
  'broken-release',
  'late-failure',
  'operator-rollback',
]

/** Soak, confirmation and start timeouts of the demo's plans: short, but with probes to spare. */
const PACE = ['--soak', '2s', '--confirm-within', '4s', '--start-within', '5s']
const PATIENCE = [...PACE, '--wait', '--yes']
/** Anything that the demo waits for besides a command; a busy machine takes its time. */
const WAIT_MS = 60_000

/** Plays one step. Throws NF-1010 when it cannot go on. */
export async function playStep(story: Story, name: StepName, victim: Victim): Promise<Act> {
  switch (name) {
    case 'canary':
      return await playCanary(story)
    case 'lose-entry-peer':
      return await playLosePeer(story, victim)
    case 'lose-host-in-wave':
      return await playLoseHostInWave(story)
    case 'broken-release':
      return await playBrokenRelease(story)
    case 'late-failure':
      return await playLateFailure(story)
    case 'operator-rollback':
      return await playOperatorRollback(story)
  }
}

/** (a) A good release reaches everybody, one host first. */
async function playCanary(story: Story): Promise<Act> {
  const entry = hostOf(story.site.hosts)
  story.say('(a) A good release. One host goes first; its peers watch it; then the others follow.')
  const release = await story.release(entry, 'shop 1', 'good')
  const { code } = await story.run(entry, ['deploy', release, '--strategy', 'canary', ...PATIENCE])
  return {
    name: 'canary',
    rollout: (await story.newestRollout(entry)).id,
    killed: [],
    faults: [...exitFault(EXIT_OK, code), ...(await story.lookAtPages(() => 'shop 1'))],
  }
}

/** (b) The peer that the CLI talks to, or another one, is killed while a wave is open. */
async function playLosePeer(story: Story, victim: Victim): Promise<Act> {
  const cast = castFor(story.site.hosts, victim)
  const release = await story.release(cast.publisher, 'shop 2', 'good')
  const waves = await planOf(story, cast, release)
  const later = story.site.hosts.filter((host) => waves.slice(1).flat().includes(host.name))
  const entry = victim === 'entry' ? lastVoter(later) : cast.publisher
  const watcher = hostOf(story.site.hosts.filter((host) => host !== entry))
  story.say(`(b) The same again, and in the middle of it ${VICTIM_WORDS[victim]} is killed.`)
  const deploy = story.start(entry, ['deploy', release, ...cast.strategy, ...PATIENCE])
  const rollout = await openWave(story, watcher, release)
  const killed = await chooseVictim(story, victim, { entry, watcher, later })
  await story.site.kill(killed.name)
  story.say(`${killed.name} was killed (SIGKILL), before its turn. Nobody needs it.`)
  const { code, stderr } = await deploy.ended
  const faults = [...exitFault(EXIT_OK, code)]
  if (killed === entry && !stderr.includes('going on with'))
    faults.push('expected deploy to go on with another peer')
  const observer = killed === watcher ? entry : watcher
  faults.push(...(await shownBehind(story, observer, killed)))
  story.site.start(killed.name)
  story.say(`${killed.name} is started again, and catches up by itself.`)
  await caughtUp(story, observer, killed)
  faults.push(...(await story.lookAtPages(() => 'shop 2')))
  return { name: 'lose-entry-peer', rollout, killed: [killed.name], faults }
}

/** (b) Once more: a host is killed inside its own open wave; a budget of one bears it. */
async function playLoseHostInWave(story: Story): Promise<Act> {
  const { hosts } = story.site
  const entry = hostOf(hosts)
  const victim = hostOf(hosts.filter((host) => !host.voter || host === hosts.at(-1)))
  story.say(
    `Once more, and ${victim.name} is killed in the middle of its own update. One failure is allowed.`,
  )
  const release = await story.release(entry, 'shop 3', 'good')
  const before = await story.page(victim)
  const waves = ['--waves-by', `name=${entry.name};name=${victim.name};*`]
  const budget = ['--max-unhealthy', '1']
  const deploy = story.start(entry, ['deploy', release, ...waves, ...budget, ...PATIENCE])
  const rollout = await openWave(story, entry, release)
  await story.until(`${victim.name} is in its probation`, WAIT_MS, async () => {
    const { waves: found } = await story.rollout(entry, rollout)
    const phase = found.flatMap((wave) => wave.hosts).find(isNamed(victim))?.phase
    return phase === 'PROBATION' || phase === 'CONFIRMED'
  })
  await story.site.kill(victim.name)
  story.say(`${victim.name} was killed (SIGKILL) while its peers watched it. The others go on.`)
  const { code } = await deploy.ended
  await story.until(`${victim.name} serves ${before} again`, WAIT_MS, async () => {
    return (await story.page(victim)) === before
  })
  story.say(`No daemon runs on ${victim.name}, and it is back on ${before}: its deadman did that.`)
  story.site.start(victim.name)
  await story.answers(victim)
  await story.until(`${victim.name} says that it went back`, WAIT_MS, async () => {
    return (await story.fleet(entry)).hosts.find(isNamed(victim))?.state === 'reverted'
  })
  await story.run(entry, ['status'])
  const pages = await story.lookAtPages((host) => (host === victim ? before : 'shop 3'))
  const faults = [...exitFault(EXIT_OK, code), ...pages]
  return { name: 'lose-host-in-wave', rollout, killed: [victim.name], faults }
}

/** (c) The page fails for everybody but the host itself: only its peers can see it. */
async function playBrokenRelease(story: Story): Promise<Act> {
  const entry = hostOf(story.site.hosts)
  story.say(
    '(c) A broken release: its page answers 500 to others, and its own check sees nothing wrong.',
  )
  const before = await pagesNow(story)
  const release = await story.release(entry, 'shop 4', 'broken')
  const halt = ['--strategy', 'canary', '--on-failure', 'halt']
  const { code } = await story.run(entry, ['deploy', release, ...halt, ...PATIENCE])
  const pages = await story.lookAtPages((host) => before.get(host) ?? '')
  const faults = [...exitFault(EXIT_STOPPED, code), ...pages]
  return {
    name: 'broken-release',
    rollout: (await story.newestRollout(entry)).id,
    killed: [],
    faults,
  }
}

/** (d) A release that turns bad when two waves have it: everybody of the rollout goes back. */
async function playLateFailure(story: Story): Promise<Act> {
  const entry = hostOf(story.site.hosts)
  story.say(
    '(d) A release that needs a stock service. Two waves are well; then the stock service goes away.',
  )
  const before = await pagesNow(story)
  const stock = await openStock(story.site.stock)
  try {
    const halted = await story.newestRollout(entry)
    const release = await story.release(entry, 'shop 5', 'dependent')
    const argv = ['deploy', release, '--waves', '1,1,100%', '--on-failure', 'rollback']
    const supersede = halted.closed && halted.state === 'complete' ? [] : ['--supersede', halted.id]
    const deploy = story.start(entry, [...argv, ...supersede, ...PATIENCE])
    const rollout = await openWave(story, entry, release)
    await story.until('two waves of shop 5 are done', WAIT_MS, async () => {
      const { waves } = await story.rollout(entry, rollout)
      return waves.filter((wave) => wave.state === 'done').length >= 2
    })
    await closeStock(stock)
    story.say('The stock service is gone. The pages of shop 5 fail, and its hosts are seen to.')
    const { code } = await deploy.ended
    const pages = await story.lookAtPages((host) => before.get(host) ?? '')
    const faults = [...exitFault(EXIT_STOPPED, code), ...pages]
    return { name: 'late-failure', rollout, killed: [], faults }
  } finally {
    await closeStock(stock)
  }
}

/** (e) An operator sends the whole fleet back, without asking anybody. */
async function playOperatorRollback(story: Story): Promise<Act> {
  const entry = hostOf(story.site.hosts)
  story.say('(e) A good release once more, and then the operator wants all of it back.')
  const before = await pagesNow(story)
  const last = await story.newestRollout(entry).catch(() => undefined)
  const release = await story.release(entry, 'shop 6', 'good')
  const supersede = !last || last.state === 'complete' ? [] : ['--supersede', last.id]
  const argv = ['deploy', release, '--strategy', 'all-at-once', ...supersede, ...PATIENCE]
  const deployed = await story.run(entry, argv)
  const forward = await story.lookAtPages(() => 'shop 6')
  const back = await story.run(entry, ['rollback', '--all', '--reason', 'demo', '--yes'])
  const pages = await story.lookAtPages((host) => before.get(host) ?? '')
  const codes = [...exitFault(EXIT_OK, deployed.code), ...exitFault(EXIT_OK, back.code)]
  const rollout = (await story.newestRollout(entry)).id
  return {
    name: 'operator-rollback',
    rollout,
    killed: [],
    faults: [...codes, ...forward, ...pages],
  }
}

const VICTIM_WORDS: Readonly<Record<Victim, string>> = {
  entry: 'the peer that the command line talks to',
  leader: 'the voter that leads the gate log',
  'non-voter': 'a host without a vote',
}

/** Who announces the release, and how it goes out. */
interface Cast {
  /** Lives on: a release that only one peer holds is away when that one is. */
  readonly publisher: SiteHost
  readonly strategy: readonly string[]
}

/** Whoever is killed must not be in the first wave: leaders vote, so then a host without a vote is. */
function castFor(hosts: readonly SiteHost[], victim: Victim): Cast {
  const first = hostOf(hosts)
  if (victim === 'entry') return { publisher: first, strategy: ['--strategy', 'canary'] }
  const canary = victim === 'leader' ? hostOf(hosts.filter((host) => !host.voter)) : first
  return { publisher: canary, strategy: ['--waves-by', `name=${canary.name};*`] }
}

/** The last voter of these, which is none that announced a release: the first host does. */
function lastVoter(hosts: readonly SiteHost[]): SiteHost {
  return hostOf(hosts.filter((host) => host.voter).reverse())
}

/** The waves that a deploy of `release` would have. */
async function planOf(
  story: Story,
  { publisher, strategy }: Cast,
  release: string,
): Promise<readonly (readonly string[])[]> {
  const argv = ['deploy', release, ...strategy, ...PACE, '--plan', '--json']
  const { code, stdout } = await story.quietly(publisher, argv)
  if (code !== EXIT_CHANGES) throw off(`deploy --plan ends with ${EXIT_CHANGES}, found ${code}`)
  const { plan } = JSON.parse(stdout) as { plan: PlanBody }
  return plan.groups.flatMap((group) => group.waves)
}

async function chooseVictim(
  story: Story,
  victim: Victim,
  cast: { entry: SiteHost; watcher: SiteHost; later: readonly SiteHost[] },
): Promise<SiteHost> {
  if (victim === 'entry') return cast.entry
  if (victim === 'non-voter') return hostOf(cast.later.filter((host) => !host.voter))
  const { leader } = await story.fleet(cast.watcher)
  const host = cast.later.find((one) => one.name === leader)
  if (host === undefined) throw off(`a voter of a later wave leads, found ${leader}`)
  return host
}

/** Waits until the first wave of the release's rollout is open; gives the rollout's id. */
async function openWave(story: Story, watcher: SiteHost, release: string): Promise<string> {
  let rollout = ''
  await story.until('the first wave is open', WAIT_MS, async () => {
    const newest = await story.newestRollout(watcher)
    if (newest.release.id !== release || newest.wave === null) return false
    rollout = newest.id
    return true
  })
  return rollout
}

/** A host that is away is not waited for: it is skipped, and `status` says that it is behind. */
async function shownBehind(
  story: Story,
  observer: SiteHost,
  away: SiteHost,
): Promise<readonly string[]> {
  await story.run(observer, ['status'])
  const row = (await story.fleet(observer)).hosts.find(isNamed(away))
  if (row?.state === 'behind') return []
  return [`expected ${away.name} to be shown behind, found ${row?.state}`]
}

async function caughtUp(story: Story, observer: SiteHost, host: SiteHost): Promise<void> {
  await story.answers(host)
  await story.until(`${host.name} has caught up`, WAIT_MS, async () => {
    const row = (await story.fleet(observer)).hosts.find(isNamed(host))
    return row?.state === 'healthy' && row.phase === 'COMMITTED'
  })
}

async function pagesNow(story: Story): Promise<ReadonlyMap<SiteHost, string>> {
  const { hosts } = story.site
  return new Map(
    await Promise.all(hosts.map(async (host) => [host, await story.page(host)] as const)),
  )
}

function exitFault(wanted: number, found: number): readonly string[] {
  return wanted === found ? [] : [`expected the command to end with ${wanted}, found ${found}`]
}

function hostOf(hosts: readonly SiteHost[]): SiteHost {
  const [first] = hosts
  if (first === undefined) throw new TypeError('a fleet without such a host')
  return first
}

function isNamed(host: SiteHost): (row: { readonly name: string }) => boolean {
  return (row) => row.name === host.name
}

async function openStock(port: number): Promise<Server> {
  const server = createServer((_, response) => response.end('7'))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return server
}

async function closeStock(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise<void>((resolve) => server.close(() => resolve()))
}
