/** Whose a demo's folder is: one demo at a time, and only a folder that a demo has made is wiped. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CliError } from '../errors.ts'
import { endProcesses } from './processes.ts'

const KIND = 'nixfleet-demo/v1'
const MARK = 'demo.json'

interface Mark {
  readonly kind: string
  readonly pid: number
  /** When that process started, in clock ticks since boot: its number may be another's by now. */
  readonly start: string
}

/**
 * Makes `folder`, empty and ours. Ends what an earlier demo of it left running, and wipes it.
 *
 * Throws NF-1009 when another demo uses it, NF-1006 when it holds something that no demo has made.
 */
export async function claimFolder(folder: string): Promise<void> {
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    const mark = readMark(folder)
    if (mark === undefined) {
      throw new CliError('NF-1006', `${folder} holds something that is no demo`, {
        why: ['a demo wipes its folder, and this one it has not made'],
        fix: ['give another folder with --data, or remove it yourself'],
      })
    }
    if (startOf(mark.pid) === mark.start) throw inUse(folder, mark.pid)
    await endProcesses(realpathSync(folder))
    // The claim goes last: a wipe that was cut short is still known as ours.
    const names = readdirSync(folder).filter((name) => name !== MARK)
    for (const name of names) await rm(join(folder, name), { recursive: true, force: true })
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const own: Mark = { kind: KIND, pid: process.pid, start: startOf(process.pid) ?? '' }
  writeFileSync(join(folder, MARK), `${JSON.stringify(own)}\n`)
}

function readMark(folder: string): Mark | undefined {
  try {
    const mark: Partial<Mark> = JSON.parse(readFileSync(join(folder, MARK), 'utf8'))
    return mark.kind === KIND ? (mark as Mark) : undefined
  } catch {
    return undefined
  }
}

/** Field 22 of the process's stat, or undefined when there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command's name may hold blanks and brackets: fields are counted after its last bracket.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

function inUse(folder: string, pid: number): CliError {
  return new CliError('NF-1009', `another demo uses ${folder}`, {
    why: [`its process is ${pid}`],
    fix: ['end it with Ctrl-C in its terminal', 'or give another folder with --data'],
  })
}
