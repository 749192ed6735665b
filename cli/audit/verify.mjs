#!/usr/bin/env node
/**
 * Checks a pull of a nixfleet log with Node 20 or newer and nothing else.
 *
 *     node verify.mjs ROOT-HASH [FOLDER]
 *
 * ROOT-HASH must come from elsewhere: it is pinned in the configuration of the fleet's hosts. What
 * lies in this folder cannot vouch for itself, and neither can this script: read it, or bring your own.
 *
 * Exit code 0: nothing was found. 4: every finding is a line. 64: wrong usage.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decode, hex, message, pieces, rootOf, sha, signedBy, treeOf } from './verify-bytes.mjs'

const [rootHash = '', folder = dirname(fileURLToPath(import.meta.url))] = process.argv.slice(2)
if (!/^[0-9a-f]{64}$/.test(rootHash) || !existsSync(join(folder, 'documents'))) {
  console.error(
    'usage: node verify.mjs ROOT-HASH [FOLDER]   (64 hex digits; a folder with documents/)',
  )
  process.exit(64)
}

const TILE = 256
const LEAF = Buffer.of(0)
let [findings, facts, blocks] = [0, 0, 0]
function finding(code, text) {
  findings++
  console.log(`${code}: ${text}`)
}

// --- documents ---
const fleet = rootHash.slice(0, 32)
/** A document with the admins of `roots` and of itself, if it is a root, who signed it. */
function document(name, type, roots) {
  const bytes = readFileSync(join(folder, name))
  const [payload, signatures] = decode(bytes)
  const value = decode(payload)
  const admins = new Set(
    [...roots, ...(type === 'root' ? [value] : [])].flatMap((one) => one.admins.map(hex)),
  )
  const good = new Set(
    signatures
      .filter(
        ([key, signature]) =>
          admins.has(hex(key)) && signedBy(hex(key), message(type, fleet, payload), signature),
      )
      .map(([key]) => hex(key)),
  )
  return { value, hash: hex(sha(payload)), good, document: hex(sha(bytes)) }
}

/** Throws unless enough admins of `root` are among `good`: `more` than else for a recovery. */
function assertSigned(good, root, more = 0) {
  const admins = new Set(root.admins.map(hex))
  const count = [...admins].filter((key) => good.has(key)).length
  const needed = Math.min(root.threshold + more, admins.size)
  if (count < needed || 2 * root.threshold <= admins.size)
    throw new Error(
      `expected ${needed} signatures of admins of version ${root.version}, found ${count}`,
    )
}

/** Throws unless the root may stand there: the first by its hash, each other after the one before. */
function assertFollows({ value, hash }, version, previous) {
  if (version === 1 && hash !== rootHash)
    throw new Error(`expected the hash ${rootHash}, found ${hash}`)
  const before = previous === undefined ? undefined : previous.hash
  const said = value.previous === undefined ? undefined : hex(value.previous)
  if (value.version !== version || said !== before)
    throw new Error(`expected version ${version} on ${before}, found ${value.version} on ${said}`)
  if (previous !== undefined && previous.value.name !== value.name)
    throw new Error(`expected the fleet ${previous.value.name}, found ${value.name}`)
}

/** The chain of roots: enough admins of the one before and of its own signed each. */
function readRoots() {
  const chain = []
  const files = readdirSync(join(folder, 'documents')).filter((name) => name.startsWith('root.'))
  for (let version = 1; version <= Math.max(1, files.length); version++) {
    const name = `documents/root.${version}.cbor`
    const previous = chain.at(-1)
    const signers = previous === undefined ? [] : [previous.value]
    try {
      const read = document(name, 'root', signers)
      assertFollows(read, version, previous)
      for (const root of [...signers, read.value]) assertSigned(read.good, root)
      chain.push(read)
    } catch (error) {
      if (version === 1) throw error
      finding('ROOT', `${name}: ${error.message}`)
      break
    }
  }
  return chain.map(({ value }) => value)
}

/** Each configuration was signed under the root of its time. */
function assertSignedUnderAny({ good, value }, roots) {
  let refusal
  for (const root of [...roots].reverse()) {
    try {
      return assertSigned(good, root, value.recover === undefined ? 0 : 1)
    } catch (error) {
      refusal ??= error
    }
  }
  throw refusal
}

