/**
 * Gossipsub as this fleet uses it (SPEC §10): unsigned messages, three topics, lowered limits.
 *
 * Facts carry their author's signature, so a signature of whoever publishes them would say nothing.
 * Gossip is the fast path only; what it loses, sync brings.
 */
import {
  type GossipSub,
  type GossipSubComponents,
  type GossipsubOpts,
  gossipsub,
  TopicValidatorResult,
} from '@chainsafe/libp2p-gossipsub'
import type { PeerId } from '@libp2p/interface'
import { concatBytes, type FleetId, type GroupName, sha256, utf8 } from '../../protocol/index.ts'
import {
  GOSSIP_FRAME_BYTES_MAX,
  GOSSIP_IDS_MAX,
  GOSSIP_MESSAGES_MAX,
  GOSSIP_VALIDATIONS_MAX,
} from '../limits.ts'
import type { Acceptance, Topic } from '../ports.ts'
import { guardRegistrar } from './guarded-registrar.ts'
import { plainBytes } from './stream-io.ts'

/** The names of the topics on the wire. */
export type TopicNames = Readonly<Record<Topic, string>>

/** `ctl` is the whole fleet's, the others one group's. */
export function topicNames(fleet: FleetId, group: GroupName): TopicNames {
  const prefix = `nf1/${fleet.slice(0, 8)}`
  return {
    ctl: `${prefix}/ctl`,
    fact: `${prefix}/${group}/fact`,
    gate: `${prefix}/${group}/gate`,
  }
}

/** Whether a stream's protocol is gossip's. */
export function isGossip(protocol: string | undefined): boolean {
  return protocol?.startsWith('/meshsub/') === true
}

/** Who a peer is to gossip: a member, with a bonus for voters; strangers and operators are left out. */
export interface GossipPeers {
  isMember(peer: PeerId): boolean
  isVoter(peer: string): boolean
  readonly directPeers: NonNullable<GossipsubOpts['directPeers']>
}

/** The gossip service of a node. Streams of peers that are no members never reach it. */
export function gossipService(
  topics: TopicNames,
  peers: GossipPeers,
): (components: GossipSubComponents) => GossipSub {
  const create = gossipsub(gossipOptions(topics, peers))
  return (components) => {
    const { privateKey, peerId, peerStore, connectionManager, logger } = components
    const registrar = guardRegistrar(components.registrar, (peer) => peers.isMember(peer))
    return create({ privateKey, peerId, peerStore, connectionManager, logger, registrar })
  }
}

/** Sends what arrives under a topic to `judge`, and back what gossip should do with it. */
export function validateWith(
  pubsub: GossipSub,
  topics: TopicNames,
  judge: (topic: Topic, bytes: Uint8Array, peer: PeerId) => Promise<Acceptance>,
): void {
  let underWay = 0
  for (const topic of ['ctl', 'fact', 'gate'] as const) {
    pubsub.topicValidators.set(topics[topic], async (peer, message) => {
      if (underWay >= GOSSIP_VALIDATIONS_MAX) return TopicValidatorResult.Ignore
      underWay++
      try {
        return RESULTS[await judge(topic, plainBytes(message.data), peer)]
      } catch {
        return TopicValidatorResult.Ignore
      } finally {
        underWay--
      }
    })
  }
}

const RESULTS: Readonly<Record<Acceptance, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
}

/** Three messages that can never be good cost a peer the gossip of its connection for a while. */
const INVALID_WEIGHT = -10
/** Half of a misdeed is forgotten after 23 s. */
const INVALID_DECAY = 0.97

function gossipOptions(topics: TopicNames, peers: GossipPeers): Partial<GossipsubOpts> {
  return {
    globalSignaturePolicy: 'StrictNoSign',
    // The topic is part of the id: otherwise a member could send a halt under a topic where it is
    // ignored and so make it count as seen under its own.
    msgIdFn: ({ topic, data }) =>
      sha256(concatBytes(utf8(topic), Uint8Array.of(0), data)).subarray(0, 20),
    allowedTopics: Object.values(topics),
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    fallbackToFloodsub: false,
    doPX: false,
    directPeers: peers.directPeers,
    // Our own loop dials; this one would hold the heartbeat up while a voter is down.
    directConnectTicks: Number.MAX_SAFE_INTEGER,
    maxInboundDataLength: GOSSIP_FRAME_BYTES_MAX,
    maxOutboundBufferSize: 16 * GOSSIP_FRAME_BYTES_MAX,
    decodeRpcLimits: {
      maxSubscriptions: 32,
      maxMessages: GOSSIP_MESSAGES_MAX,
      maxIhaveMessageIDs: GOSSIP_IDS_MAX,
      maxIwantMessageIDs: GOSSIP_IDS_MAX,
      maxIdontwantMessageIDs: GOSSIP_IDS_MAX,
      maxControlMessages: 64,
      maxPeerInfos: 16,
    },
    scoreParams: scoreParams(topics, peers),
  }
}

/** Scores without P3 (quiet topics are honest) and without P6 (a site shares one address). */
function scoreParams(topics: TopicNames, peers: GossipPeers): GossipsubOpts['scoreParams'] {
  const topic = {
    topicWeight: 1,
    timeInMeshWeight: 0,
    timeInMeshQuantum: 1000,
    timeInMeshCap: 1,
    firstMessageDeliveriesWeight: 0,
    firstMessageDeliveriesDecay: 0.5,
    firstMessageDeliveriesCap: 1,
    meshMessageDeliveriesWeight: 0,
    meshMessageDeliveriesDecay: 0.5,
    meshMessageDeliveriesCap: 1,
    meshMessageDeliveriesThreshold: 1,
    meshMessageDeliveriesWindow: 10,
    meshMessageDeliveriesActivation: 5000,
    meshFailurePenaltyWeight: 0,
    meshFailurePenaltyDecay: 0.5,
    invalidMessageDeliveriesWeight: INVALID_WEIGHT,
    invalidMessageDeliveriesDecay: INVALID_DECAY,
  }
  return {
    topics: Object.fromEntries(Object.values(topics).map((name) => [name, topic])),
    appSpecificScore: (peer) => (peers.isVoter(peer) ? 5 : 1),
    appSpecificWeight: 1,
    IPColocationFactorWeight: 0,
    behaviourPenaltyThreshold: 6,
  }
}
