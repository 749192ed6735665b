/** Commands about getting in: invites, tickets, requests. */
import {
  EXIT_BAD_CONFIG,
  EXIT_BAD_INPUT,
  EXIT_INTERRUPTED,
  EXIT_NO_INPUT,
  EXIT_NO_QUORUM,
  EXIT_NOT_PERMITTED,
  EXIT_TIMEOUT,
  EXIT_TRY_AGAIN,
  EXIT_UNVERIFIED,
} from '../exit-codes.ts'
import type { CommandSpec, OptionSpec } from '../registry.ts'

const ADMIN_KEYS: OptionSpec = {
  name: 'admin-key',
  value: 'FILE',
  repeat: true,
  summary: 'an admin key file; as many as the root asks for',
}
const ONE_ADMIN_KEY: OptionSpec = {
  name: 'admin-key',
  value: 'FILE',
  summary: 'an admin key file; else your own key, with role admin, signs',
}
const REASON: OptionSpec = { name: 'reason', value: 'TEXT', summary: 'why, for the audit log' }
const SIGNING: readonly number[] = [
  EXIT_BAD_INPUT,
  EXIT_NO_INPUT,
  EXIT_NOT_PERMITTED,
  EXIT_UNVERIFIED,
]
const DECIDING: readonly number[] = [
  ...SIGNING,
  EXIT_NO_QUORUM,
  EXIT_TIMEOUT,
  EXIT_TRY_AGAIN,
  EXIT_INTERRUPTED,
]
const REQUESTS = {
  name: 'requests',
  required: true,
  variadic: true,
  summary: 'their names, or the first digits of their ids',
}

