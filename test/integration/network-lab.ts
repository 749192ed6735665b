/**
 * Hosts in network namespaces of their own, on one switch, whose links a test can cut.
 *
 * The switch is a bridge in a namespace too, so nothing of this is seen by the machine's own network,
 * and everything is gone with the namespaces. Links are cut with nft inside the hosts: the daemon has
 * no switch for it and cannot know.
 */
import { execFileSync, spawnSync } from 'node:child_process'

const NAME = /^nf(\d+)-[a-z0-9]+$/
const PORT = 7460

/** Whether this machine lets us make namespaces and filters; else a sentence that says why not. */
export function labIsPossible(): boolean | string {
  if (process.getuid?.() !== 0) return 'not root'
  const name = `nf${process.pid}-probe`
  try {
    ip('netns', 'add', name)
    nft(name, 'add table inet cut')
    return true
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    spawnSync('ip', ['netns', 'del', name])
  }
}

export class NetworkLab {
  readonly #hosts: readonly string[]
  readonly #atExit = (): void => this.destroy()

  /** A namespace for each of `hosts`, all on one switch. */
  constructor(hosts: readonly string[]) {
    removeLeftovers()
    this.#hosts = hosts
    process.once('exit', this.#atExit)
    const sw = this.#namespace('switch')
    ip('netns', 'add', sw)
    ip('-n', sw, 'link', 'add', 'br0', 'type', 'bridge')
    ip('-n', sw, 'link', 'set', 'br0', 'up')
    hosts.forEach((host, i) => {
      const name = this.#namespace(host)
      ip('netns', 'add', name)
      const port = `port${i}`
      const peer = ['peer', 'name', 'eth0', 'netns', name]
      ip('-n', sw, 'link', 'add', port, 'type', 'veth', ...peer)
      ip('-n', sw, 'link', 'set', port, 'master', 'br0', 'up')
      ip('-n', name, 'address', 'add', `${this.ip(host)}/24`, 'dev', 'eth0')
      ip('-n', name, 'link', 'set', 'eth0', 'up')
      ip('-n', name, 'link', 'set', 'lo', 'up')
      // A LAN has a way for multicast, with or without a way out.
      ip('-n', name, 'route', 'add', '224.0.0.0/4', 'dev', 'eth0')
      nft(name, 'add table inet cut')
      nft(name, 'add chain inet cut in { type filter hook input priority 0; }')
      nft(name, 'add chain inet cut out { type filter hook output priority 0; }')
    })
  }

  ip(host: string): string {
    return `10.77.0.${this.#hosts.indexOf(host) + 1}`
  }

  address(host: string): string {
    return `/ip4/${this.ip(host)}/tcp/${PORT}`
  }

  /** Words before a command that is to run in the host's namespace. */
  command(host: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#namespace(host)]
  }

  /** Bounds every host's line, both ways, with a token bucket of `burst`; `rate` as tc writes it. */
  shape(rate: string, burst: string): void {
    const bucket = ['root', 'tbf', 'rate', rate, 'burst', burst, 'latency', '100ms']
    this.#hosts.forEach((host, i) => {
      tc(this.#namespace(host), ['qdisc', 'replace', 'dev', 'eth0', ...bucket])
      tc(this.#namespace('switch'), ['qdisc', 'replace', 'dev', `port${i}`, ...bucket])
    })
  }

  /** Bytes that have left a host's line since it was made, headers and all. */
  sentBytes(host: string): number {
    const args = ['netns', 'exec', this.#namespace(host)]
    const file = '/sys/class/net/eth0/statistics/tx_bytes'
    return Number(execFileSync('ip', [...args, 'cat', file], { encoding: 'utf8' }))
  }

  /** Nothing passes between one of `some` and one of the others, either way. */
  split(some: readonly string[]): void {
    const others = this.#hosts.filter((host) => !some.includes(host))
    for (const host of some) this.#drop(host, others, ['in', 'out'])
    for (const host of others) this.#drop(host, some, ['in', 'out'])
  }

  /** What `host` sends is lost; what the others send arrives. */
  mute(host: string): void {
    const others = this.#hosts.filter((other) => other !== host)
    this.#drop(host, others, ['out'])
  }

  /** A firewall that lets nothing in but answers. */
  closeInbound(host: string): void {
    const name = this.#namespace(host)
    nft(name, 'add rule inet cut in iifname "lo" accept')
    nft(name, 'add rule inet cut in ct state established,related accept')
    nft(name, 'add rule inet cut in drop')
  }

  heal(): void {
    for (const host of this.#hosts) nft(this.#namespace(host), 'flush table inet cut')
  }

  destroy(): void {
    process.off('exit', this.#atExit)
    for (const host of [...this.#hosts, 'switch']) {
      spawnSync('ip', ['netns', 'del', this.#namespace(host)], { stdio: 'ignore' })
    }
  }

  #drop(host: string, others: readonly string[], chains: readonly ('in' | 'out')[]): void {
    const addresses = others.map((other) => this.ip(other)).join(', ')
    for (const chain of chains) {
      const field = chain === 'in' ? 'saddr' : 'daddr'
      nft(this.#namespace(host), `add rule inet cut ${chain} ip ${field} { ${addresses} } drop`)
    }
  }

  #namespace(host: string): string {
    return `nf${process.pid}-${host.replaceAll('-', '')}`
  }
}

/** Namespaces of a test process that is no more: it was killed before it could clean up. */
function removeLeftovers(): void {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' })
  for (const line of stdout.split('\n')) {
    const [name = ''] = line.split(' ')
    const pid = NAME.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) spawnSync('ip', ['netns', 'del', name])
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' })
}

function tc(namespace: string, args: readonly string[]): void {
  execFileSync('tc', ['-n', namespace, ...args], { stdio: 'pipe' })
}

function nft(namespace: string, command: string): void {
  execFileSync('ip', ['netns', 'exec', namespace, 'nft', command], { stdio: 'pipe' })
}
