/** What the kernel says about time and processes, read from /proc, and how a whole session is ended. */
import { readdir, readFile } from 'node:fs/promises'
import { NodeError } from '../errors.ts'

/** A process, told apart from any later one with the same number. */
export interface ProcessName {
  readonly pid: number
  /** Field 22 of its stat: clock ticks from boot to its start. */
  readonly start: string
}

/** Milliseconds since boot, suspend included: the clock that the deadman's script reads. */
export async function uptimeMs(): Promise<number> {
  const text = await readFile('/proc/uptime', 'utf8')
  return Math.round(Number.parseFloat(text) * 1000)
}

/** Whether that very process still runs. A zombie has ended. */
export async function isAlive(name: ProcessName): Promise<boolean> {
  const stat = await statOf(name.pid)
  return stat?.runs === true && stat.start === name.start
}

/**
 * Ends every process of the session that `leader` began, also where the leader is gone already, and
 * resolves when none of them runs. A process that began a session of its own is spared.
 *
 * The kernel gives a number to nobody else while a session bears it, so that who is found is meant.
 * Throws SYSTEM_FAILED when one still runs after `withinMs`.
 */
export async function endSession(leader: ProcessName, withinMs: number): Promise<void> {
  const giveUp = performance.now() + withinMs
  for (;;) {
    const present = await statOf(leader.pid)
    // Its number went to another process: then nobody of the session is left.
    if (present !== undefined && present.start !== leader.start) return
    const members = await membersOf(leader.pid)
    if (members.length === 0) return
    if (performance.now() > giveUp) {
      throw new NodeError(
        'SYSTEM_FAILED',
        `expected process ${members.join(', ')} to end when killed, found it running after ${withinMs} ms`,
        'It waits for a disk that does not answer: look at the disk, or start the machine again.',
      )
    }
    for (const pid of members) sendSignal(pid, 'SIGKILL')
    await new Promise((resolve) => setTimeout(resolve, SESSION_POLL_MS))
  }
}

/** How often an ended session is looked at again. */
const SESSION_POLL_MS = 20

async function membersOf(session: number): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name)).map(Number)
  const stats = await Promise.all(pids.map(async (pid) => ({ pid, stat: await statOf(pid) })))
  return stats
    .filter(({ stat }) => stat?.runs === true && stat.session === session)
    .map(({ pid }) => pid)
}

interface Stat {
  readonly runs: boolean
  readonly session: number
  readonly start: string
}

/** Undefined when there is no such process. */
async function statOf(pid: number): Promise<Stat | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The command's name may hold blanks and brackets: fields are counted after its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, , , session] = fields
  const start = fields[19]
  if (state === undefined || start === undefined) return undefined
  return { runs: state !== 'Z' && state !== 'X', session: Number(session), start }
}

/** Sends `signal` to a process, or to the group `-pid`; one that has ended meanwhile needs none. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended: nothing to end.
  }
}
