/** Commands that look and change nothing. */
import { EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO_INPUT } from '../exit-codes.ts'
import type { CommandSpec, OptionSpec } from '../registry.ts'

const LOG_OPTIONS: readonly OptionSpec[] = [
  { name: 'limit', value: 'N', summary: 'how many, the newest (default 50)' },
  { name: 'host', value: 'NAME', summary: 'only what is about this host' },
  { name: 'type', value: 'T', summary: 'only this type, as host.transition' },
]

export const LOOK: readonly CommandSpec[] = [
  {
    name: 'status',
    section: 'LOOK',
    summary: 'the fleet as one peer sees it, and how old that view is',
    args: [],
    options: [
      { name: 'watch', summary: 'look again every two seconds' },
      { name: 'oneline', summary: 'one line, for a prompt or a status bar' },
    ],
    examples: [
      { run: 'nixfleet status', does: 'every host with its state' },
      { run: 'nixfleet status --json', does: 'the same for scripts' },
    ],
    exits: [EXIT_INTERRUPTED],
    load: () => import('../commands/status.ts'),
  },
  {
    name: 'hosts list',
    aliases: ['machines list', 'host list'],
    section: 'LOOK',
    summary: 'every host with its generation and health',
    args: [],
    options: [
      { name: 'on', value: 'SEL', summary: 'only hosts that match, as role=web,env!=prod' },
    ],
    examples: [
      { run: 'nixfleet hosts list --on role=web --format csv', does: 'a part of them, as CSV' },
    ],
    exits: [],
    load: () => import('../commands/hosts-list.ts'),
  },
  {
    name: 'hosts show',
    aliases: ['machines show', 'host show'],
    section: 'LOOK',
    summary: 'one host: checks, generations to go back to, last transitions',
    args: [{ name: 'host', required: true, summary: 'its name' }],
    options: [],
    examples: [{ run: 'nixfleet hosts show web-01', does: 'all that the peer knows of it' }],
    exits: [EXIT_NO_INPUT],
    load: () => import('../commands/hosts-show.ts'),
  },
  {
    name: 'peers',
    section: 'LOOK',
    summary: 'whom the answering node is connected with',
    args: [],
    options: [],
    examples: [{ run: 'nixfleet peers --format wide', does: 'with whole addresses for --peer' }],
    exits: [],
    load: () => import('../commands/peers.ts'),
  },
  {
    name: 'peers forks',
    section: 'LOOK',
    summary: 'who signed two messages that exclude each other, and what follows',
    args: [],
    options: [],
    examples: [
      { run: 'nixfleet peers forks', does: 'every proof that the answering node holds' },
      { run: 'nixfleet peers forks --json', does: 'with whole ids, for an auditor' },
    ],
    exits: [],
    load: () => import('../commands/peers-forks.ts'),
  },
  {
    name: 'events',
    section: 'LOOK',
    summary: 'what happened, in words',
    args: [],
    options: [...LOG_OPTIONS, { name: 'follow', summary: 'go on with each new event' }],
    examples: [{ run: 'nixfleet events --follow', does: 'watch the fleet talk' }],
    exits: [EXIT_INTERRUPTED],
    load: () => import('../commands/events.ts'),
  },
  {
    name: 'doctor',
    section: 'LOOK',
    summary: 'what is wrong with the answering node',
    args: [],
    options: [],
    examples: [
      { run: 'nixfleet doctor --peer unix:/run/nixfleet/api.sock', does: 'check this host' },
    ],
    exits: [EXIT_FAILED],
    load: () => import('../commands/doctor.ts'),
  },
  {
    name: 'audit log',
    section: 'PROVE',
    summary: 'signed acts with author, role, outcome and place in the feed',
    args: [],
    options: [
      ...LOG_OPTIONS,
      { name: 'actor', value: 'NAME', summary: 'only what this host, operator or key signed' },
      { name: 'rollout', value: 'ID', summary: 'only what names this rollout' },
      { name: 'since', value: 'TIME', summary: 'a time as 2026-11-26T14:00:00Z, or an age as 24h' },
      { name: 'until', value: 'TIME', summary: 'likewise' },
      { name: 'text', value: 'T', summary: 'only rows with this text anywhere' },
    ],
    examples: [{ run: 'nixfleet audit log --format csv --limit 500', does: 'for a spreadsheet' }],
    exits: [],
    load: () => import('../commands/audit-log.ts'),
  },
]
