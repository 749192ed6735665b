/** The exit codes of every command, sysexits where one fits. Part of the contract: scripts read them. */

/** One code with its meaning, for `help exit-codes`. */
export interface ExitMeaning {
  readonly code: number
  readonly meaning: string
}

/** Done, healthy, or nothing to change. */
export const EXIT_OK: number = 0
export const EXIT_FAILED: number = 1
export const EXIT_CHANGES: number = 2
export const EXIT_STOPPED: number = 3
export const EXIT_UNVERIFIED: number = 4
export const EXIT_NO_QUORUM: number = 5
export const EXIT_USAGE: number = 64
export const EXIT_BAD_INPUT: number = 65
export const EXIT_NO_INPUT: number = 66
export const EXIT_NO_PEER: number = 69
export const EXIT_BUG: number = 70
export const EXIT_IO: number = 74
export const EXIT_TRY_AGAIN: number = 75
export const EXIT_NOT_PERMITTED: number = 77
export const EXIT_BAD_CONFIG: number = 78
export const EXIT_TIMEOUT: number = 124
export const EXIT_INTERRUPTED: number = 130
export const EXIT_TERMINATED: number = 143

export const EXIT_MEANINGS: readonly ExitMeaning[] = [
  { code: EXIT_OK, meaning: 'done, healthy, or nothing to change' },
  { code: EXIT_FAILED, meaning: 'failed' },
  { code: EXIT_CHANGES, meaning: '--plan or diff: there is something to change' },
  { code: EXIT_STOPPED, meaning: 'the rollout was halted, reverted or superseded while waiting' },
  { code: EXIT_UNVERIFIED, meaning: 'a signature, a hash or the pinned root did not verify' },
  { code: EXIT_NO_QUORUM, meaning: 'not enough voters to agree' },
  { code: EXIT_USAGE, meaning: 'wrong usage' },
  { code: EXIT_BAD_INPUT, meaning: 'an input file is malformed' },
  { code: EXIT_NO_INPUT, meaning: 'an input, a host or an id does not exist' },
  { code: EXIT_NO_PEER, meaning: 'no peer could be reached' },
  { code: EXIT_BUG, meaning: 'a bug of nixfleet' },
  { code: EXIT_IO, meaning: 'reading or writing failed' },
  {
    code: EXIT_TRY_AGAIN,
    meaning: 'not now: the fleet has moved on, or a port is in use; look, and try again',
  },
  { code: EXIT_NOT_PERMITTED, meaning: 'not permitted to this key' },
  { code: EXIT_BAD_CONFIG, meaning: 'the configuration is wrong' },
  { code: EXIT_TIMEOUT, meaning: '--timeout passed' },
  { code: EXIT_INTERRUPTED, meaning: 'interrupted (Ctrl-C)' },
  { code: EXIT_TERMINATED, meaning: 'terminated' },
]
