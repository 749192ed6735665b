/** narinfo: files of real Nix byte for byte, and each thing that is refused. */
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../../protocol/bytes.ts'
import {
  type Narinfo,
  parseNarinfo,
  printNarinfo,
  verifyNarinfo,
} from '../../../protocol/narinfo.ts'
import { parseTrustedNixKeys, signPathInfo } from '../../../protocol/nix-signature.ts'
import { parseStoreName, parseStorePath } from '../../../protocol/store-path.ts'
import vectors from '../../vectors/nar/narinfos.json' with { type: 'json' }

const trusted = parseTrustedNixKeys([vectors.publicKey])
const parse = (text: string): Narinfo => parseNarinfo(utf8(text), 'a test narinfo')
const refused = expect.objectContaining({ code: 'NARINFO_MALFORMED', action: 'reject' })

/** The one that was built: it has references, a deriver and a signature, and no content address. */
const sample = vectors.narinfos.find((text) => text.includes('Deriver: ')) ?? ''
const signature = /^Sig: .*$/m.exec(sample)?.[0] ?? ''

describe('a narinfo that Nix wrote', () => {
  it.each(vectors.narinfos)('is read and printed back: %s', (text) => {
    expect(printNarinfo(parse(text))).toBe(text)
  })

  it('gives every field', () => {
    const info = parse(sample)
    expect(info).toMatchObject({
      storePath: '/nix/store/jsj0wab2iwqq41b1w637c03y31s800k6-env',
      url: 'nar/1r0fgjhks7zfkqbixnxcfwyns9vphi8y1jfq0k0sl46cxq1cg65k.nar',
      compression: 'none',
      fileSize: 2048,
      narSize: 2048,
      deriver: 'v2hkbg69ixg39lj7g8skikj7qr4kl7w9-env.drv',
      ca: undefined,
    })
    expect(info.fileHash).toEqual(info.narHash)
    expect(info.references.map((name) => name.slice(33))).toEqual(['manifest', 'dep', 'tree-1.0'])
    expect(info.signatures.map(({ keyName }) => keyName)).toEqual(['vector-1'])
  })

  it('is vouched for by the key that signed it, unless nobody did', () => {
    const verdicts = vectors.narinfos.map((text) => verifyNarinfo(parse(text), trusted))
    const signed = vectors.narinfos.map((text) => text.includes('\nSig: '))
    expect(verdicts.map(({ ok }) => ok)).toEqual(signed)
    expect(signed).toContain(true)
    expect(signed).toContain(false)
  })
})

describe('a verdict', () => {
  const info = parse(sample)

  it('names the key that signed', () => {
    expect(verifyNarinfo(info, trusted)).toEqual({ ok: true, keyName: 'vector-1' })
  })

  it('says that there is no signature, also for a content address', () => {
    const unsigned = { ...info, signatures: [], ca: 'text:sha256:…' }
    expect(verifyNarinfo(unsigned, trusted)).toEqual({ ok: false, code: 'NO_SIGNATURE' })
  })

  it('says that only strangers signed', () => {
    expect(verifyNarinfo(info, new Map())).toEqual({ ok: false, code: 'NO_TRUSTED_KEY' })
    const renamed = parse(sample.replace('Sig: vector-1', 'Sig: vector-2'))
    expect(verifyNarinfo(renamed, trusted)).toEqual({ ok: false, code: 'NO_TRUSTED_KEY' })
  })

  it.each<[string, Partial<Narinfo>]>([
    ['path', { storePath: parseStorePath('/nix/store/jsj0wab2iwqq41b1w637c03y31s800k6-enx') }],
    ['hash', { narHash: new Uint8Array(32) }],
    ['size', { narSize: 2049 }],
    ['references', { references: info.references.slice(1) }],
  ])('says that the signature is over another %s', (_, changed) => {
    const verdict = verifyNarinfo({ ...info, ...changed }, trusted)
    expect(verdict).toEqual({ ok: false, code: 'BAD_SIGNATURE' })
  })

  it('does not depend on what is not signed', () => {
    const moved = { ...info, url: 'nar/elsewhere', compression: 'xz', deriver: undefined }
    expect(verifyNarinfo(moved, trusted).ok).toBe(true)
  })

  it('takes a good signature after a bad one of the same key, as Nix does', () => {
    const bad = { keyName: 'vector-1', signature: new Uint8Array(64) }
    const both = { ...info, signatures: [bad, ...info.signatures] }
    expect(verifyNarinfo(both, trusted).ok).toBe(true)
  })

  it('is good for what we sign, and the signature is the one that Nix makes', () => {
    const ours = signPathInfo(info, vectors.secretKey)
    expect([ours]).toEqual(info.signatures)
  })
})

