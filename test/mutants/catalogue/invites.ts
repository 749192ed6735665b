/** Who may wait to be let in, and by which invite (SPEC §16.3, §16.4). */
import type { Mutant } from '../mutant.ts'

export const INVITES: readonly Mutant[] = [
  {
    name: 'used-up-invite-lets-in',
    rule: 'SPEC §16.3: no peer takes a request by an invite of which every use is taken',
    edits: [
      {
        file: 'rollout/enrol-door.ts',
        find: 'if (spent < fact.body.uses) return undefined',
        replace: 'if (spent <= fact.body.uses) return undefined',
      },
    ],
    catch: { scenarios: ['invite-used-up'] },
  },
  {
    name: 'ended-invite-lets-in',
    rule: 'SPEC §16.3: no peer takes a request by an invite that has ended by its own clock',
    edits: [
      {
        file: 'rollout/enrol-door.ts',
        find: 'if (wallMs > notAfter) return',
        replace: 'if (wallMs > notAfter && notAfter < 0) return',
      },
    ],
    catch: { scenarios: ['invite-ended'] },
  },
  {
    name: 'revoked-invite-lets-in',
    rule: 'SPEC §16.3: no peer takes a request by an invite that is revoked',
    edits: [
      {
        file: 'rollout/enrol-door.ts',
        find: 'if (revoked) return refuse',
        replace: "if (revoked && role !== 'host') return refuse",
      },
    ],
    catch: { scenarios: ['invite-revoked'] },
  },
  {
    name: 'waits-by-a-revoked-invite',
    rule: 'SPEC §16.4: nobody who is not in yet waits on by an invite that is revoked',
    edits: [
      {
        file: 'rollout/enrolment.ts',
        find: 'if (revoked) return {',
        replace: 'if (revoked && at < 0) return {',
      },
    ],
    catch: { scenarios: ['invite-revoked'] },
  },
  {
    name: 'surplus-waits',
    rule: 'SPEC §16.4: of requests that peers took at the same time no more wait than there are uses',
    edits: [
      {
        file: 'rollout/enrolment.ts',
        find: 'if (admitted.size + waiting.size >= fact.body.uses)',
        replace: 'if (admitted.size >= fact.body.uses)',
      },
    ],
    catch: { scenarios: ['invite-behind-a-cut'] },
  },
]