function readTrust() {
  const known = new Map()
  const configs = new Map()
  const roots = readRoots()
  for (const root of roots) {
    for (const key of root.admins) known.set(hex(key), 'admin')
    for (const { key, name } of [...root.operators, ...root.releaseKeys]) known.set(hex(key), name)
  }
  const names = readdirSync(join(folder, 'documents')).filter((name) => name.startsWith('group.'))
  for (const name of names) {
    try {
      const signed = document(`documents/${name}`, 'group-config', roots)
      const { value, hash } = signed
      assertSignedUnderAny(signed, roots)
      if (hex(value.fleet) !== fleet) throw new Error('it is of another fleet')
      const voters = value.hosts.filter((host) => value.voters.includes(host.name))
      configs.set(`${value.group}/${value.epoch}`, {
        ...value,
        hash,
        voters,
        document: signed.document,
      })
      for (const host of value.hosts) known.set(hex(host.fact), host.name)
    } catch (error) {
      finding('CONFIG', `documents/${name}: ${error.message}`)
    }
  }
  return { fleet, known, configs }
}

// --- logs ---
function numberPath(index, width) {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.{3}/g)
  const path = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/')
  return width === TILE ? path : `${path}.p/${width}`
}

/** Entries, signatures and certificates of a log, with its tree; undefined without a head. */
function readLog(name, origin, certified) {
  const head = readText(`${name}/head`)?.split('\n') ?? []
  const size = Number(head[1])
  if (head[0] !== origin || !/^\d{1,15}$/.test(head[1] ?? '')) {
    finding('HEAD', `${name}/head: expected origin ${origin}, a size and a root`)
    return undefined
  }
  const log = { entries: [], signatures: [], certificates: [], whole: true }
  for (let index = 0; index * TILE < size; index++)
    readBundle(name, { index, width: Math.min(TILE, size - index * TILE) }, certified, log)
  const levels = treeOf(log.entries.map((entry) => sha(LEAF, entry)))
  if (log.whole) {
    checkTiles(name, levels, size)
    const root = rootOf(levels, size).toString('base64')
    if (head[2] !== root)
      finding('HEAD', `${name}/head: expected the root ${root}, found ${head[2]}`)
  }
  return { ...log, levels }
}

function readBundle(name, { index, width }, certified, log) {
  const path = numberPath(index, width)
  const range = `entries ${index * TILE} to ${index * TILE + width - 1}`
  try {
    const entries = pieces(readFileSync(join(folder, name, 'tile/entries', path)))
    const signatures = readFileSync(join(folder, name, 'signatures', path))
    if (entries.length !== width || signatures.length !== width * 64)
      throw new Error(
        `expected ${width} entries and signatures, found ${entries.length} and ${signatures.length / 64}`,
      )
    const certificates = certified
      ? pieces(readFileSync(join(folder, name, 'certificates', path)))
      : []
    entries.forEach((entry, i) => {
      log.entries.push(entry)
      log.signatures.push(signatures.subarray(i * 64, i * 64 + 64))
      if (certified) log.certificates.push(certificates[i] ?? Buffer.alloc(0))
    })
  } catch (error) {
    log.whole = false
    finding('BUNDLE', `${name}: ${range}: ${error.message}`)
  }
}

function checkTiles(name, levels, size) {
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE)) {
    for (let index = 0; index * TILE < count; index++) {
      const width = Math.min(TILE, count - index * TILE)
      const path = `${name}/tile/${level}/${numberPath(index, width)}`
      const wanted = Buffer.concat(levels[level * 8].slice(index * TILE, index * TILE + width))
      const found = existsSync(join(folder, path)) ? readFileSync(join(folder, path)) : undefined
      if (found === undefined) finding('TILE', `${path} is missing`)
      else if (!wanted.equals(found))
        finding('TILE', `${path}: expected the hashes of the entries, found others`)
    }
  }
}

function readText(path) {
  const file = join(folder, path)
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined
}

/** An entry's type and payload. */
function payloadOf(entry, fleet) {
  const end = entry.indexOf(0)
  const type = entry.subarray('nixfleet/v1/'.length, end).toString()
  const payload = entry.subarray(end + 17)
  if (end < 0 || !message(type, fleet, payload).equals(entry))
    throw new Error('it is not of this fleet')
  const value = decode(payload)
  if (value.v !== 1 || value.t !== type) throw new Error('its type is not the one that was signed')
  return { type, value }
}

