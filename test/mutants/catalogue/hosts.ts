/** What a host may do on its way forward and back (SPEC §9.3, §12). */
import type { Mutant } from '../mutant.ts'

export const HOSTS: readonly Mutant[] = [
  {
    name: 'one-grant-is-enough',
    rule: 'SPEC §9.3: no host begins without grants of a quorum',
    edits: [
      {
        file: 'rollout/host-lease.ts',
        find: 'freshGrants(lease, draft.now, timing.leaseMs) >= quorum',
        replace: 'freshGrants(lease, draft.now, timing.leaseMs) >= Math.min(1, quorum)',
      },
    ],
    catch: {
      scenarios: ['calm'],
    },
  },
  {
    name: 'lease-without-ttl',
    rule: 'SPEC §9.3: no host begins on grants that are older than their ttl',
    edits: [
      {
        file: 'rollout/host-lease.ts',
        find: 'age >= 0 && age <= Math.min(grant.ttlMs, leaseMs)',
        replace: 'age >= 0 && grant.ttlMs <= leaseMs',
      },
    ],
    catch: {
      scenarios: ['slow-disk-later', 'slow-disk'],
    },
  },
  {
    name: 'lease-for-any-nonce',
    rule: 'SPEC §9.3: no grant counts but over the nonce that was asked for last',
    edits: [
      {
        file: 'rollout/host-lease.ts',
        find: '    answer.nonce === lease.nonce &&\n',
        replace: '',
      },
    ],
    catch: { scenarios: ['slow-voters'] },
  },
  {
    // The time of the simulated fleet passes while this process's own clock hardly moves: as in suspend.
    name: 'lease-age-without-suspend',
    rule: 'SPEC §9.3: no lease is younger by a clock that stops while the host sleeps',
    edits: [
      {
        file: 'rollout/host-lease.ts',
        find: 'const age = now - lease.askedAt\n',
        replace:
          'const awakeSince = awake.get(lease.nonce) ?? performance.now()\n  awake.set(lease.nonce, awakeSince)\n  const age = now < lease.askedAt ? -1 : performance.now() - awakeSince\n',
      },
      {
        file: 'rollout/host-lease.ts',
        find: '/** What a host in WAITING_LEASE shows. */',
        replace: 'const awake = new Map<string, number>()\n',
      },
    ],
    catch: { scenarios: ['slow-disk-later', 'slow-disk'] },
  },
  {
    name: 'soaked-by-its-own-word',
    rule: 'SPEC §12: no host is SOAKED without the certificates of its observers',
    edits: [
      {
        file: 'rollout/host-flight.ts',
        find: '  const soaked = alone\n',
        replace: "  const soaked = alone || running !== ''\n",
      },
    ],
    catch: {
      scenarios: ['calm'],
    },
  },
  {
    name: 'commits-before-its-soak',
    rule: 'SPEC §12: no host commits before its soak is covered',
    edits: [
      {
        file: 'rollout/host-flight.ts',
        find: 'if (!soaked) return',
        replace: 'if (!soaked && !running) return',
      },
    ],
    catch: {
      scenarios: ['calm'],
    },
  },
  {
    name: 'one-confirmation-is-enough',
    rule: 'SPEC §12: no host is CONFIRMED by fewer observers than decide',
    edits: [
      {
        file: 'rollout/host-flight.ts',
        find: 'const enough = by.length >= orders.confirmations',
        replace: 'const enough = by.length >= Math.min(1, orders.confirmations)',
      },
    ],
    catch: {
      scenarios: ['calm-byzantine'],
    },
  },
  {
    name: 'begins-without-deadman',
    rule: 'SPEC §12: no host enters ACTIVATING before its deadman is armed',
    edits: [
      {
        file: 'rollout/host-lease.ts',
        find: '    arm(draft, {\n      token: lease.nonce,',
        replace:
          "    if (lease.nonce !== '') return takeOff(draft, next.record, next.orders)\n    arm(draft, {\n      token: lease.nonce,",
      },
    ],
    catch: {
      scenarios: ['calm'],
    },
  },
  {
    name: 'disarmed-at-confirmed',
    rule: 'SPEC §12: the deadman is not disarmed before COMMITTED',
    edits: [
      {
        file: 'rollout/host-flight.ts',
        find: "    move(draft, flight.rollout, 'CONFIRMED')\n",
        replace: "    move(draft, flight.rollout, 'CONFIRMED')\n    disarm(draft)\n",
      },
    ],
    catch: {
      scenarios: ['calm'],
    },
  },
  {
    name: 'deadman-and-disarm-win',
    rule: 'SPEC §12: of a deadman that fires and a commit that ends it, never both win',
    edits: [
      {
        file: 'rollout/host-machine.ts',
        find: 'if (!event.won) {',
        replace: "if (!event.won && event.token === '') {",
      },
    ],
    catch: { scenarios: ['slow-at-commit'] },
  },
  {
    name: 'hanging-deadman-goes-on',
    rule: 'SPEC §12: no host goes back by itself before a deadman that hangs is ended',
    edits: [
      {
        file: 'node/system-lane.ts',
        find: 'if (effect.overtakes) await',
        replace: "if (effect.overtakes && generation === '') await",
      },
    ],
    catch: { scenarios: ['way-back-hangs'] },
  },
  {
    name: 'hanging-deadman-is-waited-for',
    rule: 'SPEC §12: no host waits for a deadman for longer than two activations',
    edits: [
      {
        file: 'rollout/host-deadman.ts',
        find: "if (deadman.step !== 'fired') return true",
        replace: 'if (FIRED_ACTIVATIONS > 0) return true',
      },
    ],
    catch: { scenarios: ['way-back-hangs'] },
  },
  {
    name: 'back-to-the-oldest',
    rule: 'SPEC §12: back is the newest entry of the own stack, never another generation',
    edits: [
      {
        file: 'rollout/host-back.ts',
        find: 'const top = stack.at(-1)',
        replace: 'const top = stack.at(0)',
      },
    ],
    catch: {
      scenarios: ['good-then-bad'],
    },
  },
  {
    name: 'committed-stays',
    rule: 'SPEC §12: a halt with revert spares no host because it has committed',
    edits: [
      {
        file: 'rollout/host-return.ts',
        find: "if (phase === 'COMMITTED' && revert !== undefined)",
        replace: "if (phase === 'COMMITTED' && revert === 'breach')",
      },
    ],
    catch: {
      scenarios: ['good-then-sent-back'],
    },
  },
  {
    name: 'back-to-what-the-plan-says',
    rule: 'SPEC §12: a revert never goes forward: its target is not taken from the plan',
    edits: [
      {
        file: 'rollout/host-return.ts',
        find: 'const { generation: target, barred } = topOf(state.stack)',
        replace:
          "const { barred } = topOf(state.stack)\n  const target = under[0]?.generation ?? ''",
      },
    ],
    catch: { scenarios: ['good-then-sent-back'] },
  },
]
