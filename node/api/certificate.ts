/**
 * The certificate of the API on TCP: one that the node makes for itself, or two files that are given.
 *
 * Node cannot write X.509; `@peculiar/asn1-x509` encodes the structures, Node's own crypto makes the
 * key and signs (docs/decisions/0023). It is loaded only when a certificate is made.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { NodeError } from '../errors.ts'
import { writeDurably } from '../system/durable.ts'

/** What TLS needs, and what people compare. */
export interface ServerCertificate {
  readonly cert: string
  readonly key: string
  /** SHA-256 of the certificate, upper-case hex with colons, as browsers and openssl show it. */
  readonly fingerprint: string
  /** What a person should know of it; none of it stops the node. */
  readonly warnings: readonly string[]
}

/** Where the node's own certificate lies in its data folder. */
export function ownCertificateFiles(data: string): { cert: string; key: string } {
  return { cert: join(data, 'api-tls', 'cert.pem'), key: join(data, 'api-tls', 'key.pem') }
}

/** The node's own certificate, made at the first start. Throws as `givenCertificate`. */
export async function ownCertificate(
  data: string,
  options: { readonly name: string; readonly hosts: readonly string[]; readonly nowMs: number },
): Promise<ServerCertificate> {
  const files = ownCertificateFiles(data)
  if (!existsSync(files.cert)) {
    const { makeCertificate } = await import('./make-certificate.ts')
    const made = makeCertificate(options)
    await mkdir(join(data, 'api-tls'), { recursive: true, mode: 0o700 })
    // The certificate last: where it is, its key is too.
    await writeDurably(files.key, made.key, 0o600)
    await writeDurably(files.cert, made.cert, 0o644)
  }
  return await givenCertificate(files, options)
}

/**
 * The certificate and key in two PEM files. Throws NodeError KEY_UNREADABLE, KEY_EXPOSED when others may
 * read the key, CERTIFICATE_INVALID when the files are none or do not belong together.
 */
export async function givenCertificate(
  files: { readonly cert: string; readonly key: string },
  { hosts, nowMs }: { readonly hosts: readonly string[]; readonly nowMs: number },
): Promise<ServerCertificate> {
  const cert = await read(files.cert, 'certificate')
  const key = await read(files.key, 'key of the certificate')
  const { mode } = await stat(files.key)
  if ((mode & 0o077) !== 0) {
    throw new NodeError(
      'KEY_EXPOSED',
      `expected mode 0600 on the key file ${files.key}, found 0${(mode & 0o777).toString(8)}: others may have read it`,
      `Run: chmod 600 ${files.key}, or hand it over with systemd's LoadCredential; if others may have read it, make a new one.`,
    )
  }
  const parsed = parse(files.cert, cert)
  assertPair(files, parsed, key)
  return {
    cert,
    key,
    fingerprint: parsed.fingerprint256,
    warnings: warningsOf(parsed, files.cert, { hosts, nowMs }),
  }
}

async function read(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new NodeError(
      'KEY_UNREADABLE',
      `expected the ${what} of the API at ${path}: ${error instanceof Error ? error.message : String(error)}`,
      'Check the path and the owner; what the node made itself is made anew when the folder api-tls is removed.',
      { cause: error },
    )
  }
}

function parse(path: string, text: string): X509Certificate {
  try {
    return new X509Certificate(text)
  } catch (error) {
    throw invalid(`expected a certificate in PEM in ${path}, found something else`, error)
  }
}

function assertPair(
  files: { readonly cert: string; readonly key: string },
  parsed: X509Certificate,
  text: string,
): void {
  let fits: boolean
  try {
    fits = parsed.checkPrivateKey(createPrivateKey(text))
  } catch (error) {
    throw invalid(`expected a private key in PEM without a passphrase in ${files.key}`, error)
  }
  if (!fits)
    throw invalid(`expected the key of ${files.cert} in ${files.key}, found another certificate's`)
}

function invalid(message: string, cause?: unknown): NodeError {
  return new NodeError(
    'CERTIFICATE_INVALID',
    message,
    'Correct api.tls in the configuration, or set it to "own" and the node makes its own certificate.',
    { cause },
  )
}

/** A certificate that clients will refuse is told and used: the node has more to do than answer them. */
function warningsOf(
  parsed: X509Certificate,
  path: string,
  { hosts, nowMs }: { readonly hosts: readonly string[]; readonly nowMs: number },
): readonly string[] {
  const warnings: string[] = []
  if (Date.parse(parsed.validTo) <= nowMs)
    warnings.push(`the certificate ${path} expired on ${parsed.validTo}: clients will refuse it`)
  if (Date.parse(parsed.validFrom) > nowMs)
    warnings.push(`the certificate ${path} is not valid before ${parsed.validFrom}`)
  const bare = hosts.map((host) => host.replace(/^\[|\]$/g, ''))
  const unnamed = bare.filter(
    (host) => (isIP(host) === 0 ? parsed.checkHost(host) : parsed.checkIP(host)) === undefined,
  )
  if (unnamed.length > 0)
    warnings.push(`the certificate ${path} does not name ${unnamed.join(', ')} of api.hosts`)
  return warnings
}