export const ENROL: readonly CommandSpec[] = [
  {
    name: 'invite',
    section: 'ACCESS',
    summary: 'print a ticket: who holds it may ask to be let in',
    about: [
      'The ticket is printed once and kept nowhere. It lets nobody in: admins approve who asked. With',
      '--wait this command stays and approves each request that presents the ticket, with the keys given.',
      'With --trust no peer is asked: for the first hosts of a fleet, whose requests travel as files.',
    ],
    args: [],
    options: [
      {
        name: 'role',
        value: 'ROLE',
        summary: 'host, readonly, deploy or admin; operator is deploy (default host)',
      },
      { name: 'name', value: 'NAME', summary: 'the name that must be taken; for one use' },
      { name: 'tag', value: 'K=V', repeat: true, summary: 'a tag of the hosts, as role=web' },
      { name: 'group', value: 'NAME', repeat: true, summary: 'an operator’s groups (default all)' },
      {
        name: 'channel',
        value: 'NAME',
        repeat: true,
        summary: 'an operator’s channels (default all)',
      },
      { name: 'expires', value: 'DUR', summary: 'when an operator’s role ends, as 90d' },
      { name: 'uses', value: 'N', summary: 'how many may come in by it (default 1)' },
      { name: 'ttl', value: 'DUR', summary: 'how long it may be used (default 1h)' },
      { name: 'wait', summary: 'approve each request, until the uses or the time are spent' },
      ADMIN_KEYS,
      {
        name: 'trust',
        value: 'DIR',
        summary: 'ask no peer: write the invite beside the root in this folder',
      },
      REASON,
    ],
    examples: [
      {
        run: 'nixfleet invite --uses 4 --tag role=web --admin-key admin-1.key',
        does: 'four hosts, within the hour',
      },
      {
        run: 'nixfleet invite --role deploy --name bob --ttl 1d --admin-key admin-1.key --admin-key admin-2.key --wait',
        does: 'and let bob in as soon as he asks',
      },
    ],
    exits: DECIDING,
    load: () => import('../commands/invite.ts'),
  },
  {
    name: 'invite list',
    section: 'ACCESS',
    summary: 'which tickets are about, and how often they were used',
    args: [],
    options: [],
    examples: [{ run: 'nixfleet invite list', does: 'open, used up, ended and revoked ones' }],
    exits: [],
    load: () => import('../commands/invite-list.ts'),
  },
  {
    name: 'invite revoke',
    section: 'ACCESS',
    summary: 'take a ticket back; who was let in by it stays',
    args: [{ name: 'invite', required: true, summary: 'the first digits of its id' }],
    options: [ONE_ADMIN_KEY, REASON],
    examples: [
      {
        run: 'nixfleet invite revoke 3f9a71c0 --admin-key admin-1.key --reason "mailed to the list"',
        does: 'what waits under it is denied',
      },
    ],
    exits: SIGNING,
    load: () => import('../commands/invite-revoke.ts'),
  },
  {
    name: 'enroll',
    aliases: ['join'],
    section: 'ACCESS',
    summary: 'ask to be let in, on the host or laptop that wants in',
    about: [
      'Keys are made here and never leave. The ticket’s peers pass the request on; once an admin has',
      'approved it, a host gets its trust folder and configuration, an operator a key that counts.',
      'Run it again at any time: it goes on with the same key and the same request.',
      'Without a network: --request-out FILE, and later --trust DIR with what the admin carried back.',
    ],
    args: [{ name: 'ticket', required: false, summary: 'the word that begins with nf1' }],
    options: [
      {
        name: 'ticket-file',
        value: 'FILE',
        summary: 'a file that holds the ticket: it stays out of the list of processes',
      },
      { name: 'name', value: 'NAME', summary: 'the name to come in under' },
      {
        name: 'data',
        value: 'DIR',
        summary: "a host: the node's data folder (default /var/lib/nixfleet)",
      },
      {
        name: 'listen',
        value: 'ADDR',
        repeat: true,
        summary: 'a host: a multiaddr at which others reach it',
      },
      { name: 'system', value: 'KIND', summary: 'a host: nix or portable (default nix)' },
      { name: 'initial', value: 'DIR', summary: 'a portable host: the tree that it begins with' },
      {
        name: 'cache-key',
        value: 'KEY',
        repeat: true,
        summary: 'a host: name:base64 of a cache whose paths it takes',
      },
      { name: 'no-mdns', summary: 'a host: do not look for peers on the LAN' },
      {
        name: 'node-config',
        value: 'FILE',
        summary: 'the configuration to write (default /etc/nixfleet/node.json, or in --data)',
      },
      { name: 'request-out', value: 'FILE', summary: 'write the request instead of sending it' },
      { name: 'trust', value: 'DIR', summary: 'the documents that were carried here' },
      { name: 'no-wait', summary: 'do not wait for an admin' },
    ],
    examples: [
      {
        run: 'nixfleet enroll nf1oWZ0aWNr --name web-04 --listen /ip4/10.0.0.4/tcp/7460',
        does: 'a host',
      },
      {
        run: 'nixfleet enroll --ticket-file ticket --name bob',
        does: 'bob, on his laptop',
      },
    ],
    exits: [...SIGNING, EXIT_BAD_CONFIG, EXIT_TIMEOUT, EXIT_INTERRUPTED],
    load: () => import('../commands/enroll.ts'),
  },
  {
    name: 'requests list',
    section: 'ACCESS',
    summary: 'who asked to be let in and waits',
    args: [],
    options: [{ name: 'all', summary: 'also those that were decided' }],
    examples: [{ run: 'nixfleet requests list', does: 'compare the keys before you approve' }],
    exits: [],
    load: () => import('../commands/requests-list.ts'),
  },
  {
    name: 'approve',
    section: 'ACCESS',
    summary: 'let in who asked: hosts by a new configuration, operators by a new root',
    about: [
      'Signs with the admin keys, as hosts add and operators add do; the voters must agree. Each request',
      'is verified here, whatever the peer says. A file is a request that was carried: enroll --request-out.',
    ],
    args: [
      {
        name: 'requests',
        required: false,
        variadic: true,
        summary: 'names, first digits of ids, or files',
      },
    ],
    options: [
      { name: 'all', summary: 'everybody who waits' },
      ADMIN_KEYS,
      {
        name: 'out',
        value: 'DIR',
        summary: 'also write the trust folder, for hosts without a network',
      },
      { name: 'no-wait', summary: 'do not wait until the voters have agreed' },
      REASON,
    ],
    examples: [
      {
        run: 'nixfleet approve web-04 --admin-key admin-1.key --admin-key admin-2.key',
        does: 'one host',
      },
      { run: 'nixfleet approve --all --yes --admin-key admin.key', does: 'everybody, unasked' },
    ],
    exits: DECIDING,
    load: () => import('../commands/approve.ts'),
  },
  {
    name: 'deny',
    section: 'ACCESS',
    summary: 'refuse who asked; the use of the ticket is free again',
    args: [REQUESTS],
    options: [ONE_ADMIN_KEY, REASON],
    examples: [
      {
        run: 'nixfleet deny web-99 --admin-key admin-1.key --reason "not ours"',
        does: 'its command ends with the reason',
      },
    ],
    exits: SIGNING,
    load: () => import('../commands/deny.ts'),
  },
]