// --- the gate log ---
const proven = new Map()

/** The block that a certificate proves. Throws where no quorum of voters signed it. */
function certified(bytes, config, fleet) {
  const id = hex(bytes)
  if (proven.has(id)) return proven.get(id)
  const { body, kind, votes } = decode(bytes)
  if (kind !== 'final' || body.group !== config.group || body.epoch !== config.epoch)
    throw new Error('its certificate is of another kind or place')
  const bodyBytes = bytes.subarray(
    6,
    bytes.indexOf(Buffer.concat([Buffer.of(0x64), Buffer.from('kind')]), 6),
  )
  const voters = new Set(config.voters.map((host) => hex(host.fact)))
  for (const { voter, signature } of votes) {
    if (!voters.delete(hex(voter))) throw new Error('its certificate holds a vote of no voter')
    const payload = Buffer.concat([
      Buffer.from('a461615820', 'hex'),
      voter,
      Buffer.from('6162', 'hex'),
      bodyBytes,
      Buffer.from('61746a', 'hex'),
      Buffer.from('gate.final'),
      Buffer.from('617601', 'hex'),
    ])
    if (!signedBy(hex(voter), message('gate.final', fleet, payload), signature))
      throw new Error('its certificate holds a vote that does not verify')
  }
  if (votes.length < config.quorum)
    throw new Error(`its certificate holds ${votes.length} votes, expected ${config.quorum}`)
  proven.set(id, hex(body.block))
  return hex(body.block)
}

function checkGate(group, trust, heads) {
  const name = `gate/${group}`
  const log = readLog(name, `nixfleet/${trust.fleet}/g/${group}`, true)
  if (log === undefined) return
  const walk = { parent: undefined, view: 0, epoch: 0, due: 0, promised: undefined, epochs: [0] }
  Object.assign(walk, { slot: 0, named: undefined })
  log.entries.forEach((entry, i) => {
    blocks++
    try {
      checkBlock({ name, group, trust, heads, walk, log, i }, entry)
    } catch (error) {
      finding('BLOCK', `${name}: block ${i}: ${error.message}`)
    }
    walk.epochs.push(walk.epoch)
  })
  while (trust.configs.has(`${group}/${walk.epoch + 1}`)) enterEpoch({ name, group, trust, walk })
  if (walk.promised !== undefined)
    finding('CERTIFICATE', `${name}: the block that proves block ${walk.promised.of} is missing`)
  checkCheckpoints({ name, group, trust, walk, log })
}

function checkBlock({ name, group, trust, heads, walk, log, i }, entry) {
  const { type, value } = payloadOf(entry, trust.fleet)
  const { a: leader, b: body } = value
  const id = hex(sha(entry))
  const config = trust.configs.get(`${group}/${body.epoch}`)
  if (type !== 'gate.propose' || config === undefined || body.group !== group)
    throw new Error('it is no block of a known epoch of this group')
  if (!config.voters.some((host) => host.fact.equals(leader)))
    throw new Error('no voter proposed it')
  if (!signedBy(hex(leader), entry, log.signatures[i]))
    throw new Error('its signature does not verify')
  while (walk.epoch < body.epoch && enterEpoch({ name, group, trust, walk }));
  if (hex(body.parent) !== walk.parent)
    finding('BLOCK_ORDER', `${name}: block ${i} follows another block than the one before it`)
  if (body.epoch < walk.epoch || (body.epoch === walk.epoch && body.view <= walk.view))
    finding('BLOCK_ORDER', `${name}: block ${i} is of view ${body.view}, after view ${walk.view}`)
  Object.assign(walk, { parent: id, view: body.view, epoch: body.epoch })
  noteEffects({ walk, heads, i }, body)
  if (walk.promised?.block === id) walk.promised = undefined
  try {
    const block = certified(log.certificates[i], config, trust.fleet)
    if (block !== id) walk.promised ??= { block, of: i }
    if (walk.named !== undefined) checkTail({ name, config, trust, walk, view: body.view }, id)
  } catch (error) {
    finding('CERTIFICATE', `${name}: block ${i}: ${error.message}`)
  }
}

