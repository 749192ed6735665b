/** Bundles: what one side holds as a file for the other, where no cable leads. */
import {
  EXIT_FAILED,
  EXIT_IO,
  EXIT_NO_INPUT,
  EXIT_TRY_AGAIN,
  EXIT_UNVERIFIED,
} from '../exit-codes.ts'
import type { ArgSpec, CommandSpec, OptionSpec } from '../registry.ts'

const FILE: ArgSpec = { name: 'file', required: true, summary: 'a bundle' }
const OUT: OptionSpec = {
  name: 'out',
  short: 'o',
  value: 'FILE',
  summary: 'the file to write; it must not exist',
}

export const BUNDLE: readonly CommandSpec[] = [
  {
    name: 'bundle export',
    section: 'PROVE',
    summary: 'write what the peer holds, and the other side does not, into a file',
    about: [
      'Facts, plans, manifests and the gate log; with --closures also the store paths of the releases',
      'that are or may be rolled out. Releases go in, health, audit and evidence come out, in one form.',
    ],
    args: [],
    options: [
      OUT,
      {
        name: 'since',
        value: 'VECTORFILE',
        summary: 'only what the holder of this vector file lacks',
      },
      { name: 'closures', summary: 'with the store paths of the releases that are needed' },
    ],
    examples: [
      { run: 'nixfleet bundle export --out all.bundle', does: 'everything but store paths' },
      {
        run: 'nixfleet bundle export --since site-b.vector --closures --out for-b.bundle',
        does: 'what site-b lacks, ready to deploy there',
      },
    ],
    exits: [EXIT_FAILED, EXIT_UNVERIFIED, EXIT_NO_INPUT, EXIT_IO],
    load: () => import('../commands/bundle-export.ts'),
  },
  {
    name: 'bundle vector',
    section: 'PROVE',
    summary: 'write what the peer holds as a list, for the other side’s --since',
    args: [],
    options: [OUT],
    examples: [{ run: 'nixfleet bundle vector --out site-b.vector', does: 'carry this back' }],
    exits: [EXIT_FAILED, EXIT_IO],
    load: () => import('../commands/bundle-export.ts'),
  },
  {
    name: 'bundle inspect',
    section: 'PROVE',
    summary: 'what is in a bundle; needs no node',
    args: [FILE],
    options: [],
    examples: [{ run: 'nixfleet bundle inspect for-b.bundle', does: 'whose it is, and how much' }],
    exits: [EXIT_UNVERIFIED, EXIT_IO],
    load: () => import('../commands/bundle-inspect.ts'),
  },
  {
    name: 'bundle verify',
    section: 'PROVE',
    summary: 'check everything in a bundle against the root hash; needs no node',
    args: [FILE],
    options: [
      {
        name: 'root-hash',
        value: 'HASH|FILE',
        summary: "the fleet's root hash (default: what the operator's key file pins)",
      },
    ],
    examples: [
      {
        run: 'nixfleet bundle verify for-b.bundle --root-hash trust/root.hash',
        does: 'signatures, chains, certificates and hashes, with the place of what is wrong',
      },
    ],
    exits: [EXIT_UNVERIFIED, EXIT_IO],
    load: () => import('../commands/bundle-inspect.ts'),
  },
  {
    name: 'bundle import',
    section: 'CHANGE',
    summary: 'bring a peer what it lacks of a bundle',
    about: [
      'The whole file is verified before anything is sent. Nothing in it counts for being in it: the',
      'peer judges every part as if it had come over the network. Cut and run again, it goes on.',
    ],
    args: [FILE],
    options: [{ name: 'dry-run', summary: 'verify it against the peer’s fleet, and send nothing' }],
    examples: [
      { run: 'nixfleet bundle import for-b.bundle', does: 'then deploy as with any release' },
    ],
    exits: [EXIT_FAILED, EXIT_UNVERIFIED, EXIT_IO, EXIT_TRY_AGAIN],
    load: () => import('../commands/bundle-import.ts'),
  },
]
