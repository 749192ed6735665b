/** The node itself, and the program's own pages. */
import { EXIT_BAD_CONFIG, EXIT_IO, EXIT_NO_INPUT, EXIT_TERMINATED } from '../exit-codes.ts'
import type { CommandSpec } from '../registry.ts'

export const NODE: readonly CommandSpec[] = [
  {
    name: 'node run',
    section: 'NODE',
    summary: 'the daemon',
    about: ['SIGTERM and SIGINT stop it in order. An armed deadman outlives it.'],
    args: [],
    options: [
      {
        name: 'node-config',
        value: 'FILE',
        summary: 'the configuration, JSON or TOML (default /etc/nixfleet/node.json)',
      },
      {
        name: 'tls-cert',
        value: 'FILE',
        summary:
          'the certificate of the API over TCP, PEM; instead of api.tls in the configuration',
      },
      { name: 'tls-key', value: 'FILE', summary: 'its private key, PEM, mode 0600' },
    ],
    examples: [
      {
        run: 'nixfleet node run --node-config /etc/nixfleet/node.toml',
        does: 'what the systemd unit runs',
      },
    ],
    exits: [EXIT_BAD_CONFIG, EXIT_IO, EXIT_TERMINATED],
    load: () => import('../commands/node-run.ts'),
  },
  {
    name: 'node init',
    section: 'NODE',
    summary: "make this host's seed and print its public record",
    about: [
      'The seed never leaves the host. Give the printed record to `nixfleet bootstrap --host`.',
    ],
    args: [],
    options: [
      { name: 'name', value: 'NAME', summary: "the host's name" },
      { name: 'data', value: 'DIR', summary: "the node's data folder" },
      {
        name: 'listen',
        value: 'ADDR',
        repeat: true,
        summary: 'a multiaddr at which others reach it',
      },
      { name: 'tag', value: 'K=V', repeat: true, summary: 'a tag, as role=web' },
    ],
    examples: [
      {
        run: 'nixfleet node init --name web-01 --data /var/lib/nixfleet --listen /ip4/10.0.0.1/tcp/7460 > web-01.json',
        does: 'once per host',
      },
    ],
    exits: [EXIT_IO],
    load: () => import('../commands/node-init.ts'),
  },
  {
    name: 'node id',
    section: 'NODE',
    summary: "print this host's public record again, and the fingerprint of its API's certificate",
    args: [],
    options: [
      { name: 'data', value: 'DIR', summary: "the node's data folder (default /var/lib/nixfleet)" },
    ],
    examples: [
      { run: 'nixfleet node id --data /var/lib/nixfleet', does: 'its keys and addresses' },
    ],
    exits: [EXIT_NO_INPUT],
    load: () => import('../commands/node-id.ts'),
  },
]
