/** A node's configuration: what is wrong is said, all of it, and nothing is guessed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readNodeConfig, validateNodeConfig } from '../../../node/config.ts'

const good = {
  name: 'web-01',
  data: 'state',
  listen: ['/ip4/0.0.0.0/tcp/7460'],
  trust: '/etc/nixfleet/trust',
  rootHash: 'a'.repeat(64),
  system: { kind: 'portable' },
}
const validate = (value: unknown) => validateNodeConfig(value, { source: 'test', base: '/base' })

describe('a configuration', () => {
  it('fills in defaults below the data folder and takes relative paths from its own place', () => {
    expect(validate(good)).toMatchObject({
      data: '/base/state',
      seed: '/base/state/seed',
      trust: '/etc/nixfleet/trust',
      api: { socket: '/base/state/api.sock' },
      system: { kind: 'portable', root: '/base/state/system', cacheKeys: [] },
      mdns: true,
      peers: [],
      substituter: { caches: [] },
    })
    expect(validate(good).api.listen).toBeUndefined()
    expect(validate(good).substituter.listen).toBeUndefined()
  })

  it('has its substituter on loopback and nowhere else', () => {
    const at = (host: string) => validate({ ...good, substituter: { listen: { host } } })
    expect(at('127.0.0.9').substituter.listen).toEqual({ host: '127.0.0.9', port: 7462 })
    for (const host of ['0.0.0.0', '10.0.0.1', '::', 'web-01', '127.0.0.1.example']) {
      expect(() => at(host)).toThrow(/loopback/)
    }
    for (const cache of ['cache.example', '/mnt/cache', 'https://']) {
      expect(() => validate({ ...good, substituter: { caches: [cache] } })).toThrow(/store URL/)
    }
  })

  it('names its API as a browser would, and its certificate from the file’s own folder', () => {
    const names = ['web-01.example', '10.0.0.1', '[2001:db8::1]']
    expect(validate({ ...good, api: { hosts: names } }).api.hosts).toEqual(names)
    for (const name of ['Web-01', 'web-01:7461', '2001:db8::1', 'https://web-01', 'a/b', ''])
      expect(() => validate({ ...good, api: { hosts: [name] } }), name).toThrow(/api\.hosts\.0/)
    expect(validate({ ...good, api: { tls: 'own' } }).api.tls).toBe('own')
    const files = { cert: 'tls/cert.pem', key: '/run/key.pem' }
    expect(validate({ ...good, api: { tls: files } }).api.tls).toEqual({
      cert: '/base/tls/cert.pem',
      key: '/run/key.pem',
    })
    for (const tls of ['theirs', {}, { cert: 'x' }])
      expect(() => validate({ ...good, api: { tls } })).toThrow(/api\.tls/)
  })

  it.each(Object.keys(good))('is refused without %s', (key) => {
    const { [key as keyof typeof good]: _, ...rest } = good
    expect(() => validate(rest)).toThrow(key)
  })

  it('is refused with a key that nobody reads, at any depth', () => {
    for (const value of [
      { ...good, mDNS: false },
      { ...good, api: { sokcet: 'x' } },
      { ...good, system: { kind: 'nix', keys: [] } },
    ]) {
      expect(() => validate(value)).toThrow(/[Uu]nrecognized/)
    }
  })

  it('tells every fault at once, with code and where', () => {
    const bad = { ...good, name: 'Web_01', rootHash: 'zz', listen: ['tcp:1'] }
    let message = ''
    try {
      validate(bad)
    } catch (error) {
      expect(error).toMatchObject({ name: 'NodeError', code: 'CONFIG_INVALID' })
      message = String(error)
    }
    for (const part of ['test', 'name:', 'rootHash:', 'listen.0:']) expect(message).toContain(part)
  })
})

describe('a file', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'nf-config-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('may be JSON or TOML and means the same', () => {
    writeFileSync(join(folder, 'node.json'), JSON.stringify(good))
    const toml = [
      `name = "web-01"`,
      `data = "state"`,
      `listen = ["/ip4/0.0.0.0/tcp/7460"]`,
      `trust = "/etc/nixfleet/trust"`,
      `rootHash = "${'a'.repeat(64)}"`,
      '[system]',
      `kind = "portable"`,
    ]
    writeFileSync(join(folder, 'node.toml'), toml.join('\n'))
    expect(readNodeConfig(join(folder, 'node.toml'))).toEqual(
      readNodeConfig(join(folder, 'node.json')),
    )
  })

  it('that is missing or broken is CONFIG_INVALID', () => {
    expect(() => readNodeConfig(join(folder, 'none.json'))).toThrow('cannot be read')
    writeFileSync(join(folder, 'bad.toml'), 'name = ')
    expect(() => readNodeConfig(join(folder, 'bad.toml'))).toThrow('is not TOML')
  })
})
