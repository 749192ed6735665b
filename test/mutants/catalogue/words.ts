/** What is signed, and what must be on the disk before it is said (SPEC §5, §6.7, §7.1). */
import type { Mutant } from '../mutant.ts'

export const WORDS: readonly Mutant[] = [
  {
    name: 'said-before-it-is-kept',
    rule: 'SPEC §7.1: nothing that a voter says leaves before it is on its disk',
    edits: [
      {
        file: 'node/gate-service.ts',
        find: '    await this.#log.keep(message)\n    this.#publish(message)\n',
        replace: '    this.#publish(message)\n    await this.#log.keep(message)\n',
      },
    ],
    catch: { scenarios: ['calm'] },
  },
  {
    name: 'vote-without-fsync',
    rule: 'SPEC §7.1: no vote leaves while a crash may still take it from the disk',
    edits: [
      {
        file: 'node/gate-log.ts',
        find: 'await this.#store.write([{ key, value: bytes }], { sync: true })',
        replace:
          "await this.#store.write([{ key, value: bytes }], { sync: message.kind !== 'vote' })",
      },
    ],
    catch: { scenarios: ['calm'] },
  },
  {
    name: 'halt-without-fsync',
    rule: 'SPEC §6.3: no crash takes a halt from who held it',
    edits: [
      {
        file: 'node/ingest.ts',
        find: 'options.sync || taken.some(isForGood)',
        replace: "options.sync || (from === '' && taken.some(isForGood))",
      },
    ],
    catch: { scenarios: ['halt-then-crash'] },
  },
  {
    name: 'signed-for-another-type',
    rule: 'SPEC §5: no signature covers bytes that stand for another type of message',
    edits: [
      {
        file: 'protocol/signed.ts',
        find: 'utf8(`nixfleet/v1/',
        replace: 'utf8(`nixfleet/v1/any.',
      },
    ],
    catch: { scenarios: ['calm'] },
  },
  {
    name: 'one-feed-for-each-key',
    rule: 'SPEC §5.2: no two runs of one key share a feed: a feed is a key and a session',
    edits: [
      {
        file: 'protocol/feed.ts',
        find: 'session: Session): FeedKey {\n',
        replace: "given: Session): FeedKey {\n  const session = given.replace(/./g, '0')\n",
      },
    ],
    catch: { scenarios: ['calm'] },
  },
  {
    name: 'fork-freezes-the-basis',
    rule: 'SPEC §6.7: a fork stops no feed but its own',
    edits: [
      {
        file: 'rollout/gate-judge.ts',
        find: 'forks.has(feedKey(author, session)))',
        replace: "(forks.size > 0 && author !== '') || forks.has(feedKey(author, session)))",
      },
    ],
    catch: { scenarios: ['forked-feed'] },
  },
  {
    name: 'basis-that-omits',
    rule: 'SPEC §7.2: no leader leaves out a fact under its basis: all below the head that it names count',
    edits: [
      {
        file: 'rollout/gate-judge.ts',
        find: 'fresh.push(...facts.facts)',
        replace: 'fresh.push(...facts.facts.slice(-1))',
      },
    ],
    catch: { scenarios: ['calm'] },
  },
  {
    name: 'basis-without-its-parents',
    rule: 'SPEC §7.2: no block goes below the basis of its parent: what an earlier one named counts on',
    edits: [
      {
        file: 'rollout/gate-judge.ts',
        find: 'foldFacts(parent.evidence, fresh,',
        replace: 'foldFacts({ ...parent.evidence, rollouts: new Map() }, fresh,',
      },
    ],
    catch: { scenarios: ['calm', 'late-failure', 'bad-two-at-a-time'] },
  },
  {
    name: 'revoked-key-resumes',
    rule: 'SPEC §6.12: nobody resumes a rollout with a key that is revoked',
    edits: [
      {
        file: 'rollout/revocations.ts',
        find: 'if (known === undefined || known.size === 0) return undefined',
        replace: 'if (known === undefined || known.size >= 0) return undefined',
      },
    ],
    catch: { scenarios: ['held-and-key-stolen'] },
  },
  {
    name: 'role-judged-as-it-comes-in',
    rule: 'SPEC §10: a role is judged where a word has its effect, under the root there, not as it comes in',
    edits: [
      {
        file: 'rollout/fold.ts',
        find: '  const { rollout } = fact.body\n  const record = recordOf(draft, rollout)\n  if (fact.type',
        replace:
          "  const { rollout } = fact.body\n  const role = draft.trust.root.operators.find((one) => one.key === fact.author)?.role\n  if (fact.type === 'host.lost' && role === 'readonly') return\n  const record = recordOf(draft, rollout)\n  if (fact.type",
      },
      {
        file: 'rollout/authority.ts',
        find: 'kept(record.losses, deploys)',
        replace: 'record.losses',
      },
    ],
    catch: { scenarios: ['lost-by-the-demoted'] },
  },
]
