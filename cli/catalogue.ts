/**
 * Every error code with its offline page (`nixfleet help NF-2101`). Codes are part of the contract:
 * add, never rename.
 */
import { ENROL_PAGES } from './catalogue-enrol.ts'
import {
  EXIT_BAD_CONFIG,
  EXIT_BAD_INPUT,
  EXIT_BUG,
  EXIT_FAILED,
  EXIT_IO,
  EXIT_NO_INPUT,
  EXIT_NO_PEER,
  EXIT_NO_QUORUM,
  EXIT_NOT_PERMITTED,
  EXIT_STOPPED,
  EXIT_TIMEOUT,
  EXIT_TRY_AGAIN,
  EXIT_UNVERIFIED,
  EXIT_USAGE,
} from './exit-codes.ts'

/** One code's page. */
export interface CatalogueEntry {
  readonly exit: number
  readonly title: string
  readonly why: string
  readonly fix: string
}

const entry = (exit: number, title: string, why: string, fix: string): CatalogueEntry => ({
  exit,
  title,
  why,
  fix,
})

/** The codes, by family: 1 usage, keys and tickets, 2 rollouts, 3 bundles and caches, 4 the API's, 5 the node and bugs. */
export const CATALOGUE: Readonly<Record<string, CatalogueEntry>> = {
  'NF-1001': entry(
    EXIT_USAGE,
    'unknown command',
    'No command has this name.',
    'nixfleet help lists all commands.',
  ),
  'NF-1002': entry(
    EXIT_USAGE,
    'wrong usage',
    'An option or argument is missing, unknown, or not understood.',
    'nixfleet help <command> shows its options and examples.',
  ),
  'NF-1003': entry(
    EXIT_USAGE,
    'confirmation needed',
    'The command changes running hosts and there is no terminal to ask on.',
    'Look at what it would do, then give --yes.',
  ),
  'NF-1004': entry(
    EXIT_BAD_INPUT,
    'malformed input',
    'A file does not hold what its purpose needs.',
    'Make the file again with the command that the message names.',
  ),
  'NF-1005': entry(
    EXIT_NO_INPUT,
    'not there',
    'A file, a host, a release or a rollout does not exist.',
    'List what there is: nixfleet hosts list, release list, rollout list.',
  ),
  'NF-1006': entry(
    EXIT_USAGE,
    'would overwrite',
    'The command never overwrites keys or trust documents.',
    'Choose another folder, or move the old one away and keep it.',
  ),
  'NF-1007': entry(
    EXIT_BAD_CONFIG,
    'wrong configuration',
    'A configuration file or variable is not understood.',
    'Correct what the message names.',
  ),
  'NF-1008': entry(
    EXIT_IO,
    'reading or writing failed',
    'The operating system refused a file operation.',
    'See the reason in the message: space, rights, or a missing folder.',
  ),
  'NF-1009': entry(
    EXIT_TRY_AGAIN,
    'the folder is in use',
    'Another demo lives in it.',
    'End that demo with Ctrl-C in its terminal, or give another folder with --data.',
  ),
  'NF-1010': entry(
    EXIT_FAILED,
    'the demo took another course than it must',
    'What the demo waited for did not happen; the message says what.',
    'Read the daemons’ logs in the demo’s folder. A machine that is very busy may be the reason.',
  ),
  'NF-1101': entry(
    EXIT_NO_PEER,
    'no peer could be reached',
    'None of the addresses that were tried answered; the message lists each with its reason.',
    'Start a node (nixfleet node run), or name one with --peer or --socket.',
  ),
  'NF-1102': entry(
    EXIT_NO_PEER,
    'address not understood',
    'A remote peer is proven by its peer id, so its address must end in /p2p/<id>.',
    'Copy the whole address from: nixfleet peers --format wide.',
  ),
  'NF-1103': entry(
    EXIT_FAILED,
    'answer not understood',
    'The peer answered something that this version does not read.',
    'Compare nixfleet version on both sides.',
  ),
  'NF-1104': entry(
    EXIT_FAILED,
    'blob too large for this transport',
    'Over libp2p one message carries at most 124 KiB; releases are larger.',
    'Run the command on a host with a node, against its socket.',
  ),
  'NF-1201': entry(
    EXIT_NOT_PERMITTED,
    'key file exposed',
    'Others than its owner may read or write the key file, so it proves nothing.',
    'chmod 600 <file>; if others may have read it, have an admin replace the key.',
  ),
  'NF-1202': entry(
    EXIT_NO_INPUT,
    'no key',
    'The command signs, and no key file was found.',
    'Give --identity FILE (operators) or --release-key FILE (releases).',
  ),
  'NF-1203': entry(
    EXIT_NOT_PERMITTED,
    'not permitted',
    'The key has no role in this fleet that allows this.',
    'Ask an admin for a grant: roles stand in the root document.',
  ),
  'NF-1204': entry(
    EXIT_UNVERIFIED,
    'documents do not verify',
    'What the peer sent as root or group configuration does not match the root hash that the key file pins.',
    'Ask another peer. If all say the same, the fleet was founded again: get a new key file.',
  ),
  'NF-1205': entry(
    EXIT_NOT_PERMITTED,
    'not enough admin keys',
    'A change of the group or of the root counts only when enough admins have signed it.',
    'Give --admin-key FILE for each of them; a root may also be signed one after the other: nixfleet root sign.',
  ),
  'NF-1206': entry(
    EXIT_UNVERIFIED,
    'the root does not follow',
    'A root goes on from exactly one version before it, by number and hash.',
    'Make the change again on the root in force: nixfleet root show, then root propose.',
  ),
  ...ENROL_PAGES,
  'NF-2101': entry(
    EXIT_TRY_AGAIN,
    'plan rejected: the hosts belong to another rollout',
    'Two plans claimed a host; the voters admitted the other one.',
    'Wait for it, or replace it knowingly: nixfleet deploy --supersede <rollout>.',
  ),
  'NF-2102': entry(
    EXIT_STOPPED,
    'rollout halted',
    'An operator halted it, or more hosts failed than its budget allows. A halted rollout never resumes.',
    'nixfleet rollout why <rollout> <host>, then deploy again with --supersede.',
  ),
  'NF-2103': entry(
    EXIT_STOPPED,
    'rollout reverted',
    'Its hosts went back to the generation that they committed before.',
    'nixfleet rollout status <rollout> shows which failed and why.',
  ),
  'NF-2104': entry(
    EXIT_NO_QUORUM,
    'not enough voters to agree',
    'Going forward needs a quorum of voters; fewer can be reached. Running hosts, rollback and halts are not affected.',
    'nixfleet status lists the voters; bring one back, or go back without them: nixfleet rollback.',
  ),
  'NF-2105': entry(
    EXIT_STOPPED,
    'rollout superseded',
    'A later plan took its hosts over.',
    'nixfleet rollout list shows the newer one.',
  ),
  'NF-2106': entry(
    EXIT_NO_INPUT,
    'nothing to go back from',
    'No rollout was ever admitted for the selected hosts.',
    'nixfleet rollout list.',
  ),
  'NF-2107': entry(
    EXIT_TRY_AGAIN,
    'the fleet has moved on',
    'The gate log has a newer block than --if-head names.',
    'Look at nixfleet status again and give its new head.',
  ),
  'NF-2201': entry(
    EXIT_USAGE,
    'the group could not decide any more',
    'Too few of the new voters are there to agree on anything, so the change would stop the group.',
    'Change it in steps: add hosts, start them, then make them voters; nixfleet status shows who is there.',
  ),
  'NF-2202': entry(
    EXIT_TRY_AGAIN,
    'another change of the group was first',
    'Two changes of one epoch never both hold: the voters took the other one.',
    'Look at nixfleet status and hosts list, then make your change on top of it.',
  ),
  'NF-2203': entry(
    EXIT_TRY_AGAIN,
    'another change of the root was first',
    'Two roots of one version never both come into force: the voters took the other one.',
    'Look at nixfleet root show, then make your change on top of it.',
  ),
  'NF-2108': entry(
    EXIT_TRY_AGAIN,
    'the last rollout must be superseded by name',
    "A host's last rollout is open, or was halted: nobody replaces that unawares.",
    'Read what happened, then give --supersede <rollout>.',
  ),
  'NF-2109': entry(
    EXIT_TIMEOUT,
    'timeout',
    'The command waited as long as --timeout says. What it started goes on.',
    'nixfleet rollout watch <rollout>; or rollout halt.',
  ),
  'NF-2110': entry(
    EXIT_NO_INPUT,
    'no host selected',
    'The selector matches no host of the release.',
    'nixfleet hosts list --format wide shows every host with its tags.',
  ),
  'NF-2111': entry(
    EXIT_FAILED,
    'not every host is back',
    'A host could not go back, or was not heard from in time.',
    'nixfleet status; a stuck host needs hands on it.',
  ),
  'NF-2112': entry(
    EXIT_NOT_PERMITTED,
    'plan rejected: out of scope',
    'The key may not deploy to this group or channel, or has expired.',
    'Ask an admin for a grant.',
  ),
  'NF-2113': entry(
    EXIT_NOT_PERMITTED,
    "plan rejected: below the group's floors",
    "The group's configuration bounds canaries, soak, wave size and budget.",
    'nixfleet status --format wide; choose a gentler strategy.',
  ),
  'NF-2114': entry(
    EXIT_TRY_AGAIN,
    'plan rejected: stale base',
    'The hosts were touched by another rollout after the plan was made.',
    'Look, then run the command again: it makes a new plan.',
  ),
  'NF-2115': entry(
    EXIT_NOT_PERMITTED,
    'plan rejected: older than what the channel has seen',
    "A channel's version never decreases by a forward plan.",
    'Release the old content again under a new version, or go back: nixfleet rollback.',
  ),
  'NF-2116': entry(
    EXIT_FAILED,
    'plan rejected',
    'The voters do not admit this plan; the message has the reason.',
    'nixfleet rollout status <rollout>.',
  ),
  'NF-2117': entry(
    EXIT_BAD_INPUT,
    'strategy not understood',
    'The strategy or its waves cannot be turned into waves of named hosts.',
    'nixfleet help deploy shows the strategies.',
  ),
  'NF-2118': entry(
    EXIT_TRY_AGAIN,
    'release not complete here',
    "The peer does not hold the release's manifest yet.",
    'Try again in some seconds, or ask another peer.',
  ),
  'NF-1014': entry(
    EXIT_UNVERIFIED,
    'the log does not continue what is here',
    'The folder holds another fleet or another history than the peer serves.',
    'Pull into another folder and compare the two: nixfleet audit verify DIR OTHER --root-hash HASH',
  ),
  'NF-1015': entry(
    EXIT_UNVERIFIED,
    'the documents of the pull do not verify',
    'The root or a group configuration is not what the given root hash vouches for.',
    'Compare the hash with the one that your hosts pin; then: nixfleet audit verify',
  ),
  'NF-1016': entry(
    EXIT_UNVERIFIED,
    'no proof can be made',
    'The pull lacks the fact, the block that anchors it, or a checkpoint that covers the block.',
    'Pull again after the next anchor; nixfleet audit verify says what is wrong with the pull.',
  ),
  'NF-3001': entry(
    EXIT_UNVERIFIED,
    'the bundle is damaged',
    'The file is cut, was changed, or holds something that does not verify; the message says where. Nothing of it was used.',
    'Copy it again from where it was made, and compare: nixfleet bundle verify.',
  ),
  'NF-3002': entry(
    EXIT_UNVERIFIED,
    'the bundle is of another fleet',
    'Its root is not the one that is pinned here. Nothing of it was used.',
    'Take a bundle of this fleet; nixfleet bundle inspect shows whose one is.',
  ),
  'NF-3003': entry(
    EXIT_TRY_AGAIN,
    'the bundle goes on after what the peer holds',
    'It was made for somebody who holds more. What fitted was taken, the rest was not.',
    'Import the bundle before it first, or have one made for this peer: nixfleet bundle vector.',
  ),
  'NF-3004': entry(
    EXIT_FAILED,
    'not everything was taken',
    'The peer knows other authors, or other facts for the same places, than the bundle.',
    'nixfleet doctor on that peer; two facts for one place are proof against their author.',
  ),
  'NF-3005': entry(
    EXIT_FAILED,
    'the file could not be finished',
    'The peer broke off while it wrote; what had come was removed.',
    "Try again; the peer's log says why, as a NAR that nobody has any more.",
  ),
  'NF-3101': entry(
    EXIT_FAILED,
    'not every path is where it should be',
    'A cache cannot be asked, lacks a path, has other contents for it, or no signature that hosts take.',
    'nixfleet cache push --to URL where the release was built; sign with a key of system.cacheKeys.',
  ),
  'NF-3102': entry(
    EXIT_FAILED,
    'Nix could not copy',
    'nix copy ended with an error; the message has its words.',
    'Run it where the release was built, with the credentials of the cache; what was sent is kept.',
  ),
  'NF-4001': entry(
    EXIT_NO_INPUT,
    'not found',
    'The peer knows no such thing; facts travel within seconds.',
    'List what there is, or ask another peer.',
  ),
  'NF-4002': entry(
    EXIT_USAGE,
    'malformed request',
    'The peer did not understand a part of the request.',
    'Compare nixfleet version on both sides.',
  ),
  'NF-4003': entry(
    EXIT_BAD_INPUT,
    'too large',
    'A bound of the API was passed.',
    'See protocol/limits.ts and node/api/limits.ts for every bound and its reason.',
  ),
  'NF-4004': entry(
    EXIT_NOT_PERMITTED,
    'this host name or origin is not served',
    "A TCP request must ask for a name that the node's configuration lists, so that no web page reaches it by a trick of name resolution.",
    'Add the name to api.hosts.',
  ),
  'NF-4005': entry(
    EXIT_FAILED,
    'blob not wanted',
    'A node takes only blobs that a fact names and that it lacks.',
    'Send the fact first.',
  ),
  'NF-4006': entry(
    EXIT_UNVERIFIED,
    'blob does not match its hash',
    'The bytes that arrived are not those that the fact names.',
    'Send them again.',
  ),
  'NF-4007': entry(
    EXIT_UNVERIFIED,
    'fact refused',
    'The envelope is malformed, of another fleet, or its signature does not verify.',
    'Check that the key file belongs to this fleet.',
  ),
  'NF-4008': entry(
    EXIT_NOT_PERMITTED,
    'author unknown to this fleet',
    'No root that the node knows names this key.',
    'Have an admin add it.',
  ),
  'NF-4009': entry(
    EXIT_IO,
    'the store is full',
    "The node's disk has no room.",
    'Make room in its data folder, or use another peer.',
  ),
  'NF-4010': entry(
    EXIT_TRY_AGAIN,
    'the node is not ready',
    'It is starting, or cannot read its store.',
    'nixfleet doctor.',
  ),
  'NF-4011': entry(
    EXIT_TRY_AGAIN,
    'too many at once',
    'Uploads and event streams are bounded.',
    'Try again in a moment.',
  ),
  'NF-4012': entry(
    EXIT_USAGE,
    'no such operation',
    'This transport does not offer it.',
    "Use the node's socket.",
  ),
  'NF-4013': entry(
    EXIT_FAILED,
    'internal error',
    'The node met an error that it did not expect.',
    'Its log has the details; try another peer.',
  ),
  'NF-4014': entry(
    EXIT_USAGE,
    'ambiguous id',
    'Several ids begin with these digits.',
    'Give more digits.',
  ),
  'NF-4015': entry(
    EXIT_NOT_PERMITTED,
    'the key is revoked',
    'Nothing more that this key signs counts: an admin or its owner revoked it.',
    'Make a new key: nixfleet keys generate. An admin lets it in: nixfleet operators add.',
  ),
  'NF-4021': entry(
    EXIT_NOT_PERMITTED,
    'a read token is needed',
    'Over TCP a node answers only whoever shows a token that was made on it, is not revoked and has not expired.',
    'Make one on that host: nixfleet tokens create. Send it as: Authorization: Bearer TOKEN.',
  ),
  'NF-4022': entry(
    EXIT_NOT_PERMITTED,
    'not for this token',
    'A token reads the routes of its scopes and nothing else; it never changes anything.',
    'Make one with the scope, nixfleet tokens create --scope, or use the socket or libp2p with a key.',
  ),
  'NF-4023': entry(
    EXIT_TRY_AGAIN,
    'asked too often',
    'Each client of the API over TCP has a bounded number of requests a second.',
    'Wait as long as the header Retry-After says, and ask less often.',
  ),
  'NF-5001': entry(
    EXIT_BUG,
    'a bug of nixfleet',
    'The program met a state that it does not expect.',
    'Run it again with -v and report what it prints.',
  ),
  'NF-5002': entry(
    EXIT_FAILED,
    'the node failed',
    'The node could not start or go on; the message has the reason.',
    'See the message.',
  ),
}