/** The next epoch begins: by the reconfig that the log has just held, or by a recovery from here. */
function enterEpoch({ name, group, trust, walk }) {
  const epoch = walk.epoch + 1
  const config = trust.configs.get(`${group}/${epoch}`)
  if (config === undefined) return false
  const { recover } = config
  if (recover !== undefined && (hex(recover.head) !== walk.parent || recover.slot !== walk.slot))
    finding('BLOCK_ORDER', `${name}: the recovery of epoch ${epoch} goes on from another block`)
  if (recover === undefined && epoch > 1 && walk.named !== config.document)
    finding('CONFIG', `${name}: no reconfig before epoch ${epoch} names its configuration`)
  const parent = recover !== undefined || epoch === 1 ? config.hash : walk.parent
  Object.assign(walk, { epoch, parent, view: 0, named: undefined })
  return true
}

/** Empty blocks of voters lead from the end of an epoch to the one whose certificate committed it. */
function checkTail({ name, config, trust, walk, view }, last) {
  const path = join(folder, name, 'tails', String(config.epoch))
  const parts = existsSync(path) ? pieces(readFileSync(path)) : []
  let at = { id: last, view }
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const { type, value } = payloadOf(parts[i], trust.fleet)
    const { a: leader, b: body } = value
    const { group, epoch } = body
    const empty = body.commands.length + body.basis.length === 0
    const placed = group === config.group && epoch === config.epoch && body.view > at.view
    const signed = signedBy(hex(leader), parts[i], parts[i + 1])
    const voted = config.voters.some((host) => host.fact.equals(leader))
    const follows = type === 'gate.propose' && hex(body.parent) === at.id
    if (!(empty && placed && signed && voted && follows))
      throw new Error(`the way from the end of epoch ${epoch} holds another block`)
    at = { id: hex(sha(parts[i])), view: body.view }
    if (walk.promised?.block === at.id) walk.promised = undefined
  }
}

/** What later checks need of a block: a change of the group, a call for a checkpoint, the facts it stands on. */
function noteEffects({ walk, heads, i }, body) {
  const change = body.commands.find((command) => command.kind === 'reconfig')
  walk.named = change && hex(change.config)
  if (body.commands.length + body.basis.length > 0) walk.slot++
  const anchors = body.commands.length === 0 && body.basis.length > 0
  if (anchors || body.commands.some((command) => command.kind === 'close')) walk.due = i + 1
  for (const { author, session, seq, head } of body.basis) {
    const feed = `${hex(author)}/${hex(session)}`
    heads.set(feed, (heads.get(feed) ?? new Map()).set(seq, hex(head)))
  }
}

function checkCheckpoints({ name, group, trust, walk, log }) {
  const rooms = join(folder, name, 'checkpoints')
  const sizes = existsSync(rooms)
    ? readdirSync(rooms)
        .map(Number)
        .sort((a, b) => a - b)
    : []
  const signedAt = new Map()
  let standing = 0
  for (const size of sizes) {
    const where = `${name}/checkpoints/${size}`
    const text = readText(where) ?? ''
    const head = text.split('\n').slice(0, 4)
    const root =
      size <= log.entries.length ? rootOf(log.levels, size).toString('base64') : 'fewer blocks'
    if (
      head[0] !== `nixfleet/${trust.fleet}/g/${group}` ||
      head[1] !== String(size) ||
      head[2] !== root ||
      head[3] !== ''
    ) {
      finding(
        'CHECKPOINT',
        `${where}: expected ${size} leaves under ${root}, found ${head[1]} under ${head[2]}`,
      )
      continue
    }
    // Voters of a later epoch hold what those of the epoch of the last block have decided.
    const configs = [...trust.configs.values()].filter(
      (config) => config.group === group && config.epoch >= walk.epochs[size],
    )
    const good = checkCosignatures({ where, text, head, configs, trust, signedAt })
    const counted = ({ voters }) => voters.filter((host) => good.has(host.name)).length
    if (configs.some((config) => counted(config) >= config.quorum)) standing = size
  }
  if (standing < walk.due)
    finding(
      'CHECKPOINT_BEHIND',
      `${name}: expected a checkpoint of at least ${walk.due} blocks with a quorum of cosignatures, found one of ${standing}: taken away, rolled back, or not cosigned yet`,
    )
  console.log(`${name}: ${log.entries.length} blocks, newest checkpoint that stands: ${standing}`)
}

