/** What the voters may decide about a rollout, and on what evidence (SPEC §7.4, §10, §11). */
import type { Mutant } from '../mutant.ts'

export const ROLLOUTS: readonly Mutant[] = [
  {
    name: 'quorum-formula-too-small',
    rule: 'SPEC §7.1: no group is given a quorum with 2q − n ≤ f',
    edits: [
      {
        file: 'protocol/quorum.ts',
        find: 'return Math.floor((n + liarsTolerated(n, model)) / 2) + 1',
        replace: 'return Math.floor((n + liarsTolerated(n, model)) / 2)',
      },
      {
        file: 'protocol/quorum.ts',
        find: 'return 2 * input.q - input.n > f &&',
        replace: 'return 2 * input.q - input.n > f - 2 &&',
      },
    ],
    catch: {
      scenarios: ['calm-byzantine'],
    },
  },
  {
    name: 'judged-over-the-basis-alone',
    rule: 'SPEC §7.1 R2: no vote for a block that is wrong over everything held',
    edits: [
      {
        file: 'rollout/gate-judge.ts',
        find: 'for (const view of [scene.view, all])',
        replace: 'for (const view of [scene.view])',
      },
    ],
    catch: {
      explore: ['lease n3-f0-q2, halt and start'],
    },
  },
  {
    name: 'compare-and-swap-ignored',
    rule: 'SPEC §7.4 admit: no plan takes hosts that belong to another open rollout or changed hands since',
    edits: [
      {
        file: 'rollout/admit-rules.ts',
        find: 'if (known.claimedBy !== undefined) {',
        replace: "if (known.claimedBy === '') {",
      },
      {
        file: 'rollout/admit-rules.ts',
        find: 'if (base === part.base)',
        replace: "if (base !== '')",
      },
    ],
    catch: {
      scenarios: ['second-plan'],
    },
  },
  {
    name: 'starts-over-a-breach',
    rule: 'SPEC §7.4 start: no start once more hosts failed than the budget allows',
    edits: [
      {
        file: 'rollout/start-rules.ts',
        find: 'return counts ? ',
        replace: 'return counts && budget < 0 ? ',
      },
      {
        file: 'rollout/start-rules.ts',
        find: 'if (command.round === 0 && spent > standing.budget)',
        replace: 'if (command.round < 0 && spent > standing.budget)',
      },
    ],
    catch: {
      scenarios: ['bad-two-at-a-time'],
    },
  },
  {
    name: 'starts-what-nobody-holds',
    rule: 'SPEC §7.4 start: no wave starts before enough others hold its closures',
    edits: [
      {
        file: 'rollout/holders.ts',
        find: 'if (found >= needed) continue',
        replace: 'if (found <= needed) continue',
      },
    ],
    catch: {
      scenarios: ['held-by-two'],
    },
  },
  {
    name: 'previous-closure-not-asked-for',
    rule: 'SPEC §7.4 start: no wave starts before enough others hold what its hosts run now',
    edits: [
      {
        file: 'rollout/holders.ts',
        find: 'if (closure === undefined) continue\n      const found',
        replace: "if (closure === undefined || which === 'previous') continue\n      const found",
      },
      {
        file: 'rollout/holders.ts',
        find: 'for (const closure of [next, previous])',
        replace: 'for (const closure of [next])',
      },
    ],
    catch: {
      scenarios: ['held-by-two'],
    },
  },
  {
    name: 'waves-out-of-order',
    rule: 'SPEC §7.4 start: no wave starts before every host of the earlier ones is done',
    edits: [
      {
        file: 'rollout/start-rules.ts',
        find: "if (rollout.status === 'open' && before !== undefined)",
        replace: "if (rollout.status === 'halted' && before !== undefined)",
      },
      {
        file: 'rollout/gate-draft.ts',
        find: 'const wave = Math.min(',
        replace: 'const wave = Math.max(',
      },
    ],
    catch: {
      scenarios: ['staged'],
    },
  },
  {
    name: 'skipped-canary-promotes',
    rule: 'SPEC §7.4 start: a canary that was skipped or lost promotes nobody',
    edits: [
      {
        file: 'rollout/start-rules.ts',
        find: 'if (committed < canaries &&',
        replace: 'if (committed < 0 &&',
      },
    ],
    catch: {
      scenarios: ['canary-away'],
    },
  },
  {
    name: 'all-voters-at-once',
    rule: 'SPEC §7.4 start: never more than max(1, n − q) voters are started at once',
    edits: [
      {
        file: 'rollout/permits.ts',
        find: 'return count > limit ?',
        replace: 'return count > limit + 9 ?',
      },
    ],
    catch: {
      scenarios: ['all-at-once'],
    },
  },
  {
    name: 'in-flight-limit-ignored',
    rule: 'SPEC §7.4 start: never more hosts are started than maxInFlight',
    edits: [
      {
        file: 'rollout/permits.ts',
        find: 'if (count > limit) return wait',
        replace: 'if (count > limit + 99) return wait',
      },
    ],
    catch: {
      scenarios: ['one-in-flight'],
    },
  },
  {
    name: 'own-permits-alone',
    rule: 'SPEC §7.4 start: permits are counted in the log, not only among the hosts of one command',
    edits: [
      {
        file: 'rollout/permits.ts',
        find: 'new Set([...permits.open.keys(), ...permits.lingering, ...hosts])',
        replace: 'new Set(hosts)',
      },
      {
        file: 'rollout/start-rules.ts',
        find: 'if (committed < canaries &&',
        replace: 'if (committed < 0 &&',
      },
    ],
    catch: {
      scenarios: ['one-in-flight'],
    },
  },
  {
    name: 'hold-only-its-author-lifts',
    rule: 'SPEC §6.3: no hold stays because its author is gone: any operator in scope lifts it',
    edits: [
      {
        file: 'rollout/steering.ts',
        find: "if (body.kind === 'off')",
        replace: "if (body.kind === 'off' && record.holds.size < 2)",
      },
    ],
    catch: {
      scenarios: ['held'],
    },
  },
  {
    name: 'order-dependent-view',
    rule: 'SPEC §10: the order in which facts arrive changes nothing that is derived',
    edits: [
      {
        file: 'rollout/fold.ts',
        find: 'if (head === undefined || comesAfter(fact, head))',
        replace: "if (head === undefined || head.id !== '')",
      },
    ],
    catch: {
      scenarios: ['calm'],
    },
  },
  {
    name: 'observers-without-the-block',
    rule: "SPEC §11: nobody can know a host's observers before its plan is admitted",
    edits: [
      {
        file: 'rollout/observers.ts',
        find: 'concatBytes(fromHex(input.admitBlock), utf8(input.host)',
        replace: 'concatBytes(fromHex(input.admitBlock).fill(0), utf8(input.host)',
      },
    ],
    catch: {
      scenarios: ['seven'],
    },
  },
  {
    name: 'redeploys-over-a-halt',
    rule: 'SPEC §7.4 admit: nobody redeploys over a halted rollout without naming it',
    edits: [
      {
        file: 'rollout/admit-rules.ts',
        find: 'return breached || haltCovers',
        replace: "return breached && host === '' && haltCovers",
      },
    ],
    catch: { scenarios: ['halted-and-planned-anew'] },
  },
  {
    name: 'hold-ignored',
    rule: 'SPEC §7.4 start: no start of a rollout that an operator holds',
    edits: [
      {
        file: 'rollout/start-rules.ts',
        find: 'if (isHeld(rolloutRecord(scene.view, command.rollout)))',
        replace:
          'if (isHeld(rolloutRecord(scene.view, command.rollout)) && stage.standing.budget < 0)',
      },
    ],
    catch: { scenarios: ['held'] },
  },
  {
    name: 'accuses-while-updating',
    rule: 'SPEC §11: no observer accuses while it is itself on its way forward or back',
    edits: [
      {
        file: 'rollout/observer-accuse.ts',
        find: "if (draft.updating) return 'updating'",
        replace: "if (draft.updating && why === '') return 'updating'",
      },
    ],
    catch: { scenarios: ['bad-outside'] },
  },
  {
    name: 'started-twice-at-once',
    rule: 'SPEC §7.4 start: no host has two starts that have not ended, over all rollouts',
    edits: [
      {
        file: 'rollout/start-rules.ts',
        find: 'return elsewhere === undefined ?',
        replace: "return elsewhere !== '' ?",
      },
    ],
    catch: { scenarios: ['taken-over'] },
  },
  {
    name: 'unconfirmed-latches',
    rule: 'SPEC §7.4: a host that went back unconfirmed is no failure and breaches nothing',
    edits: [
      {
        file: 'rollout/standing.ts',
        find: 'breached: failures > budget',
        replace: 'breached: failures + all.filter((one) => one.inconclusive).length > budget',
      },
    ],
    catch: { scenarios: ['all-cut-off'] },
  },
  {
    name: 'accuses-at-first-sight',
    rule: 'SPEC §11: no observer accuses before failRounds bad rounds in a row',
    edits: [
      {
        file: 'rollout/observer-machine.ts',
        find: 'subject.streak >= settings.failRounds',
        replace: 'subject.streak >= Math.min(1, settings.failRounds)',
      },
    ],
    catch: { scenarios: ['bad-while-watched'] },
  },
  {
    name: 'attests-what-it-did-not-see',
    rule: 'SPEC §11: no observer attests OK for a window without a good round',
    edits: [
      {
        file: 'rollout/observer-attest.ts',
        find: 'return ok > 0 && ko === 0 ?',
        replace: 'return ok >= 0 && ko >= 0 ?',
      },
    ],
    catch: { scenarios: ['canary-away'] },
  },
]
