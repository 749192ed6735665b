/** First checks of a node's surroundings: what an operator would look at first. */
import { absenceChecks } from './absence.ts'
import type { Doctor } from './api/schema.ts'
import { hasMulticastRoute } from './network/multicast-route.ts'
import { forkAlarms } from './projection/forks.ts'
import type { Runtime } from './runtime.ts'

type Check = Doctor['checks'][number]

/** Every check with what was found and what to do. */
export async function doctorChecks(node: Runtime): Promise<readonly Check[]> {
  return [
    peersCheck(node),
    ...(await absences(node)),
    quorumCheck(node),
    await storeCheck(node),
    await systemCheck(node),
    gateCheck(node),
    liarsCheck(node),
    ownFeedCheck(node),
    clockCheck(node),
  ]
}

function peersCheck(node: Runtime): Check {
  const members = node.parts.trust.config.hosts.length - 1
  const connected = node.parts.network.peers().length
  const found = `${connected} of ${members} members connected`
  if (members === 0 || connected === members) return { name: 'peers', state: 'ok', found }
  const fix =
    'Check that the others run and that their addresses in the group configuration are reachable from here: nixfleet peers'
  return { name: 'peers', state: connected === 0 ? 'fail' : 'warn', found, fix }
}

/** Each member that is missing, with the reason as far as it can be told from here. */
async function absences(node: Runtime): Promise<readonly Check[]> {
  const seen = node.parts.network.absences?.()
  return seen === undefined ? [] : absenceChecks(seen, await hasMulticastRoute())
}

function quorumCheck(node: Runtime): Check {
  const { voters, quorum } = node.parts.trust.config
  const peers = new Set([...node.parts.network.peers(), node.parts.name])
  const reachable = voters.filter((voter) => peers.has(voter)).length
  const found = `${reachable} of ${voters.length} voters in reach, ${quorum} needed`
  if (reachable >= quorum) return { name: 'quorum', state: 'ok', found }
  return {
    name: 'quorum',
    state: 'fail',
    found,
    fix: 'Nothing starts from here until more voters are back; halting and going back work without them.',
  }
}

async function storeCheck(node: Runtime): Promise<Check> {
  const key = 'meta/doctor'
  try {
    await node.parts.store.write([{ key, value: Uint8Array.of(1) }], { sync: true })
    await node.parts.store.write([{ key }], { sync: true })
    return { name: 'store', state: 'ok', found: `${node.facts.count} facts, written and synced` }
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error)
    return {
      name: 'store',
      state: 'fail',
      found,
      fix: 'Free some disk space and check the permissions of the data folder.',
    }
  }
}

async function systemCheck(node: Runtime): Promise<Check> {
  const { system } = node.parts
  try {
    const [running, next] = await Promise.all([system.running(), system.bootDefault()])
    if (running === next) return { name: 'system', state: 'ok', found: `runs and boots ${running}` }
    const busy = node.host.state.flight !== undefined
    const found = `runs ${running}, would boot ${next}`
    return busy
      ? { name: 'system', state: 'ok', found: `${found} (a rollout is in probation)` }
      : {
          name: 'system',
          state: 'warn',
          found,
          fix: 'The generation was changed outside nixfleet: nixfleet hosts show',
        }
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error)
    return {
      name: 'system',
      state: 'fail',
      found,
      fix: 'Check the system section of the node configuration.',
    }
  }
}

function gateCheck(node: Runtime): Check {
  if (node.gate.frozen) {
    const fix =
      'Voters contradicted themselves. Keep all data folders and ask an admin to recover the group.'
    return { name: 'gate log', state: 'fail', found: 'frozen', fix }
  }
  return { name: 'gate log', state: 'ok', found: `slot ${node.gate.state.slot}` }
}

function liarsCheck(node: Runtime): Check {
  const alarms = forkAlarms(node.knowledge())
  const [first] = alarms
  if (first === undefined) return { name: 'liars', state: 'ok', found: 'nobody was caught' }
  const found = alarms.length === 1 ? first : `${first} (and ${alarms.length - 1} more)`
  const fix = 'See who, where, and by whose proof: nixfleet peers forks'
  return { name: 'liars', state: 'fail', found, fix }
}

function ownFeedCheck(node: Runtime): Check {
  const { own } = node
  if (own.speaks) {
    return { name: 'own feed', state: 'ok', found: `session ${own.session.slice(0, 12)}` }
  }
  return {
    name: 'own feed',
    state: 'warn',
    found: 'closed: this host was started and does not know yet what it signed before',
    fix: 'Wait. It opens when every member has answered, or in a new session six probes after the start; an hour after twenty new sessions at the latest.',
  }
}

/** Wall clocks decide nothing here but the expiry of keys; a wrong one still misleads people. */
function clockCheck(node: Runtime): Check {
  const now = node.parts.clock.wallMs()
  let newest = 0
  for (const fact of node.knowledge().view.health.values()) newest = Math.max(newest, fact.ts)
  const aheadMs = newest - now
  if (aheadMs < 120_000)
    return { name: 'clock', state: 'ok', found: 'not behind the newest report of a peer' }
  const found = `${Math.round(aheadMs / 1000)} s behind the newest report of a peer`
  return {
    name: 'clock',
    state: 'warn',
    found,
    fix: 'Compare the clocks of this host and its peers (timedatectl).',
  }
}
