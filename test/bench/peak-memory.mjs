/**
 * Loaded before a program with `node --import`: at its end, writes what the whole process, threads
 * included, needed at most into the file that NIXFLEET_BENCH_PEAK names.
 *
 * From the kernel and at the very end, so that no peak falls between two looks.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

const file = process.env['NIXFLEET_BENCH_PEAK']
if (isMainThread && file !== undefined) {
  process.on('exit', () => {
    const status = readFileSync('/proc/self/status', 'utf8')
    const peakKb = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1])
    const { user, system } = process.cpuUsage()
    writeFileSync(file, JSON.stringify({ peakKb, cpuSeconds: (user + system) / 1e6 }))
  })
}