function checkCosignatures({ where, text, head, configs, trust, signedAt }) {
  const cosigners = configs.flatMap((config) => config.voters)
  const good = new Set()
  for (const line of text.split('\n').slice(4, -1)) {
    const [, name, base64] = /^— (\S+) (\S+)$/.exec(line) ?? []
    const host = cosigners.find((one) => name === `nixfleet/${trust.fleet}/w/${one.name}`)
    if (host === undefined) continue
    const bytes = Buffer.from(base64, 'base64')
    const id = sha(`${name}\n`, Buffer.of(4), host.cosign).subarray(0, 4)
    const time = bytes.length === 76 ? bytes.readBigUInt64BE(4) : 0n
    const signed = Buffer.from(`cosignature/v1\ntime ${time}\n${head.slice(0, 3).join('\n')}\n`)
    if (
      !id.equals(bytes.subarray(0, 4)) ||
      !signedBy(hex(host.cosign), signed, bytes.subarray(12))
    ) {
      finding('COSIGNATURE', `${where}: the cosignature of ${host.name} does not verify`)
      continue
    }
    if ((signedAt.get(name) ?? 0n) > time)
      finding('ROLLBACK', `${where}: ${host.name} cosigned it after a larger one`)
    signedAt.set(name, time)
    good.add(host.name)
  }
  return good
}

// --- feeds ---
function checkFeed(author, session, trust, heads = new Map()) {
  const name = `feeds/${author}/${session}`
  const person = trust.known.get(author)
  if (person === undefined) finding('AUTHOR', `${name}: no document names this key`)
  const whose = `${person ?? author.slice(0, 16)} (session ${session.slice(0, 8)})`
  const log = readLog(name, `nixfleet/${trust.fleet}/h/${author}/${session}`, false)
  const chain = { next: 0, prev: '0'.repeat(64) }
  log?.entries.forEach((entry, i) => {
    try {
      const { value } = payloadOf(entry, trust.fleet)
      if (hex(value.a) !== author || hex(value.n) !== session)
        throw new Error('it belongs to another feed')
      if (!signedBy(author, entry, log.signatures[i]))
        throw new Error('its signature does not verify')
      facts++
      checkPlace({ name, whose, chain, heads }, value, hex(sha(entry)))
    } catch (error) {
      finding('FACT', `${name}: fact ${i} of ${whose}: ${error.message}`)
      Object.assign(chain, { next: chain.next + 1, prev: undefined })
    }
  })
  const last = Math.max(-1, ...heads.keys())
  if (last >= chain.next)
    finding(
      'FACT_MISSING',
      `${name}: facts ${chain.next} to ${last} of ${whose} are missing: the gate log stands on them`,
    )
}

function checkPlace({ name, whose, chain, heads }, value, id) {
  const seq = value.s
  if (seq > chain.next)
    finding('FACT_MISSING', `${name}: facts ${chain.next} to ${seq - 1} of ${whose} are missing`)
  else if (seq < chain.next)
    finding(
      'FACT_ORDER',
      `${name}: expected fact ${chain.next} of ${whose}, found fact ${seq} in its place`,
    )
  else if (chain.prev !== undefined && hex(value.p) !== chain.prev)
    finding('FACT_ORDER', `${name}: fact ${seq} of ${whose} names another fact before it`)
  if ((heads.get(seq) ?? id) !== id)
    finding('BASIS', `${name}: fact ${seq} of ${whose} is not the one that the gate log stands on`)
  Object.assign(chain, { next: Math.max(chain.next, seq + 1), prev: id })
}

// --- all of it ---
try {
  const trust = readTrust()
  const heads = new Map()
  for (const group of new Set([...trust.configs.values()].map((config) => config.group)))
    checkGate(group, trust, heads)
  const feeds = new Set(heads.keys())
  for (const author of existsSync(join(folder, 'feeds')) ? readdirSync(join(folder, 'feeds')) : [])
    for (const session of readdirSync(join(folder, 'feeds', author)))
      feeds.add(`${author}/${session}`)
  for (const feed of feeds) checkFeed(feed.slice(0, 64), feed.slice(65), trust, heads.get(feed))
  console.log(`verified ${facts} facts in ${feeds.size} feeds and ${blocks} blocks`)
} catch (error) {
  finding('ROOT', `documents/root.1.cbor: ${error.message}`)
}
console.log(
  findings > 0
    ? `NOT CLEAN: ${findings} findings`
    : `clean, if ${rootHash} is your fleet's root hash`,
)
process.exitCode = findings > 0 ? 4 : 0
