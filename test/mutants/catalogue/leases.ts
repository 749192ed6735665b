/** What a lease proves, and what may take the ground from under it (SPEC §7.5, §9.3). */
import type { Mutant } from '../mutant.ts'

const WITH_SKIP = 'lease n3-f0-q2, halt and skip'

export const LEASES: readonly Mutant[] = [
  {
    name: 'grant-against-own-vote',
    rule: 'SPEC §9.3: no lease against a block that the voter itself voted for',
    edits: [
      {
        file: 'node/lease-desk.ts',
        find: 'votedBlocks(node.gate.machine).some((block) => forbids(node, block, { rollout, host }))',
        replace:
          'votedBlocks(node.gate.machine).some((block) => block.body.view < 0 && forbids(node, block, { rollout, host }))',
      },
    ],
    catch: { explore: ['lease n3-f0-q2, later plan'] },
  },
  {
    name: 'skip-after-grant',
    rule: 'SPEC §7.4: no voter votes to skip a round in which it granted a lease',
    edits: [
      {
        file: 'rollout/gate-rules.ts',
        find: 'if (scene.local.granted(rollout, host, round))',
        replace: "if (scene.local.granted(rollout, host, round) && host === '')",
      },
      {
        file: 'rollout/lease.ts',
        find: 'if (hasGranted(next, key) || isFullFor(next, key))',
        replace: 'if (isFullFor(next, key))',
      },
    ],
    catch: { explore: [WITH_SKIP] },
  },
  {
    name: 'grant-after-skip',
    rule: 'SPEC §9.3: no lease for a round that the voter voted to skip',
    edits: [
      {
        file: 'node/lease-desk.ts',
        find: 'grants.skipped(rollout, host, round) ||',
        replace: '',
      },
      {
        file: 'node/lease-desk.ts',
        find: "if (command.kind === 'skip') {",
        replace: "if (command.kind === 'skip' && command.round < 0) {",
      },
    ],
    catch: { explore: [WITH_SKIP] },
  },
  {
    name: 'lease-under-a-halt',
    rule: 'SPEC §9.3: no lease from a voter that knows a halt',
    edits: [
      {
        file: 'rollout/lease.ts',
        find: 'if (question.halted)',
        replace: 'if (question.halted && question.breached)',
      },
    ],
    catch: { explore: ['lease n3-f0-q2, halt'] },
  },
  {
    name: 'lease-for-the-superseded',
    rule: 'SPEC §9.3: no lease for a rollout that is not the last admitted for the host',
    edits: [
      {
        file: 'rollout/lease.ts',
        find: 'if (!question.last)',
        replace: 'if (!question.last && question.forbidden)',
      },
      {
        file: 'node/lease-desk.ts',
        find: "(status !== 'open' && status !== 'complete')",
        replace: "status === 'halted'",
      },
    ],
    catch: { explore: ['lease n3-f0-q2, later plan'] },
  },
  {
    name: 'start-under-a-halt',
    rule: 'SPEC §7.4: no start while a halt is known',
    edits: [
      {
        file: 'rollout/start-rules.ts',
        find: 'if (halted !== undefined)',
        replace: "if (halted === '')",
      },
    ],
    catch: { explore: ['lease n3-f0-q2, halt and start'] },
  },
]
