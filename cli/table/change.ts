/** Commands that sign something. */
import {
  EXIT_CHANGES,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_NO_INPUT,
  EXIT_NO_QUORUM,
  EXIT_NOT_PERMITTED,
  EXIT_STOPPED,
  EXIT_TIMEOUT,
  EXIT_TRY_AGAIN,
  EXIT_UNVERIFIED,
} from '../exit-codes.ts'
import type { CommandSpec, OptionSpec } from '../registry.ts'

const REASON: OptionSpec = {
  name: 'reason',
  value: 'TEXT',
  summary: 'why, for whoever reads the log',
}
const ON: OptionSpec = {
  name: 'on',
  value: 'SEL',
  summary: 'hosts that match, as role=web,env!=prod or name~^web-',
}
const HOST: OptionSpec = {
  name: 'host',
  value: 'NAME',
  repeat: true,
  summary: 'this host; may be given several times',
}
const WAITING: readonly number[] = [EXIT_STOPPED, EXIT_NO_QUORUM, EXIT_TIMEOUT, EXIT_INTERRUPTED]
const ROLLOUT = {
  name: 'rollout',
  required: false,
  summary: 'its id or the first digits (default: the newest)',
}

const GROUP_CHANGE: readonly OptionSpec[] = [
  {
    name: 'admin-key',
    value: 'FILE',
    repeat: true,
    summary: 'an admin key file; as many as the root asks for',
  },
  { name: 'voters', value: 'A,B,C', summary: 'who votes afterwards (default: as now)' },
  {
    name: 'fault-model',
    value: 'MODEL',
    summary: 'crash or byzantine (default: byzantine from 4 voters on)',
  },
  { name: 'plan', summary: 'show what would change; sign nothing' },
  { name: 'no-wait', summary: 'do not wait until the voters have agreed' },
  REASON,
]
const GROUP_EXITS: readonly number[] = [
  EXIT_NO_INPUT,
  EXIT_NOT_PERMITTED,
  EXIT_NO_QUORUM,
  EXIT_TIMEOUT,
  EXIT_TRY_AGAIN,
  EXIT_UNVERIFIED,
]

