/** R1–R5, quorums and the voter's memory (SPEC §7.1, §7.6). */
import type { Mutant } from '../mutant.ts'

const ONE_BLOCK = 'n4-f1-q3 2 views, 1 block'
const STOP_SIGN = 'reconfig n3-f0-q2, stop sign'
const CRASH = 'n4-f1-q3 1 view, crash'

export const AGREEMENT: readonly Mutant[] = [
  {
    name: 'r1-unskipped-view',
    rule: 'SPEC §7.1 R1: no block stands on a parent while a view in between has no skip certificate',
    edits: [
      {
        file: 'rollout/gate-chain.ts',
        find: 'notarized && allSkipped(machine, between)',
        replace: 'notarized && between.below < between.above',
      },
    ],
    catch: { explore: [ONE_BLOCK] },
  },
  {
    name: 'r2-votes-twice',
    rule: 'SPEC §7.1 R2: no voter notarizes two blocks in one view',
    edits: [
      {
        file: 'rollout/gate-votes.ts',
        find: 'return view === machine.view && own.notarize === undefined',
        replace: 'return view === machine.view',
      },
      {
        file: 'rollout/gate-votes.ts',
        find: "own.notarize ?? (kind === 'notarize' ? block : undefined)",
        replace: "kind === 'notarize' ? block : own.notarize",
      },
      {
        file: 'rollout/gate-chain.ts',
        find: 'for (const { block } of machine.blocks.values()) if',
        replace: 'for (const { block } of [...machine.blocks.values()].reverse()) if',
      },
      {
        file: 'rollout/gate-step.ts',
        find: "turn: castVote(turn, 'notarize', { view, block: block.id })",
        replace:
          "turn: machine.own.get(view)?.notarize === block.id ? turn : castVote(turn, 'notarize', { view, block: block.id })",
      },
    ],
    catch: { from: 1, seeds: 6, with: ['--only', 'equivocating-leader', '--hosts', '4'] },
  },
  {
    name: 'r3-skips-a-view-it-left',
    rule: 'SPEC §7.1 R3: no voter votes to skip a view after it left it',
    edits: [
      {
        file: 'rollout/gate-step.ts',
        find: 'timer?.view !== view || view !== machine.view || machine.frozen',
        replace: 'timer === undefined || machine.frozen',
      },
      {
        file: 'rollout/gate-votes.ts',
        find: 'view === machine.view && !own.skip &&',
        replace: '!own.skip &&',
      },
    ],
    catch: { explore: ['n4-f1-q3 1 view, every message', ONE_BLOCK] },
  },
  {
    name: 'r3-skips-after-final',
    rule: 'SPEC §7.1 R3: no voter votes to skip a view in which it voted final',
    edits: [
      {
        file: 'rollout/gate-step.ts',
        find: 'timer?.view !== view || view !== machine.view || machine.frozen',
        replace: 'timer === undefined || machine.frozen',
      },
      {
        file: 'rollout/gate-votes.ts',
        find: 'view === machine.view && !own.skip && own.final === undefined',
        replace: '(view === machine.view || own.final !== undefined) && !own.skip',
      },
    ],
    catch: { explore: ['n4-f1-q3 1 view, every message', ONE_BLOCK] },
  },
  {
    name: 'r4-final-after-skip',
    rule: 'SPEC §7.1 R4: no voter votes final in a view that it voted to skip',
    edits: [
      {
        file: 'rollout/gate-votes.ts',
        find: 'own.final === undefined && !own.skip',
        replace: 'own.final === undefined',
      },
    ],
    catch: { explore: ['n4-f1-q3 1 view, every message'] },
  },
  {
    name: 'r5-commits-the-notarized',
    rule: 'SPEC §7.1 R5: nothing but a final certificate commits a block',
    edits: [
      {
        file: 'rollout/gate-chain.ts',
        find: "certificateAt(next.machine, 'final', view)",
        replace: "certificateAt(next.machine, 'notarize', view)",
      },
    ],
    catch: { explore: [ONE_BLOCK] },
  },
  {
    name: 'quorum-one-short',
    rule: 'SPEC §7.1: no certificate has fewer votes than the quorum (2q − n > f)',
    edits: [
      {
        file: 'rollout/gate-votes.ts',
        find: 'votes.length < machine.config.quorum',
        replace: 'votes.length < machine.config.quorum - 1',
      },
      {
        file: 'rollout/gate-votes.ts',
        find: 'new Set(voters).size >= config.quorum',
        replace: 'new Set(voters).size >= config.quorum - 1',
      },
    ],
    catch: { explore: [ONE_BLOCK] },
  },
  {
    name: 'voter-counted-twice',
    rule: 'SPEC §7.1: no voter counts twice in one certificate',
    edits: [
      {
        file: 'rollout/gate-votes.ts',
        find: 'new Set(voters).size >= config.quorum',
        replace: 'voters.length >= config.quorum',
      },
    ],
    catch: { explore: ['n4-f1-q3 1 view, every message', ONE_BLOCK] },
  },
  {
    name: 'liar-not-proven',
    rule: 'SPEC §6.7 E2, E3: no two votes that exclude each other go without a proof',
    edits: [
      {
        file: 'rollout/gate-votes.ts',
        find: 'if (excluded === undefined) return turn',
        replace: 'if (excluded !== undefined || earlier.length >= 0) return turn',
      },
    ],
    catch: { explore: ['control n4-f2-q3'] },
  },
  {
    name: 'proven-liar-still-decides',
    rule: 'SPEC §7.8: where no liar is borne, nothing is decided with the vote of one that is proven',
    edits: [
      {
        file: 'rollout/gate-liars.ts',
        find: 'config.voters.includes(voter) && !accused.has(voter))',
        replace: 'config.voters.includes(voter) && accused.size >= 0)',
      },
    ],
    catch: { explore: ['proven liar n3-f0-q2 1 view'] },
  },
  {
    name: 'own-vote-forgotten',
    rule: 'SPEC §7.1: no voter forgets after a crash what its journal says that it voted',
    edits: [
      {
        file: 'rollout/gate-votes.ts',
        find: 'const own = vote.voter === machine.config.self',
        replace: "const own = vote.voter === machine.config.self && vote.kind === 'final'",
      },
    ],
    catch: { explore: [CRASH] },
  },
  {
    name: 'votes-below-its-floor',
    rule: 'SPEC §7.6: no voter speaks at or below what others showed that it said before',
    edits: [
      {
        file: 'rollout/gate-votes.ts',
        find: 'view <= machine.floor[kind] || view <= machine.committed.view',
        replace: 'view <= machine.committed.view',
      },
    ],
    catch: { explore: ['lost disk n3-f0-q2, votes still on the way'] },
  },
  {
    name: 'reconfig-is-no-stop-sign',
    rule: 'SPEC §7.7: nothing but empty blocks stands on a reconfig that is not committed',
    edits: [
      {
        file: 'rollout/gate-judge.ts',
        find: 'if (parent.next !== undefined && countsAsSlot(body)) {',
        replace: 'if (parent.next !== undefined && body.view < 0) {',
      },
      {
        file: 'rollout/gate-judge.ts',
        find: 'if (parent.next !== undefined && countsAsSlot(block.body)) return undefined',
        replace: '',
      },
    ],
    catch: { explore: [STOP_SIGN] },
  },
  {
    name: 'logged-after-the-reconfig',
    rule: 'SPEC §7.7: no block above a reconfig enters the log of its epoch',
    edits: [
      {
        file: 'rollout/gate-chain.ts',
        find: '    if (ends) break\n',
        replace: '',
      },
    ],
    catch: { explore: [STOP_SIGN] },
  },
  {
    name: 'old-epoch-counted',
    rule: 'SPEC §7.7: no vote of the epoch before counts in the next one',
    edits: [
      {
        file: 'rollout/gate-votes.ts',
        find: 'place.group === machine.config.group && place.epoch === machine.config.epoch',
        replace: 'place.group === machine.config.group && place.epoch <= machine.config.epoch',
      },
    ],
    catch: { explore: [STOP_SIGN] },
  },
  {
    name: 'own-feed-not-asked-for',
    rule: 'SPEC §7.6: no host signs facts after a start before its peers said what it signed',
    edits: [
      {
        file: 'node/own-feed.ts',
        find: 'return maySpeak(this.#state)',
        replace: "return maySpeak(this.#state) || this.session !== ''",
      },
    ],
    catch: { scenarios: ['disk-put-back'] },
  },
]
