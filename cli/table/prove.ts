/** Commands for whoever checks instead of believing. */
import {
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_NO_INPUT,
  EXIT_TRY_AGAIN,
  EXIT_UNVERIFIED,
} from '../exit-codes.ts'
import type { CommandSpec, OptionSpec } from '../registry.ts'

const ROOT_HASH: OptionSpec = {
  name: 'root-hash',
  value: 'HASH',
  summary: 'the hash that the fleet’s hosts pin; it must not come from the pull',
}

export const PROVE: readonly CommandSpec[] = [
  {
    name: 'audit pull',
    section: 'PROVE',
    summary: 'a node’s whole signed log into a folder, with what checks it offline',
    about: ['A pull that was interrupted, or that is old, goes on where it stopped.'],
    args: [],
    options: [
      { name: 'out', short: 'o', value: 'DIR', summary: 'the folder to pull into' },
      { name: 'from', value: 'ADDR', summary: 'the node to pull from, as for --peer' },
      { name: 'all', summary: 'every node that can be reached, each into DIR/NAME' },
    ],
    examples: [
      { run: 'nixfleet audit pull --out audit', does: 'the log of the answering node' },
      { run: 'nixfleet audit pull --all --out audit', does: 'of every node, to compare them' },
    ],
    exits: [EXIT_FAILED, EXIT_INTERRUPTED, EXIT_UNVERIFIED],
    load: () => import('../commands/audit-pull.ts'),
  },
  {
    name: 'audit verify',
    section: 'PROVE',
    summary: 'check a pull offline, byte by byte; with two pulls, also against each other',
    about: [
      'Needs no node and no network. Every finding names what was expected, and whose it is.',
    ],
    args: [
      { name: 'dir', required: true, summary: 'a pull' },
      { name: 'other', required: false, summary: 'another node’s pull, to find a split view' },
    ],
    options: [
      ROOT_HASH,
      { name: 'threads', value: 'N', summary: 'how many threads verify (default: all processors)' },
    ],
    examples: [
      {
        run: 'nixfleet audit verify audit --root-hash 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
        does: 'exit code 0 when clean, 4 when not',
      },
    ],
    exits: [EXIT_UNVERIFIED, EXIT_NO_INPUT],
    load: () => import('../commands/audit-verify.ts'),
  },
  {
    name: 'audit proof',
    section: 'PROVE',
    summary: 'that one fact was logged: a C2SP tlog-proof up to a cosigned checkpoint',
    args: [{ name: 'fact', required: true, summary: 'its id, or the first digits of it' }],
    options: [
      { name: 'in', value: 'DIR', summary: 'the pull to make it from (default: this folder)' },
      ROOT_HASH,
      { name: 'out', short: 'o', value: 'FILE', summary: 'a file instead of standard output' },
    ],
    examples: [
      {
        run: 'nixfleet audit proof 3f9a01c2 --in audit --root-hash 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
        does: 'checked before it is printed',
      },
    ],
    exits: [EXIT_UNVERIFIED, EXIT_NO_INPUT],
    load: () => import('../commands/audit-proof.ts'),
  },
  {
    name: 'audit export',
    section: 'PROVE',
    summary: 'every fact of a pull as a row: JSON lines, CSV, Elastic Common Schema or CEF',
    about: [
      'Rows stream, however many. CSV guards cells that a spreadsheet would run, which alters them:',
      'the pull is the evidence, CSV is a view of it.',
    ],
    args: [{ name: 'dir', required: true, summary: 'a pull' }],
    options: [
      ROOT_HASH,
      { name: 'out', short: 'o', value: 'FILE', summary: 'a file instead of standard output' },
    ],
    formats: ['jsonl', 'csv', 'ecs', 'cef'],
    examples: [
      {
        run: 'nixfleet audit export audit --format csv --out audit.csv --root-hash 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
        does: 'for a spreadsheet',
      },
    ],
    exits: [EXIT_UNVERIFIED, EXIT_NO_INPUT],
    load: () => import('../commands/audit-export.ts'),
  },
  {
    name: 'replay',
    section: 'PROVE',
    summary: 'decide everything again from signed facts and blocks alone, and print the digest',
    about: [
      'Needs no node and no network. Every signature, chain, certificate and rule is checked again;',
      'the digest is the one that `nixfleet status --json` gives of a node that knows the same.',
      'A data folder is read while its daemon is stopped; nothing in it is changed.',
    ],
    args: [],
    options: [
      { name: 'data', value: 'DIR', summary: "a node's data folder" },
      { name: 'pull', value: 'DIR', summary: 'a folder that `nixfleet audit pull` made, instead' },
      {
        name: 'trust',
        value: 'DIR',
        summary: "with --data: the node's trust folder, as in its configuration",
      },
      { ...ROOT_HASH, summary: 'the hash that the fleet’s hosts pin' },
      {
        name: 'expect',
        value: 'DIGEST',
        summary: 'fail with exit code 4 unless this is the digest',
      },
    ],
    examples: [
      {
        run: 'nixfleet replay --data /var/lib/nixfleet --trust /etc/nixfleet/trust --root-hash 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
        does: 'this host, its daemon stopped',
      },
      {
        run: 'nixfleet replay --pull audit --root-hash 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef --expect fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210',
        does: 'a pull against the digest that a node gave',
      },
    ],
    exits: [EXIT_UNVERIFIED, EXIT_NO_INPUT, EXIT_TRY_AGAIN],
    load: () => import('../commands/replay.ts'),
  },
]
