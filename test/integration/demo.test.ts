/**
 * The demo from the bundle, as a newcomer runs it: every step with five real processes (acceptance 1),
 * the step that loses a peer also with the gate log's leader and with a host without a vote
 * (acceptance 3), and what is left when it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { killProcesses, processesOf } from '../../cli/demo/processes.ts'
import type { DemoReport } from '../../cli/demo/report.ts'
import { type Ran, runProgram, words } from '../cli/script.ts'
import { builtProgram } from './fleet-processes.ts'

const program = builtProgram()
/** The order is the contract's, too: people compare two reports line by line. */
const REPORT_KEYS = 'kind,apiVersion,hosts,voters,quorum,steps,missing,agreement,audit'.split(',')
const STEP_KEYS = 'name,outcome,seconds,started,reverted,secondsToAllBack,cause,killed'.split(',')

let folder: string

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'nf-demo-')))
})

afterEach(() => {
  killProcesses(folder)
  rmSync(folder, { recursive: true, force: true })
})

function demo(...argv: readonly string[]): Promise<Ran> {
  return runProgram(program, ['demo', ...argv], { cwd: folder, env: environment() })
}

function environment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', HOME: folder }
}

function reportOf({ exit, stdout, stderr }: Ran): DemoReport {
  const last = stdout.trimEnd().split('\n').at(-1) ?? ''
  expect(last, `exit ${exit}\n${stderr.slice(-4000)}`).toMatch(/^\{"kind":"DemoReport"/)
  return JSON.parse(last)
}

describe('the demo', () => {
  it('plays every step, and what the hosts signed says so', async () => {
    const ran = await demo('--script', '--json')
    const report = reportOf(ran)
    expect(ran.exit, ran.stderr.slice(-4000)).toBe(0)
    expect(Object.keys(report)).toEqual(REPORT_KEYS)
    expect(report).toMatchObject({ hosts: 5, voters: 4, quorum: 3, missing: [] })
    expect(report.agreement).toEqual({ nodes: 5, distinctDigests: 1 })
    expect(report.audit.facts).toBeGreaterThan(100)
    expect(report.audit.verified).toBe(report.audit.facts)
    const rows = report.steps.map((step) => {
      expect(Object.keys(step)).toEqual(STEP_KEYS)
      return [step.name, step.outcome, step.cause, step.killed.length]
    })
    expect(rows).toEqual([
      ['canary', 'complete', null, 0],
      ['lose-entry-peer', 'complete', null, 1],
      ['lose-host-in-wave', 'complete', 'peers', 1],
      ['broken-release', 'halted', 'peers', 0],
      ['late-failure', 'reverted', 'peers', 0],
      ['operator-rollback', 'reverted', 'operator', 0],
    ])
    const [canary, entry, inWave, broken, late, operator] = report.steps
    expect([canary?.started, canary?.reverted]).toEqual([5, 0])
    expect([entry?.started, entry?.reverted]).toEqual([5, 0])
    expect([inWave?.started, inWave?.reverted]).toEqual([5, 1])
    expect([broken?.started, broken?.reverted]).toEqual([1, 1])
    expect(late?.started).toBeGreaterThanOrEqual(2)
    expect(late?.reverted).toBe(late?.started)
    expect([operator?.started, operator?.reverted]).toEqual([5, 5])
    expect(processesOf(folder)).toEqual([])
    expect(existsSync(join(folder, '.nixfleet-demo'))).toBe(false)
  })

  it.each(['leader', 'non-voter'])('needs no peer: not the %s either', async (victim) => {
    const ran = await demo('--script', '--json', '--only', 'lose-entry-peer', '--kill', victim)
    const report = reportOf(ran)
    // 2: everything as it should be, and steps that were not asked for are missing.
    expect(ran.exit, ran.stderr.slice(-4000)).toBe(2)
    expect(report.steps).toMatchObject([
      { name: 'lose-entry-peer', outcome: 'complete', started: 5, reverted: 0 },
    ])
    expect(report.steps[0]?.killed).toHaveLength(1)
    expect(report.agreement).toEqual({ nodes: 5, distinctDigests: 1 })
  })

  it('stays up for what it tells people to type, and leaves nothing when it is ended', async () => {
    const child = spawn(process.execPath, [program, 'demo', '--only', 'operator-rollback'], {
      cwd: folder,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const text = await printed(child, 'rollback --all\n\n')
    const second = await demo('--script')
    expect(second.exit, second.stderr).toBe(75)
    expect(second.stderr).toContain('NF-1009')
    const [look, deploy, back] = typed(text)
    expect(look).toMatch(/ status --watch$/)
    expect(await run(look?.replace(' --watch', ''))).toMatchObject({ exit: 0 })
    const deployed = await run(deploy)
    expect(deployed, deployed.stderr).toMatchObject({ exit: 0 })
    expect(deployed.stdout).toContain('complete')
    expect(await run(`${back} --yes`)).toMatchObject({ exit: 0 })
    expect(processesOf(folder).length).toBeGreaterThanOrEqual(10)
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGINT')
    await ended
    expect(processesOf(folder)).toEqual([])
  })

  it('ends a fleet whose demo was killed, and wipes no folder that is not its own', async () => {
    const child = spawn(process.execPath, [program, 'demo', '--only', 'canary'], {
      cwd: folder,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    await printed(child, '(a) ')
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('close', resolve))
    const orphans = processesOf(folder)
    expect(orphans.length).toBeGreaterThanOrEqual(5)
    const next = await demo('--script', '--json', '--only', 'canary')
    expect(next.exit, next.stderr.slice(-4000)).toBe(2)
    expect(processesOf(folder)).toEqual([])
    const foreign = await demo('--script', '--data', '.')
    expect(foreign.exit, foreign.stderr).toBe(64)
    expect(foreign.stderr).toContain('NF-1006')
  })
})

/** What a child has printed once `mark` is among it. */
function printed(child: ChildProcess, mark: string): Promise<string> {
  let [text, errors] = ['', '']
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (part: Buffer) => {
      text += part.toString()
      if (text.includes(mark)) resolve(text)
    })
    child.stderr?.on('data', (part: Buffer) => {
      errors += part.toString()
    })
    child.once('close', (code) =>
      reject(new Error(`it ended with ${code} before it printed ${mark}\n${text}\n${errors}`)),
    )
  })
}

/** The commands that the demo invites to: indented lines that begin with `node`. */
function typed(text: string): readonly string[] {
  return [...text.matchAll(/^ {2}node \S+ (.*)$/gm)].map(([line]) => line.trim())
}

async function run(line: string | undefined): Promise<Ran> {
  const [, path = '', ...argv] = words(line ?? '')
  return await runProgram(join(folder, path), argv, { cwd: folder, env: environment() })
}
