/** The pages of the errors about tickets and requests: part of `catalogue.ts`. */
import type { CatalogueEntry } from './catalogue.ts'
import {
  EXIT_BAD_INPUT,
  EXIT_NOT_PERMITTED,
  EXIT_TIMEOUT,
  EXIT_UNVERIFIED,
  EXIT_USAGE,
} from './exit-codes.ts'

export const ENROL_PAGES: Readonly<Record<string, CatalogueEntry>> = {
  'NF-1301': {
    exit: EXIT_BAD_INPUT,
    title: 'no whole ticket',
    why: 'A ticket is one word that begins with nf1 and ends with a check; a character is missing or wrong.',
    fix: 'Copy it again, whole; it was printed once, by nixfleet invite.',
  },
  'NF-1302': {
    exit: EXIT_NOT_PERMITTED,
    title: 'the ticket has expired',
    why: 'Peers take no request after the end that the invite gave.',
    fix: 'Have an admin invite again: nixfleet invite --ttl.',
  },
  'NF-1303': {
    exit: EXIT_NOT_PERMITTED,
    title: 'the ticket is used up',
    why: 'Other keys took every use of it. If it was meant for you alone, somebody else has it too.',
    fix: 'Tell an admin: nixfleet requests list shows who asked. A denied request frees its use.',
  },
  'NF-1304': {
    exit: EXIT_NOT_PERMITTED,
    title: 'the ticket was revoked',
    why: 'An admin took the invite back.',
    fix: 'Ask for another one.',
  },
  'NF-1305': {
    exit: EXIT_UNVERIFIED,
    title: 'of another fleet',
    why: 'The ticket, the request or the folder belongs to another fleet than the rest.',
    fix: 'Use a fresh --data folder, or the ticket of this fleet.',
  },
  'NF-1306': {
    exit: EXIT_NOT_PERMITTED,
    title: 'no peer knows the ticket',
    why: 'The peers hang up on it: its invite is not theirs, is not known to them yet, or ended more than a month ago.',
    fix: 'Compare the fleet; try again in a moment, or ask for another ticket.',
  },
  'NF-1307': {
    exit: EXIT_USAGE,
    title: 'the request cannot be taken',
    why: 'The name or a key is taken, or the invite was meant for another name or another role.',
    fix: 'See the reason; another name: --name. A host with new keys takes a new name.',
  },
  'NF-1308': {
    exit: EXIT_NOT_PERMITTED,
    title: 'the request was denied',
    why: 'An admin did not want it, or revoked the invite while it waited.',
    fix: 'Ask the admin who invited.',
  },
  'NF-1309': {
    exit: EXIT_TIMEOUT,
    title: 'nobody has decided yet',
    why: 'The request waits at the peers for an admin: nixfleet approve.',
    fix: 'Run the same command again later: it goes on with the same key and the same request.',
  },
  'NF-1310': {
    exit: EXIT_UNVERIFIED,
    title: 'the request or invite does not verify',
    why: 'Its signatures are not those of the new key and the ticket, or whoever invited may not.',
    fix: 'Have it made again by: nixfleet enroll.',
  },
}
