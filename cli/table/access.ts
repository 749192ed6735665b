/** Commands about who may do what: the root, operators, keys. */
import {
  EXIT_BAD_INPUT,
  EXIT_INTERRUPTED,
  EXIT_NO_INPUT,
  EXIT_NOT_PERMITTED,
  EXIT_TIMEOUT,
  EXIT_TRY_AGAIN,
  EXIT_UNVERIFIED,
} from '../exit-codes.ts'
import type { CommandSpec, OptionSpec } from '../registry.ts'

const ROOT_HASH: OptionSpec = {
  name: 'root-hash',
  value: 'HASH',
  summary: 'the fleet’s root hash or its file (default: what your key file pins)',
}
const ADMIN_KEY: OptionSpec = {
  name: 'admin-key',
  value: 'FILE',
  repeat: true,
  summary: 'an admin key file; as many as the root asks for',
}
const TRUST: OptionSpec = {
  name: 'trust',
  value: 'DIR',
  summary: 'a folder with the root chain, as bootstrap or root pull wrote it',
}
const REASON: OptionSpec = { name: 'reason', value: 'TEXT', summary: 'why, for the audit log' }
const NO_WAIT: OptionSpec = {
  name: 'no-wait',
  summary: 'do not wait until the voters have decided',
}
const PROPOSAL = { name: 'file', required: true, summary: 'the proposal' }
const ROOT_CHANGE: readonly OptionSpec[] = [
  ADMIN_KEY,
  ROOT_HASH,
  {
    name: 'out',
    value: 'FILE',
    summary: 'write a proposal that admins sign, instead of announcing it',
  },
  { name: 'plan', summary: 'show what would change; sign nothing' },
  NO_WAIT,
  REASON,
]
const GRANT: readonly OptionSpec[] = [
  { name: 'role', value: 'ROLE', summary: 'readonly, deploy or admin' },
  {
    name: 'group',
    value: 'NAME',
    repeat: true,
    summary: 'this group alone; all takes the bound away',
  },
  {
    name: 'channel',
    value: 'NAME',
    repeat: true,
    summary: 'releases of this channel alone; all takes the bound away',
  },
  { name: 'expires', value: 'WHEN', summary: 'a date, a duration from now as 90d, or never' },
]
const EXITS: readonly number[] = [
  EXIT_BAD_INPUT,
  EXIT_NO_INPUT,
  EXIT_NOT_PERMITTED,
  EXIT_TIMEOUT,
  EXIT_TRY_AGAIN,
  EXIT_UNVERIFIED,
]
const NAME = { name: 'name', required: true, summary: 'the name of the operator' }

