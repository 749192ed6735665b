/** Commands that begin a fleet. */
import {
  EXIT_BAD_INPUT,
  EXIT_CHANGES,
  EXIT_FAILED,
  EXIT_IO,
  EXIT_NOT_PERMITTED,
  EXIT_TRY_AGAIN,
  EXIT_UNVERIFIED,
} from '../exit-codes.ts'
import type { CommandSpec } from '../registry.ts'

export const START: readonly CommandSpec[] = [
  {
    name: 'demo',
    section: 'START',
    summary: 'run a fleet of real nodes on this machine and play a story with it',
    about: [
      'Nothing is pretended: bytes move, hashes are checked, scripts run, processes are killed.',
      'Afterwards it stays up for you; with --script it ends with a report.',
    ],
    args: [],
    options: [
      { name: 'hosts', value: 'N', summary: 'how many hosts, from 5 to 20 (default 5)' },
      { name: 'data', value: 'DIR', summary: 'where the fleet lives (default .nixfleet-demo)' },
      { name: 'script', summary: 'play it unattended, check every step, and end' },
      { name: 'only', value: 'STEPS', summary: 'these steps alone, as canary,broken-release' },
      {
        name: 'kill',
        value: 'WHOM',
        summary: 'in lose-entry-peer: entry, leader or non-voter (default entry)',
      },
      { name: 'keep', summary: 'with --script: leave the folder where it is' },
      { name: 'report', summary: 'compute the report of a demo that was played' },
    ],
    examples: [
      { run: 'nixfleet demo', does: 'play, then stay up' },
      { run: 'nixfleet demo --script --json', does: 'the last line is the report' },
    ],
    exits: [EXIT_FAILED, EXIT_CHANGES, EXIT_TRY_AGAIN],
    load: () => import('../commands/demo.ts'),
  },
  {
    name: 'bootstrap',
    section: 'START',
    summary: 'found a fleet: its keys, its root, its first group',
    about: [
      'Each --host is a file that `nixfleet node init` printed on that host.',
      'Or in two steps, by ticket: without --host it makes the keys and the root alone; invite --trust and',
      'enroll --request-out follow; then again, with --host for each request and the admin keys.',
      'The fault model is crash up to 3 voters and byzantine from 4 on.',
      'Put the hash in trust/root.hash into the configuration of every host.',
    ],
    args: [],
    options: [
      { name: 'name', value: 'NAME', summary: 'the name of the fleet' },
      { name: 'group', value: 'NAME', summary: 'the name of its first group (default main)' },
      {
        name: 'host',
        value: 'FILE',
        repeat: true,
        summary: 'the public record of a host, or its request by ticket; once per host',
      },
      {
        name: 'tag',
        value: 'HOST:K=V',
        repeat: true,
        summary: 'a tag of a host, as web-01:role=web',
      },
      {
        name: 'operator',
        value: 'NAME',
        repeat: true,
        summary: 'an operator who may deploy; once per person',
      },
      {
        name: 'admins',
        value: 'N',
        summary: 'how many admin keys to make (default 1: for a lab; 3 is a good number)',
      },
      {
        name: 'threshold',
        value: 'M',
        summary: 'how many of them must sign a change (default: more than half)',
      },
      {
        name: 'voters',
        value: 'A,B,C',
        summary: 'who votes (default: all of up to 3 hosts, else the first 4)',
      },
      {
        name: 'preset',
        value: 'P',
        summary: 'production or demo: how fast the clocks run (default production)',
      },
      {
        name: 'admin-key',
        value: 'FILE',
        repeat: true,
        summary: 'second step: an admin key file; as many as must sign',
      },
      { name: 'out', value: 'DIR', summary: 'where keys/ and trust/ are written' },
    ],
    examples: [
      {
        run: 'nixfleet bootstrap --name acme --host web-01.json --host web-02.json --host db-01.json --operator alice --out acme',
        does: 'found a fleet of three',
      },
      {
        run: 'nixfleet bootstrap --name acme --admins 3 --threshold 2 --host web-01.json --operator alice --out acme',
        does: 'any two of three admins together sign changes',
      },
      {
        run: 'nixfleet bootstrap --name acme --admins 3 --threshold 2 --out acme',
        does: 'keys and root; the first hosts come by ticket',
      },
    ],
    exits: [EXIT_BAD_INPUT, EXIT_IO, EXIT_NOT_PERMITTED, EXIT_UNVERIFIED],
    load: () => import('../commands/bootstrap.ts'),
  },
]
