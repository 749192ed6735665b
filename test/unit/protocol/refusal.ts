/** Runs what should be refused and tells with which code. */
import { ProtocolError } from '../../../protocol/index.ts'

/** The code of the ProtocolError that `act` throws; `accepted` when it throws none. Other errors pass. */
export function codeOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
  return 'accepted'
}