export const ACCESS: readonly CommandSpec[] = [
  {
    name: 'root show',
    section: 'ACCESS',
    summary: 'what the root in force says: admins, operators, release keys, groups',
    args: [
      {
        name: 'file',
        required: false,
        summary: 'a root in a file instead; nothing of it is checked',
      },
    ],
    options: [ROOT_HASH],
    examples: [{ run: 'nixfleet root show', does: 'that of the fleet' }],
    exits: EXITS,
    load: () => import('../commands/root-show.ts'),
  },
  {
    name: 'root pull',
    section: 'ACCESS',
    summary: 'write the verified root chain to a folder, for a machine that signs offline',
    args: [],
    options: [{ name: 'out', value: 'DIR', summary: 'the folder' }, ROOT_HASH],
    examples: [{ run: 'nixfleet root pull --out roots', does: 'carry it with the proposal' }],
    exits: EXITS,
    load: () => import('../commands/root-pull.ts'),
  },
  {
    name: 'root propose',
    section: 'ACCESS',
    summary: 'the next root, with other admins, release keys or groups',
    about: [
      'With enough --admin-key it is signed and announced at once. With --out it is written to a file,',
      'signed by the keys that were given, and goes from admin to admin: root sign, then root publish.',
      'Enough admins in force and enough admins of the new version must sign; one signature counts for both.',
    ],
    args: [],
    options: [
      {
        name: 'add-admin',
        value: 'KEY',
        repeat: true,
        summary: 'a public key: 64 hex digits or a file',
      },
      { name: 'remove-admin', value: 'KEY', repeat: true, summary: 'the first digits of its key' },
      { name: 'threshold', value: 'M', summary: 'how many admins must sign from then on' },
      {
        name: 'add-release',
        value: 'NAME=KEY',
        repeat: true,
        summary: 'a release key, NAME=KEY:stable,edge for some channels; replaces one of that name',
      },
      { name: 'remove-release', value: 'NAME', repeat: true, summary: 'this release key' },
      { name: 'add-group', value: 'NAME', repeat: true, summary: 'one more group' },
      ...ROOT_CHANGE,
    ],
    examples: [
      {
        run: 'nixfleet root propose --remove-admin 3f9a --add-admin dee.pub --admin-key admin-1.key --out next.root',
        does: 'one admin leaves and one comes; two more sign it',
      },
    ],
    exits: EXITS,
    load: () => import('../commands/root-propose.ts'),
  },
  {
    name: 'root sign',
    section: 'ACCESS',
    summary: 'add an admin’s signature to a proposal; needs no node and no network',
    args: [PROPOSAL],
    options: [ADMIN_KEY, TRUST],
    examples: [
      {
        run: 'nixfleet root sign next.root --trust roots --admin-key admin-2.key',
        does: 'shows what it changes, asks, signs',
      },
    ],
    exits: EXITS,
    load: () => import('../commands/root-sign.ts'),
  },
  {
    name: 'root publish',
    section: 'ACCESS',
    summary: 'announce a root that enough admins have signed',
    args: [PROPOSAL],
    options: [ADMIN_KEY, ROOT_HASH, NO_WAIT, REASON],
    examples: [
      { run: 'nixfleet root publish next.root --admin-key admin-1.key', does: 'any peer takes it' },
    ],
    exits: EXITS,
    load: () => import('../commands/root-publish.ts'),
  },
  {
    name: 'root verify',
    section: 'ACCESS',
    summary: 'whether a proposal may follow the root before it, and what it changes',
    args: [PROPOSAL],
    options: [ROOT_HASH, TRUST],
    examples: [
      {
        run: 'nixfleet root verify next.root --trust roots --root-hash roots/root.hash',
        does: 'without a node',
      },
    ],
    exits: EXITS,
    load: () => import('../commands/root-verify.ts'),
  },
  {
    name: 'operators list',
    section: 'ACCESS',
    summary: 'who may do what',
    args: [],
    options: [ROOT_HASH],
    examples: [{ run: 'nixfleet operators list', does: 'as the root in force says' }],
    exits: EXITS,
    load: () => import('../commands/operators-list.ts'),
  },
  {
    name: 'operators add',
    section: 'ACCESS',
    summary: 'let an operator in, with a role in groups and channels',
    about: ['The operator made the key: nixfleet keys generate. Only its public part travels.'],
    args: [NAME],
    options: [
      { name: 'key', value: 'KEY', summary: 'the public key: 64 hex digits or a file' },
      ...GRANT,
      ...ROOT_CHANGE,
    ],
    examples: [
      {
        run: 'nixfleet operators add bob --key bob.pub --role deploy --group berlin --expires 90d --admin-key a.key --admin-key b.key',
        does: 'bob deploys to berlin for 90 days',
      },
    ],
    exits: EXITS,
    load: () => import('../commands/operators-change.ts'),
  },
  {
    name: 'operators grant',
    section: 'ACCESS',
    summary: 'change what an operator may do; what is not given stays',
    args: [NAME],
    options: [...GRANT, ...ROOT_CHANGE],
    examples: [
      {
        run: 'nixfleet operators grant bob --channel stable --admin-key a.key',
        does: 'one channel alone',
      },
    ],
    exits: EXITS,
    load: () => import('../commands/operators-change.ts'),
  },
  {
    name: 'operators revoke',
    section: 'ACCESS',
    summary: 'leave an operator the role readonly',
    args: [NAME],
    options: ROOT_CHANGE,
    examples: [{ run: 'nixfleet operators revoke bob --admin-key a.key', does: 'bob may look' }],
    exits: EXITS,
    load: () => import('../commands/operators-change.ts'),
  },
  {
    name: 'operators remove',
    section: 'ACCESS',
    summary: 'take an operator out; rollouts that were admitted go on',
    args: [NAME],
    options: ROOT_CHANGE,
    examples: [{ run: 'nixfleet operators remove bob --admin-key a.key', does: 'bob left' }],
    exits: EXITS,
    load: () => import('../commands/operators-change.ts'),
  },
  {
    name: 'keys generate',
    section: 'ACCESS',
    summary: 'make a key of your own, mode 0600, and print its public part',
    args: [],
    options: [
      { name: 'name', value: 'NAME', summary: 'yours, or the pipeline’s' },
      { name: 'role', value: 'ROLE', summary: 'operator, release or admin (default operator)' },
      { name: 'fleet', value: 'NAME', summary: 'the fleet’s name' },
      { name: 'out', value: 'FILE', summary: 'the key file' },
      ROOT_HASH,
    ],
    examples: [
      {
        run: 'nixfleet keys generate --name bob --fleet acme --root-hash root.hash --out bob.key > bob.pub',
        does: 'bob.pub goes to an admin, bob.key nowhere',
      },
    ],
    exits: EXITS,
    load: () => import('../commands/keys-generate.ts'),
  },
  {
    name: 'keys show',
    section: 'ACCESS',
    summary: 'print the public part of a key file',
    args: [{ name: 'file', required: true, summary: 'the key file' }],
    options: [],
    examples: [{ run: 'nixfleet keys show bob.key', does: 'name, role and public key' }],
    exits: EXITS,
    load: () => import('../commands/keys-show.ts'),
  },
  {
    name: 'keys revoke',
    section: 'ACCESS',
    summary: 'let nothing count that an operator or release key signs from now on; needs no quorum',
    about: [
      'What the asked peer holds of the key still counts, but for plans that were not admitted yet; with',
      '--nothing only what the log has pinned does. A key may revoke itself: without --admin-key your own',
      'key signs. Every node refuses as soon as it hears of it, and hangs up.',
    ],
    args: [
      {
        name: 'whom',
        required: true,
        summary: 'a name in the root, or the first digits of the key',
      },
    ],
    options: [
      { name: 'admin-key', value: 'FILE', summary: 'one admin key; a threshold is not asked for' },
      { name: 'nothing', summary: 'vouch for nothing that the log has not pinned' },
      REASON,
    ],
    examples: [
      {
        run: 'nixfleet keys revoke bob --admin-key admin-1.key --reason "laptop stolen"',
        does: 'bob’s key counts no more',
      },
    ],
    exits: [...EXITS, EXIT_INTERRUPTED],
    load: () => import('../commands/keys-revoke.ts'),
  },
]
