/** A bar on a terminal, or nothing: what goes on for long, on one line of stderr. */
import type { Output } from './output.ts'

export interface ProgressBar {
  /** `share` from 0 to 1. */
  readonly show: (what: string, share: number) => void
  /** Takes the bar away. */
  readonly done: () => void
}

const WIDTH = 24
/** Between two paintings: fast enough to look alive. */
const PAINT_MS = 100

/** A bar for this run; silent with --quiet and where stderr is no terminal. */
export function progressBar(out: Output, now: () => number): ProgressBar {
  const { stderr } = out
  const visible = stderr.isTTY && !out.quiet
  let painted = Number.NEGATIVE_INFINITY
  let shown = false
  return {
    show: (what, share) => {
      if (!visible || (now() - painted < PAINT_MS && share < 1)) return
      painted = now()
      shown = true
      stderr.write(`\r\u001b[K${barText(what, share, out.ascii)}`)
    },
    done: () => {
      if (shown) stderr.write('\r\u001b[K')
      shown = false
    },
  }
}

/** The line itself: what, a bar, and how much in percent. */
export function barText(what: string, share: number, ascii: boolean): string {
  const bounded = Math.min(1, Math.max(0, share))
  const full = Math.round(bounded * WIDTH)
  const [on, off] = ascii ? ['#', '.'] : ['█', '░']
  return `${what.padEnd(10)} ${on.repeat(full)}${off.repeat(WIDTH - full)} ${Math.floor(bounded * 100)} %`
}
