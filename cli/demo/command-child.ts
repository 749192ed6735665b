/** Runs a command of this program in a process of its own, as on a command line. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { CliError } from '../errors.ts'

const COMMAND_MS_MAX = 60_000

/** Runs `argv` of `program` in `cwd`; gives what it printed on stdout. Throws NF-5001 with its stderr otherwise. */
export async function runCommand(
  program: string,
  argv: readonly string[],
  cwd: string,
): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [program, ...argv], {
      cwd,
      timeout: COMMAND_MS_MAX,
    })
    return stdout
  } catch (error) {
    const stderr =
      error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
    throw new CliError('NF-5001', `nixfleet ${argv.join(' ')} failed`, {
      why: stderr.trim().split('\n'),
      fix: [],
    })
  }
}
