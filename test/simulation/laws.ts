/**
 * What must be true of a simulated fleet, at every moment and at rest: read from the disks and the
 * machines, never from what a script meant to do.
 */

import { decodeGateMessage } from '../../node/gate-wire.ts'
import { HOST_STATE_BYTES_MAX } from '../../node/limits.ts'
import type { Runtime } from '../../node/runtime.ts'
import type { GateMessage } from '../../protocol/index.ts'
import { decodeCanonical, ED25519, type HostName, type Signer } from '../../protocol/index.ts'
import { HOST_STATE, type HostState } from '../../rollout/index.ts'
import type { SimFleet } from './fleet.ts'

/** Log lines that no honest fleet ever writes, whatever its network and its disks do. */
const FORBIDDEN: readonly string[] = [
  'certificates contradict each other: the gate log is frozen',
  'a voter signed two messages that exclude each other',
  'a key signed two messages that exclude each other: the proof is out',
  'the log on the disk ends early here: the rest comes from the peers',
]

/** Whether a line of a node's log is a broken law. */
export function breaksLaw(message: string): boolean {
  return FORBIDDEN.includes(message)
}

/** S9: whatever does not run or boot the top of its stack has a deadman or is on its way back. */
export async function withoutWayBack(fleet: SimFleet): Promise<readonly string[]> {
  const broken: string[] = []
  for (const name of fleet.names) {
    const { machine, node } = fleet.host(name)
    const state = stateOf(node) ?? journalOf(fleet, name)
    const top = state?.stack.at(-1)?.generation
    if (state === undefined || (machine.running === top && machine.bootDefault === top)) continue
    const deadman = await machine.deadman.state()
    const watched = deadman.kind === 'armed' || (deadman.kind === 'fired' && !deadman.done)
    // It went back already, and the daemon will hear of it.
    const untold = deadman.kind === 'fired' && state.flight !== undefined
    if (watched || untold || isGoingBack(state)) continue
    broken.push(`${name} runs ${machine.running}, boots ${machine.bootDefault}, top is ${top}`)
  }
  return broken
}

function stateOf(node: Runtime | undefined): HostState | undefined {
  return node?.host.loaded
}

function isGoingBack(state: HostState): boolean {
  const phases = state.rollouts.map((one) => one.phase)
  return state.back !== undefined || phases.includes('REVERTING') || phases.includes('STUCK')
}

function journalOf(fleet: SimFleet, name: HostName): HostState | undefined {
  const bytes = fleet.host(name).disk.read('host/state')
  if (bytes === undefined) return undefined
  return HOST_STATE.decode(decodeCanonical(bytes, HOST_STATE_BYTES_MAX, name), name)
}

/** Ids of the committed blocks on a host's disk, oldest first. */
export function logOf(fleet: SimFleet, name: HostName): readonly string[] {
  const { disk } = fleet.host(name)
  return disk.slice('gate/log/', 'gate/log0').map(([key, bytes]) => {
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
    const message = gateMessage(fleet, bytes.subarray(4, 4 + length))
    if (message.kind !== 'block') throw new Error(`expected a block at ${key} of ${name}`)
    return message.block.id
  })
}

function gateMessage(fleet: SimFleet, bytes: Uint8Array): GateMessage {
  const signer: Signer = { ...ED25519, verify: () => true }
  return decodeGateMessage(bytes, { trust: fleet.trust, whose: 'a log', signer })
}

/** S1: of any two logs one begins with the other. */
export function forkedLogs(fleet: SimFleet): readonly string[] {
  const logs = fleet.names.map((name) => ({ name, log: logOf(fleet, name) }))
  const longest = logs.reduce((a, b) => (b.log.length > a.log.length ? b : a))
  return logs.flatMap(({ name, log }) => {
    const at = log.findIndex((id, i) => id !== longest.log[i])
    return at < 0 ? [] : [`${name} and ${longest.name} differ in block ${at}`]
  })
}

/** S17: in one round of one rollout a host is skipped or it begins, never both. */
export function skippedAndBegun(fleet: SimFleet): readonly string[] {
  const broken: string[] = []
  for (const node of fleet.nodes) {
    const { state, view } = node.knowledge()
    for (const rollout of state.rollouts.values()) {
      for (const [host, rounds] of rollout.skips) {
        for (const round of rounds) {
          const said = view.rollouts.get(rollout.rollout)?.hosts.get(host)?.get(round)
          if (said?.transitions.has('ACTIVATING')) broken.push(`${host} in ${rollout.rollout}`)
        }
      }
    }
  }
  return broken
}

/** At rest a host runs and boots the top of its stack. */
export async function restless(fleet: SimFleet): Promise<readonly string[]> {
  const broken: string[] = []
  for (const name of fleet.names) {
    const { machine, node } = fleet.host(name)
    const state = node?.host.state
    const top = state?.stack.at(-1)?.generation
    const deadman = await machine.deadman.state()
    const watched = deadman.kind === 'armed' || (deadman.kind === 'fired' && !deadman.done)
    const idle = !watched && state?.flight === undefined && state?.back === undefined
    if (idle && machine.running === top && machine.bootDefault === top) continue
    broken.push(`${name} runs ${machine.running}, boots ${machine.bootDefault}, top is ${top}`)
  }
  return broken
}

/** How many different digests the nodes that run have. */
export function digests(fleet: SimFleet): number {
  return new Set(fleet.nodes.map((node) => node.digest())).size
}
