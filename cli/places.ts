/** Where the CLI looks: for a peer's address, for key files, for a demo fleet of this folder. */
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Settings } from './settings.ts'

type Env = Readonly<Record<string, string | undefined>>

/** The folder that `nixfleet demo` keeps its fleet in, and its parts. */
export interface DemoPlaces {
  readonly folder: string
  /** One unix socket a host: `<host>.sock`. */
  readonly sockets: string
  readonly operatorKey: string
  readonly releaseKey: string
}

/** The name of the demo's folder, in the folder where it was started. */
const DEMO_FOLDER = '.nixfleet-demo'

/** The parts of the demo in `folder`. */
export function demoPlaces(folder: string): DemoPlaces {
  return {
    folder,
    sockets: join(folder, 'sockets'),
    operatorKey: join(folder, 'keys', 'operator.key'),
    releaseKey: join(folder, 'keys', 'release.key'),
  }
}

/** The demo of this folder or one above it; $NIXFLEET_DEMO names one elsewhere. */
export function findDemo(env: Env, cwd: string): DemoPlaces | undefined {
  const named = env['NIXFLEET_DEMO']
  if (named) return demoPlaces(resolve(cwd, named))
  for (let folder = cwd; ; folder = dirname(folder)) {
    const demo = join(folder, DEMO_FOLDER)
    if (existsSync(demo)) return demoPlaces(demo)
    if (dirname(folder) === folder) return undefined
  }
}

/** The sockets of a demo's hosts, by name. */
export function demoSockets(demo: DemoPlaces | undefined): readonly string[] {
  if (demo === undefined || !existsSync(demo.sockets)) return []
  return readdirSync(demo.sockets)
    .filter((name) => name.endsWith('.sock'))
    .sort()
    .map((name) => `unix:${join(demo.sockets, name)}`)
}

/** The other sockets beside those of a demo: who talks to one host of it may go on with another. */
export function siblingSockets(addresses: readonly string[]): readonly string[] {
  return addresses.flatMap((address) => {
    const folder = dirname(address.slice('unix:'.length))
    const inDemo = address.startsWith('unix:') && basename(dirname(folder)) === DEMO_FOLDER
    return inDemo ? demoSockets(demoPlaces(dirname(folder))) : []
  })
}

/** Addresses to try, in order. A peer or a socket that was named is the only one. */
export function peerAddresses(settings: Settings, env: Env, cwd: string): readonly string[] {
  if (settings.peer !== undefined) return [settings.peer]
  if (settings.socket !== undefined) return [`unix:${resolve(cwd, settings.socket)}`]
  const runtime = env['XDG_RUNTIME_DIR']
  return [
    'unix:/run/nixfleet/api.sock',
    ...(runtime ? [`unix:${join(runtime, 'nixfleet', 'api.sock')}`] : []),
    ...demoSockets(findDemo(env, cwd)),
    ...settings.peers,
  ]
}

/** Where an operator's key file is looked for, in order. */
export function identityPaths(settings: Settings, env: Env, cwd: string): readonly string[] {
  return keyPaths(settings.identity, 'identity', findDemo(env, cwd)?.operatorKey, { env, cwd })
}

/** Where a release key's file is looked for, in order. */
export function releaseKeyPaths(settings: Settings, env: Env, cwd: string): readonly string[] {
  return keyPaths(settings.releaseKey, 'release.key', findDemo(env, cwd)?.releaseKey, { env, cwd })
}

function keyPaths(
  given: string | undefined,
  name: string,
  demo: string | undefined,
  { env, cwd }: { env: Env; cwd: string },
): readonly string[] {
  if (given !== undefined) return [resolve(cwd, given)]
  const config = env['XDG_CONFIG_HOME'] || (env['HOME'] ? join(env['HOME'], '.config') : undefined)
  const credentials = env['CREDENTIALS_DIRECTORY']
  return [
    ...(credentials ? [join(credentials, name)] : []),
    ...(demo ? [demo] : []),
    ...(config ? [join(config, 'nixfleet', name)] : []),
  ]
}
