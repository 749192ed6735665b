/** Caches: where store paths come from besides peers. */
import {
  EXIT_BAD_CONFIG,
  EXIT_FAILED,
  EXIT_IO,
  EXIT_NO_INPUT,
  EXIT_NOT_PERMITTED,
} from '../exit-codes.ts'
import type { ArgSpec, CommandSpec, OptionSpec } from '../registry.ts'

const URL_ARG: ArgSpec = {
  name: 'url',
  required: true,
  summary: 'a Nix store URL: https://…, s3://…, file:///…',
}
const NODE_CONFIG: OptionSpec = {
  name: 'node-config',
  value: 'FILE',
  summary: "the node's configuration, JSON (default /etc/nixfleet/node.json)",
}

export const CACHE: readonly CommandSpec[] = [
  {
    name: 'cache list',
    section: 'LOOK',
    summary: 'upstream caches of the answering host, and those that releases name',
    about: ['A host asks its own store first, then its peers, then these in their order.'],
    args: [],
    options: [],
    examples: [{ run: 'nixfleet cache list', does: 'each cache, and who names it' }],
    exits: [],
    load: () => import('../commands/cache-list.ts'),
  },
  {
    name: 'cache check',
    section: 'LOOK',
    summary: 'whether caches can be reached and hold a release, signed by keys that hosts take',
    about: [
      'Asked from this machine, path by path; nothing is downloaded. Without --cache all that',
      '`cache list` shows. Ends with 1 when a cache fails, or a path is in none as it should be.',
    ],
    args: [{ name: 'release', required: false, summary: 'its id (default the newest)' }],
    options: [
      { name: 'cache', value: 'URL', repeat: true, summary: 'only this cache' },
      {
        name: 'key',
        value: 'NAME:BASE64',
        repeat: true,
        summary: 'a trusted key (default those of the answering host)',
      },
    ],
    examples: [
      { run: 'nixfleet cache check', does: 'the newest release in every cache' },
      {
        run: 'nixfleet cache check 5f2c --cache s3://site --json',
        does: 'each path that is missing or wrong there',
      },
    ],
    exits: [EXIT_FAILED, EXIT_NO_INPUT],
    load: () => import('../commands/cache-check.ts'),
  },
  {
    name: 'cache add',
    section: 'CHANGE',
    summary: "add an upstream cache to this host's configuration",
    about: [
      'Changes the file of this host alone; the node reads it when it starts. For every host of a',
      'release, name the cache when you make it: nixfleet release create --cache URL.',
    ],
    args: [URL_ARG],
    options: [NODE_CONFIG],
    examples: [
      { run: 'nixfleet cache add https://cache.example', does: 'asked last, after the others' },
    ],
    exits: [EXIT_BAD_CONFIG, EXIT_IO, EXIT_NO_INPUT],
    load: () => import('../commands/cache-edit.ts'),
  },
  {
    name: 'cache remove',
    section: 'CHANGE',
    summary: "take an upstream cache out of this host's configuration",
    args: [URL_ARG],
    options: [NODE_CONFIG],
    examples: [{ run: 'nixfleet cache remove https://cache.example', does: 'no more asked' }],
    exits: [EXIT_BAD_CONFIG, EXIT_IO, EXIT_NO_INPUT],
    load: () => import('../commands/cache-edit.ts'),
  },
  {
    name: 'cache push',
    section: 'CHANGE',
    summary: 'copy a release to a cache, with Nix, from the store of this machine',
    about: [
      'Paths keep the signatures that they have: sign them before, or let Nix do it with',
      "--to 's3://site?secret-key=FILE'. What the cache has already is not sent again.",
    ],
    args: [
      {
        name: 'release',
        required: false,
        variadic: true,
        summary: 'its id (default the newest), or store paths',
      },
    ],
    options: [{ name: 'to', value: 'URL', summary: 'the cache' }],
    examples: [
      { run: 'nixfleet cache push --to s3://site', does: 'the newest release' },
      { run: 'nixfleet cache push 5f2c --to file:///mnt/usb/cache', does: 'onto a medium' },
    ],
    exits: [EXIT_FAILED, EXIT_NO_INPUT, EXIT_NOT_PERMITTED],
    load: () => import('../commands/cache-push.ts'),
  },
]
