/** `doctor` on members that are not found: what was tried, what was seen, and what to do. */
import type { Doctor } from './api/schema.ts'
import type { DialFaultKind } from './network/dial-fault.ts'
import type { Absence, Absences } from './ports.ts'

type Check = Doctor['checks'][number]

const MEANINGS: Readonly<Record<DialFaultKind, { readonly found: string; readonly fix: string }>> =
  {
    refused: {
      found: 'its machine answers, and nobody listens there',
      fix: 'Start its daemon (systemctl status nixfleet), and compare `listen` in its configuration with this address.',
    },
    route: {
      found: 'there is no route to it from here',
      fix: 'Look at the cable, the address and the netmask of both hosts: ip route get <address>.',
    },
    silent: {
      found: 'nothing answers there',
      fix: 'It is off, or a firewall on the way drops the port: let it in there, or let that host dial out to this one.',
    },
    stranger: {
      found: 'somebody with another key answers there',
      fix: 'The address belongs to another host now, or that host was set up anew and has another seed.',
    },
    denied: {
      found: 'it hangs up on us',
      fix: 'It belongs to another fleet, or its trust folder does not name this host: compare rootHash and group.cbor on both.',
    },
    other: { found: 'it cannot be dialed', fix: 'The reason stands beside it; nixfleet peers.' },
  }

/** One check for each member that is not connected, and one for the LAN where that may be why. */
export function absenceChecks(
  absences: Absences,
  multicastRoute: boolean | undefined,
): readonly Check[] {
  const members = absences.members.map(memberCheck)
  return absences.members.length === 0 ? [] : [...members, ...lanChecks(absences, multicastRoute)]
}

function memberCheck({ peer, addresses, announced, fault }: Absence): Check {
  const name = `member ${peer}`
  if (addresses.length === 0) {
    return {
      name,
      state: 'fail',
      found: 'not heard on the LAN, and no address of it is known',
      fix: 'Is it on, and on this LAN? Else give its address in `peers` of this configuration.',
    }
  }
  const where = `${announced ? 'it announces itself, ' : ''}looked for at ${addresses.map(withoutPeer).join(', ')}`
  if (fault === undefined) {
    return {
      name,
      state: 'warn',
      found: `not connected; ${where}`,
      fix: 'Wait a moment, then look again.',
    }
  }
  const { found, fix } = MEANINGS[fault.kind]
  return { name, state: 'fail', found: `${found}; ${where} (${fault.detail})`, fix }
}

function lanChecks({ multicast, strangers }: Absences, route: boolean | undefined): Check[] {
  const name = 'LAN'
  if (!multicast) {
    return [{ name, state: 'skipped', found: 'mdns is off in the configuration of this host' }]
  }
  const checks: Check[] = []
  if (route === false) {
    checks.push({
      name,
      state: 'fail',
      found: 'there is no route for multicast: this host can neither ask nor answer on the LAN',
      fix: 'ip route add 224.0.0.0/4 dev <interface>, or a default route; and let UDP port 5353 in.',
    })
  }
  if (strangers > 0) {
    checks.push({
      name,
      state: 'warn',
      found: `${strangers} on this LAN announce themselves and are no members of this group`,
      fix: 'Another fleet lives here, or hosts were founded with other documents: compare root.hash.',
    })
  }
  return checks
}

function withoutPeer(address: string): string {
  return address.replace(/\/p2p\/[^/]+$/, '')
}
