/** Who counts as failed, done or in the way, and by whose word (SPEC §7.4, §11). */
import type { Mutant } from '../mutant.ts'

export const STANDINGS: readonly Mutant[] = [
  {
    name: 'stuck-keeps-its-permit',
    rule: 'SPEC §7.4 start: no host that is STUCK keeps its permit',
    edits: [
      {
        file: 'rollout/standing.ts',
        find: 'open: start !== undefined && end === undefined &&',
        replace: "open: start !== undefined && (end === undefined || end === 'stuck') &&",
      },
    ],
    catch: { scenarios: ['back-is-gone'] },
  },
  {
    name: 'evidence-after-close',
    rule: 'SPEC §7.4 close: evidence that comes after it breaches nothing',
    edits: [
      {
        file: 'rollout/derive-orders.ts',
        find: "stage.rollout.status === 'open'\n    ? stage.standing.breached",
        replace: "stage.rollout.status !== 'superseded'\n    ? stage.standing.breached",
      },
    ],
    catch: { scenarios: ['late-failure'] },
  },
  {
    name: 'fail-after-ok-dropped',
    rule: 'SPEC §6.6: a FAIL stands whatever the same observer said of the host besides',
    edits: [
      {
        file: 'rollout/certificates.ts',
        find: "windowsOf(round, key).some((window) => window.subject.verdict === 'fail')",
        replace:
          "windowsOf(round, key).length > 0 && windowsOf(round, key).every((window) => window.subject.verdict === 'fail')",
      },
    ],
    catch: { scenarios: ['well-then-silent'] },
  },
  {
    name: 'offline-is-failed',
    rule: 'SPEC §11: no host fails that never began and still may: it is skipped',
    edits: [
      {
        file: 'rollout/observer-judge.ts',
        find: '(duty.activating || now - seenAt >= duty.beginByMs)',
        replace: '(duty.activating || now >= seenAt)',
      },
    ],
    catch: { scenarios: ['canary-away'] },
  },
  {
    name: 'cut-off-by-its-subjects',
    rule: 'SPEC §11: no observer abstains because its subjects alone are silent',
    edits: [
      {
        file: 'rollout/observer-judge.ts',
        find: '(name) => !subjects.includes(name)).slice(0, CONTROL_HOSTS_MAX)',
        replace: '(name) => !subjects.includes(name)).slice(0, 0)',
      },
      {
        file: 'rollout/observer-judge.ts',
        find: 'const room = Math.min(free.length, CONTROL_HOSTS_MAX - free.length)',
        replace: 'const room = CONTROL_HOSTS_MAX',
      },
    ],
    catch: { scenarios: ['silent-canary'] },
  },
]