export const CHANGE: readonly CommandSpec[] = [
  {
    name: 'hosts add',
    section: 'CHANGE',
    summary: 'take hosts into the group, or choose its voters',
    about: [
      'Signs the next configuration with the admin keys. The voters of now must agree to it; rollouts',
      'that are open go on. Writes the trust folder that the new hosts need.',
      'Make a host a voter once it runs: a voter that is not there cannot agree to anything.',
    ],
    args: [
      {
        name: 'records',
        required: false,
        variadic: true,
        summary: 'what nixfleet node init printed on each host',
      },
    ],
    options: [
      { name: 'voter', summary: 'the new hosts vote, too' },
      { name: 'out', value: 'DIR', summary: 'the trust folder to write (default trust-<epoch>)' },
      ...GROUP_CHANGE,
    ],
    examples: [
      {
        run: 'nixfleet hosts add web-04.json --admin-key admin.key',
        does: 'one more host',
      },
      {
        run: 'nixfleet hosts add --voters web-01,web-02,web-04 --admin-key admin.key --plan',
        does: 'what other voters would mean',
      },
    ],
    exits: GROUP_EXITS,
    load: () => import('../commands/hosts-add.ts'),
  },
  {
    name: 'hosts remove',
    section: 'CHANGE',
    summary: 'take hosts out of the group; recover it when its voters are lost',
    about: [
      'A host that left is hung up on, counts as lost in every open rollout, and goes back from what it',
      'had not committed. --recover needs no quorum but one admin more than the threshold: every node',
      'takes it by itself, if it knows no more of the log than the peer that you ask.',
    ],
    args: [{ name: 'hosts', required: true, variadic: true, summary: 'their names' }],
    options: [
      { name: 'recover', summary: 'the voters are lost for good: go on without asking them' },
      ...GROUP_CHANGE,
    ],
    examples: [
      { run: 'nixfleet hosts remove web-03 --admin-key admin.key', does: 'one host leaves' },
      {
        run: 'nixfleet hosts remove db-01 db-02 --recover --admin-key a.key --admin-key b.key',
        does: 'two of three voters burned down',
      },
    ],
    exits: [...GROUP_EXITS, EXIT_INTERRUPTED],
    load: () => import('../commands/hosts-remove.ts'),
  },
  {
    name: 'release create',
    section: 'CHANGE',
    summary: 'announce what may run: a generation for each host',
    about: [
      'Signs with the release key, sends the manifest, then each store path that the peer lacks.',
    ],
    args: [{ name: 'paths', required: false, variadic: true, summary: '--nix: HOST=STORE-PATH' }],
    options: [
      { name: 'name', value: 'NAME', summary: 'what people call it, as "nginx 1.29"' },
      { name: 'channel', value: 'NAME', summary: 'the channel (default stable)' },
      {
        name: 'release-version',
        value: 'N',
        summary: 'its number in the channel (default: one more than the newest)',
      },
      { name: 'portable', summary: 'pack folders that hold bin/switch-to-configuration' },
      {
        name: 'host',
        value: 'NAME=DIR',
        repeat: true,
        summary: '--portable: the folder of one host',
      },
      {
        name: 'all',
        value: 'DIR',
        summary: '--portable: the same folder for every host of the group',
      },
      { name: 'nix', summary: 'announce store paths that Nix has built' },
      {
        name: 'cache',
        value: 'URL',
        repeat: true,
        summary: 'a binary cache that serves the paths',
      },
      { name: 'cache-key', value: 'FILE', summary: 'a Nix secret key that signs the store paths' },
      { name: 'checks', value: 'FILE', summary: 'health checks: a JSON list, or lists by host' },
      { name: 'revision', value: 'REV', summary: 'the revision that it was built from' },
      { name: 'release-key', value: 'FILE', summary: 'the release key ($NIXFLEET_RELEASE_KEY)' },
    ],
    examples: [
      {
        run: 'nixfleet release create --portable --all ./v2 --name v2',
        does: 'pack one folder for all hosts',
      },
      {
        run: 'nixfleet release create --nix web-01=/nix/store/…-nixos-system --cache https://cache.example',
        does: 'announce what a build pipeline built and pushed',
      },
    ],
    exits: [EXIT_NOT_PERMITTED, EXIT_UNVERIFIED],
    load: () => import('../commands/release-create.ts'),
  },
  {
    name: 'release list',
    section: 'CHANGE',
    summary: 'every release that the peer knows, newest first',
    args: [],
    options: [],
    examples: [{ run: 'nixfleet release list', does: 'with ids for deploy' }],
    exits: [],
    load: () => import('../commands/release-list.ts'),
  },
  {
    name: 'release show',
    section: 'CHANGE',
    summary: 'one release: the generation of each host',
    args: [{ name: 'release', required: true, summary: 'its id or the first digits' }],
    options: [],
    examples: [{ run: 'nixfleet release show 7f3a19c2', does: 'what would run where' }],
    exits: [EXIT_NO_INPUT],
    load: () => import('../commands/release-show.ts'),
  },
  {
    name: 'release diff',
    section: 'CHANGE',
    summary: 'what changes for each host between two releases',
    args: [
      { name: 'from', required: true, summary: 'a release' },
      { name: 'to', required: true, summary: 'another release' },
    ],
    options: [],
    examples: [
      {
        run: 'nixfleet release diff 7f3a 9c41',
        does: 'store paths that come and go; exit 2 if any',
      },
    ],
    exits: [EXIT_CHANGES, EXIT_NO_INPUT],
    load: () => import('../commands/release-diff.ts'),
  },
  {
    name: 'deploy',
    aliases: ['rollout start'],
    section: 'CHANGE',
    summary: 'roll a release out, wave by wave',
    about: [
      'Signs a plan and waits until the voters admit or reject it; with --wait until it is over.',
      'Strategies: canary (one host, then the rest), staged (1,25%,100%), all-at-once.',
      'More failures than --max-unhealthy halt the rollout; --on-failure rollback also sends its hosts back.',
    ],
    args: [
      {
        name: 'release',
        required: false,
        summary: 'its id or the first digits (default: the newest)',
      },
    ],
    options: [
      ON,
      HOST,
      { name: 'strategy', value: 'S', summary: 'canary, staged or all-at-once (default canary)' },
      { name: 'waves', value: 'SIZES', summary: 'sizes of the waves, as 1,25%,100%' },
      { name: 'waves-by', value: 'SELS', summary: 'a selector a wave, as role=canary;role=web;*' },
      {
        name: 'soak',
        value: 'DUR',
        summary: "how long each host must stay well under its peers' eyes",
      },
      {
        name: 'confirm-within',
        value: 'DUR',
        summary: 'how long a host waits for its peers before it goes back',
      },
      {
        name: 'start-within',
        value: 'DUR',
        summary: 'how long a started host may stay silent before it is skipped',
      },
      { name: 'max-unhealthy', value: 'N|P%', summary: 'hosts that may fail (default 0)' },
      { name: 'max-in-flight', value: 'N', summary: 'hosts that may change at once' },
      { name: 'on-failure', value: 'WHAT', summary: 'halt or rollback (default rollback)' },
      {
        name: 'holders',
        value: 'N',
        summary: 'others that hold the closures of a wave before it starts (default 2)',
      },
      {
        name: 'supersede',
        value: 'ROLLOUT',
        repeat: true,
        summary: 'replace this open or halted rollout knowingly',
      },
      { name: 'if-head', value: 'HASH', summary: 'only if the gate log still has this head' },
      REASON,
      {
        name: 'plan',
        summary: 'show the waves and sign nothing; exit 2 if there is something to change',
      },
      { name: 'wait', summary: 'stay until the rollout is over' },
      { name: 'detach', summary: 'leave as soon as a peer has the plan' },
    ],
    examples: [
      { run: 'nixfleet deploy --plan', does: 'what would happen' },
      { run: 'nixfleet deploy --on role=web --strategy canary --wait', does: 'and stay to watch' },
      {
        run: 'nixfleet deploy 7f3a --waves 1,50%,100% --soak 10m --max-unhealthy 1 --reason "CVE"',
        does: 'a careful one',
      },
    ],
    exits: [EXIT_CHANGES, ...WAITING, EXIT_TRY_AGAIN, EXIT_NOT_PERMITTED, EXIT_UNVERIFIED],
    load: () => import('../commands/deploy.ts'),
  },
  {
    name: 'rollout list',
    section: 'CHANGE',
    summary: 'every rollout, newest first',
    args: [],
    options: [],
    examples: [{ run: 'nixfleet rollout list --json', does: 'for scripts' }],
    exits: [],
    load: () => import('../commands/rollout-list.ts'),
  },
  {
    name: 'rollout status',
    section: 'CHANGE',
    summary: 'one rollout as a tree',
    args: [ROLLOUT],
    options: [],
    examples: [{ run: 'nixfleet rollout status 7f3a', does: 'once' }],
    exits: [EXIT_NO_INPUT],
    load: () => import('../commands/rollout-status.ts'),
  },
  {
    name: 'rollout watch',
    section: 'CHANGE',
    summary: 'one rollout as it happens; Ctrl-C leaves, the rollout goes on',
    args: [ROLLOUT],
    options: [],
    examples: [{ run: 'nixfleet rollout watch', does: 'the newest' }],
    exits: [...WAITING, EXIT_NO_INPUT],
    load: () => import('../commands/rollout-watch.ts'),
  },
  {
    name: 'rollout why',
    section: 'CHANGE',
    summary: 'why a host stands where it does',
    args: [{ name: 'host', required: true, summary: 'its name' }, ROLLOUT],
    options: [],
    examples: [{ run: 'nixfleet rollout why db-01', does: 'in sentences, the deciding one first' }],
    exits: [EXIT_NO_INPUT],
    load: () => import('../commands/rollout-why.ts'),
  },
  {
    name: 'rollout pause',
    section: 'CHANGE',
    summary: 'start no further host until it is resumed',
    args: [ROLLOUT],
    options: [REASON],
    examples: [{ run: 'nixfleet rollout pause --reason "lunch"', does: 'the newest rollout' }],
    exits: [EXIT_NO_INPUT, EXIT_NOT_PERMITTED],
    load: () => import('../commands/rollout-pause.ts'),
  },
  {
    name: 'rollout resume',
    section: 'CHANGE',
    summary: 'release every pause of a rollout',
    args: [ROLLOUT],
    options: [REASON],
    examples: [{ run: 'nixfleet rollout resume', does: 'the newest rollout' }],
    exits: [EXIT_NO_INPUT, EXIT_NOT_PERMITTED],
    load: () => import('../commands/rollout-resume.ts'),
  },
  {
    name: 'rollout halt',
    aliases: ['rollout cancel'],
    section: 'CHANGE',
    summary: 'stop a rollout for good; works without a quorum',
    about: ['A halted rollout never resumes: deploy again with --supersede.'],
    args: [ROLLOUT],
    options: [
      { name: 'revert', summary: 'also send back every host that it changed' },
      HOST,
      REASON,
    ],
    examples: [
      { run: 'nixfleet rollout halt --reason "wrong release"', does: 'start nobody any more' },
      { run: 'nixfleet rollout halt 7f3a --revert --yes', does: 'and go back' },
    ],
    exits: [EXIT_NO_INPUT, EXIT_NOT_PERMITTED],
    load: () => import('../commands/rollout-halt.ts'),
  },
  {
    name: 'rollback',
    section: 'CHANGE',
    summary: 'send hosts back to the generation before; works without a quorum',
    about: [
      'Halts the last rollout of the selected hosts and sends them back, also after it was closed.',
      'Prints how long it took until the last of them was back.',
    ],
    args: [],
    options: [
      ON,
      HOST,
      { name: 'all', summary: 'every host' },
      { name: 'detach', summary: 'do not wait until they are back' },
      REASON,
    ],
    examples: [
      { run: 'nixfleet rollback --all', does: 'the whole fleet' },
      {
        run: 'nixfleet rollback --host db-01 --reason "slow queries" --yes',
        does: 'one host, no question',
      },
    ],
    exits: [EXIT_FAILED, EXIT_NO_INPUT, EXIT_NOT_PERMITTED, EXIT_TIMEOUT, EXIT_INTERRUPTED],
    load: () => import('../commands/rollback.ts'),
  },
]
