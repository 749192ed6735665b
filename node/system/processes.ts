/** What the kernel says about time and processes, read from /proc. */
import { readFile } from 'node:fs/promises'

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
  const stat = await readFile(`/proc/${name.pid}/stat`, 'utf8').catch(() => '')
  // The command's name may hold blanks and brackets: fields are counted after its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] !== 'Z' && fields[0] !== 'X' && fields[19] === name.start
}