describe('the narinfo reader', () => {
  const without = (key: string): string => sample.replace(new RegExp(`^${key}: .*\n`, 'm'), '')
  const withValue = (key: string, value: string): string =>
    sample.replace(new RegExp(`^${key}: .*$`, 'm'), () => `${key}: ${value}`)

  it.each(['StorePath', 'URL', 'NarHash', 'NarSize'])('needs %s', (key) => {
    expect(() => parse(without(key))).toThrow(refused)
  })

  it.each(['FileHash', 'FileSize', 'References', 'Deriver', 'Sig', 'CA'])(
    'can do without %s',
    (key) => {
      expect(parse(without(key)).narSize).toBe(2048)
    },
  )

  it('takes a missing Compression for bzip2, as Nix does', () => {
    expect(parse(without('Compression')).compression).toBe('bzip2')
  })

  it('takes unknown-deriver for none', () => {
    expect(parse(withValue('Deriver', 'unknown-deriver')).deriver).toBeUndefined()
  })

  it('skips unknown keys, also twice, and prints them no more', () => {
    const text = `X-Later: é\nX-Later: b\n${sample}System: x86_64-linux\n`
    expect(printNarinfo(parse(text))).toBe(sample)
  })

  it('sorts references', () => {
    const { references } = parse(sample)
    expect(parse(withValue('References', references.toReversed().join(' '))).references).toEqual(
      references,
    )
  })

  it.each(sample.trim().split('\n'))('refuses a second line of: %s', (line) => {
    expect(() => parse(`${sample}${line}\n`)).toThrow(refused)
  })

  it.each<[string, string]>([
    ['no line break at the end', sample.slice(0, -1)],
    ['a line without a colon', `${sample}x\n`],
    ['a line that is empty', `${sample}\n`],
    ['a line without a key', `${sample}: x\n`],
    ['a colon without a space', sample.replace('NarSize: ', 'NarSize:')],
    ['carriage returns', sample.replaceAll('\n', '\r\n')],
    ['nothing', ''],
    ['a path that is none', withValue('StorePath', '/nix/store/x')],
    ['a size of 0', withValue('NarSize', '0')],
    ['a size with a zero in front', withValue('NarSize', '02048')],
    ['a size with a sign', withValue('NarSize', '+2048')],
    ['a size in hex', withValue('NarSize', '0x800')],
    ['a size above all bounds', withValue('NarSize', '9999999999999999999')],
    ['a hash of another algorithm', withValue('NarHash', `sha1:${'0'.repeat(32)}`)],
    ['a reference with its directory', withValue('References', '/nix/store/x')],
    ['a reference twice', withValue('References', `${'a'.repeat(32)}-a ${'a'.repeat(32)}-a`)],
    ['an absolute URL', withValue('URL', 'https://elsewhere/x.nar')],
    ['a URL from the root', withValue('URL', '/etc/passwd')],
    ['a URL that climbs', withValue('URL', 'nar/../../x')],
    ['a URL with an escape', withValue('URL', 'nar/%2e%2e/x')],
    ['a URL with a space', withValue('URL', 'nar/a b')],
    ['an empty URL', withValue('URL', '')],
    ['an empty Compression', withValue('Compression', '')],
    ['a deriver that is no store name', withValue('Deriver', 'x.drv')],
    ['a signature without a name', withValue('Sig', signature.slice('Sig: vector-1'.length))],
    ['a signature of 63 bytes', withValue('Sig', `vector-1:${'A'.repeat(84)}`)],
    ['a content address of no known kind', `${sample}CA: magic:sha256:${'0'.repeat(52)}\n`],
    ['an empty content address', `${sample}CA: \n`],
    ['too many signatures', sample + manySignatures(32)],
  ])('refuses %s', (_, text) => {
    expect(() => parse(text)).toThrow(refused)
  })

  it('refuses bytes that are not UTF-8', () => {
    const bytes = new Uint8Array([...utf8('X: '), 0xff, 10, ...utf8(sample)])
    expect(() => parseNarinfo(bytes, 'a test')).toThrow(refused)
  })

  it('looks at the size before anything else', () => {
    const line = (length: number): Uint8Array => utf8(`${sample}X: ${'x'.repeat(length)}\n`)
    const room = 64 * 1024 - utf8(sample).length - 4
    expect(parseNarinfo(line(room), 'a test').narSize).toBe(2048)
    const tooLarge = expect.objectContaining({ code: 'TOO_LARGE' })
    expect(() => parseNarinfo(line(room + 1), 'a test')).toThrow(tooLarge)
  })

  it('names the file and the field in its errors', () => {
    const text = withValue('NarHash', 'md5:x')
    expect(() => parse(text)).toThrow(/found 'md5:x', in NarHash of a test narinfo$/)
  })

  function manySignatures(count: number): string {
    const lines = Array.from({ length: count }, (_, i) => signature.replace('vector-1', `key-${i}`))
    return `${lines.join('\n')}\n`
  }
})

describe('the narinfo printer', () => {
  it.each<[string, Partial<Narinfo>]>([
    ['a URL that would add a field', { url: 'x\nStorePath: /nix/store/y' }],
    ['a compression with a line break', { compression: 'xz\n' }],
    ['a size of 0', { narSize: 0 }],
    ['a reference twice', { references: [name('a'), name('a')] }],
  ])('does not print %s', (_, changed) => {
    expect(() => printNarinfo({ ...parse(sample), ...changed })).toThrow(refused)
  })

  function name(text: string): Narinfo['references'][number] {
    return parseStoreName(`${'a'.repeat(32)}-${text}`)
  }
})
