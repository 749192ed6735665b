/**
 * A test build of the daemon: the shipped one with a network that lies with the host's own keys.
 *
 *     node --import tsx test/integration/lying-node.ts CONFIG
 *
 * It votes to skip each view in which it cast a final vote, and once it signs two facts for one place of
 * its feed. Everything else is what `nixfleet node run` does. Nothing of it is in the shipped program.
 */
import '../../node/shims.ts'
import { decodeGateMessage, encodeGateMessage } from '../../node/gate-wire.ts'
import { readNodeConfig, startNode } from '../../node/index.ts'
import { readSeedFile } from '../../node/key-files.ts'
import { Libp2pNetwork } from '../../node/network/libp2p.ts'
import type { Topic } from '../../node/ports.ts'
import { readTrustFiles } from '../../node/trust-files.ts'
import {
  deriveHostKeys,
  ED25519,
  type FactOf,
  openFact,
  ProtocolError,
  sealFact,
  sealVote,
} from '../../protocol/index.ts'

const config = readNodeConfig(process.argv[2] ?? '')
const keys = deriveHostKeys(await readSeedFile(config.seed))
const { trust } = await readTrustFiles(config.trust, config.rootHash)
const by = { fleet: trust.fleet, key: keys.fact }
const whose = 'a liar'
let forked = false

/** What this liar says besides a message of its own. */
function liesBeside(topic: Topic, bytes: Uint8Array): readonly Uint8Array[] {
  try {
    if (topic === 'gate') return otherVotes(bytes)
    return topic === 'fact' && !forked ? otherFact(bytes) : []
  } catch (error) {
    // Of a later epoch, or a batch: it says nothing besides.
    if (error instanceof ProtocolError) return []
    throw error
  }
}

function otherVotes(bytes: Uint8Array): readonly Uint8Array[] {
  const message = decodeGateMessage(bytes, { trust, whose, signer: ED25519 })
  if (message.kind !== 'vote' || message.vote.voter !== keys.fact.publicKey) return []
  const { kind, body } = message.vote
  if (kind !== 'final') return []
  const { group, epoch, view } = body
  const vote = sealVote('skip', { group, epoch, view }, by)
  return [encodeGateMessage({ kind: 'vote', vote })]
}

function otherFact(bytes: Uint8Array): readonly Uint8Array[] {
  const fact = openFact(bytes, { fleet: trust.fleet, whose })
  if (fact.author !== keys.fact.publicKey || fact.type !== 'health.change') return []
  forked = true
  const { type, session, seq, prev, epoch, ts, body } = fact as FactOf<'health.change'>
  const other = { ...body, boot: `${body.boot}-no` }
  return [sealFact({ type, body: other, session, seq, prev, epoch, ts }, by).bytes]
}

const { publish } = Libp2pNetwork.prototype
Libp2pNetwork.prototype.publish = function (topic, bytes) {
  publish.call(this, topic, bytes)
  for (const lie of liesBeside(topic, bytes)) publish.call(this, topic, lie)
}

const node = await startNode(config)
process.once('SIGTERM', () => void node.stop())
