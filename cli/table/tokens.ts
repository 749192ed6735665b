/** Commands about read access over HTTP. They run on the node's own host and need no node that runs. */
import { EXIT_BAD_INPUT, EXIT_IO, EXIT_NO_INPUT, EXIT_TRY_AGAIN } from '../exit-codes.ts'
import type { CommandSpec, OptionSpec } from '../registry.ts'

const DATA: OptionSpec = {
  name: 'data',
  value: 'DIR',
  summary: "the node's data folder (default /var/lib/nixfleet)",
}

export const TOKENS: readonly CommandSpec[] = [
  {
    name: 'tokens create',
    section: 'ACCESS',
    summary: 'a token with which a dashboard or a scraper may read from this host over HTTP',
    about: [
      'Run it on the host, as root or as the user of the node; the node need not be restarted.',
      'The token is printed once, and kept as a hash alone. It opens the routes of its scopes, on this',
      'node, until it expires or is revoked. Nothing can be changed with it: changes are signed.',
      'Scopes: status (hosts, rollouts, releases, events), audit (the signed log), metrics.',
    ],
    args: [],
    options: [
      DATA,
      {
        name: 'role',
        value: 'ROLE',
        summary: 'readonly, which is also the default: there is no other',
      },
      {
        name: 'ttl',
        value: 'DUR',
        summary: 'how long it counts, as 24h or 90d (default 24h, at most 400d)',
      },
      {
        name: 'scope',
        value: 'NAME',
        repeat: true,
        summary: 'status, audit or metrics (default status)',
      },
      { name: 'name', value: 'TEXT', summary: 'what it is for; shown in lists and in the log' },
    ],
    examples: [
      {
        run: 'nixfleet tokens create --role readonly --ttl 24h',
        does: 'reads what status shows, for a day',
      },
      {
        run: 'nixfleet tokens create --scope metrics --ttl 90d --name prometheus > token',
        does: 'for a scraper; stdout is the token alone',
      },
    ],
    exits: [EXIT_BAD_INPUT, EXIT_IO, EXIT_NO_INPUT, EXIT_TRY_AGAIN],
    load: () => import('../commands/tokens-create.ts'),
  },
  {
    name: 'tokens list',
    section: 'ACCESS',
    summary: 'the tokens of this host: what they open, until when, and which have ended',
    args: [],
    options: [DATA],
    examples: [{ run: 'nixfleet tokens list', does: 'the newest first' }],
    exits: [EXIT_IO, EXIT_NO_INPUT],
    load: () => import('../commands/tokens-list.ts'),
  },
  {
    name: 'tokens revoke',
    section: 'ACCESS',
    summary: 'end a token at once, and what is open for it within two seconds',
    args: [
      { name: 'id', required: false, summary: 'its id, from tokens list, or the token itself' },
    ],
    options: [DATA, { name: 'all', summary: 'every token of this host' }],
    examples: [
      { run: 'nixfleet tokens revoke 5f2c9ae01b44', does: 'this one' },
      { run: 'nixfleet tokens revoke --all', does: 'after a host was looked into by strangers' },
    ],
    exits: [EXIT_BAD_INPUT, EXIT_IO, EXIT_NO_INPUT],
    load: () => import('../commands/tokens-revoke.ts'),
  },
]
