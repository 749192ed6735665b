/** One self-signed server certificate: a key of P-256, which every client knows, for the names of api.hosts. */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_subjectAltName,
  id_kp_serverAuth,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
const COMMON_NAME = '2.5.4.3'
/** Clients pin this one certificate; nothing renews it by itself, because that would break their pins. */
const LIFE_MS = 10 * 365 * 24 * 3600 * 1000
/** Clocks of clients may be behind. */
const BACKDATED_MS = 24 * 3600 * 1000

/** Certificate and key in PEM. */
export function makeCertificate(of: {
  readonly name: string
  readonly hosts: readonly string[]
  readonly nowMs: number
}): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 })
  const name = new Name([
    new RelativeDistinguishedName([
      new AttributeTypeAndValue({
        type: COMMON_NAME,
        value: new AttributeValue({ utf8String: of.name }),
      }),
    ]),
  ])
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    // Below 0x80 in its first byte, so that DER reads it as a positive number.
    serialNumber: Uint8Array.from([0x01, ...randomBytes(15)]).buffer,
    signature: algorithm,
    issuer: name,
    subject: name,
    validity: new Validity({
      notBefore: new Date(of.nowMs - BACKDATED_MS),
      notAfter: new Date(of.nowMs + LIFE_MS),
    }),
    subjectPublicKeyInfo: AsnConvert.parse(
      publicKey.export({ type: 'spki', format: 'der' }),
      SubjectPublicKeyInfo,
    ),
    extensions: new Extensions([
      extension(id_ce_basicConstraints, new BasicConstraints({ cA: false }), true),
      extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_serverAuth])),
      extension(
        id_ce_subjectAltName,
        new SubjectAlternativeName(namesOf(of).map((one) => new GeneralName(one))),
      ),
    ]),
  })
  const bytes = Buffer.from(AsnConvert.serialize(tbsCertificate))
  const signatureValue = Uint8Array.from(sign('sha256', bytes, privateKey)).buffer
  const whole = new Certificate({ tbsCertificate, signatureAlgorithm: algorithm, signatureValue })
  return {
    cert: pem(Buffer.from(AsnConvert.serialize(whole))),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function extension(extnID: string, value: object, critical: boolean = false): Extension {
  const extnValue = new OctetString(AsnConvert.serialize(value))
  return new Extension({ extnID, critical, extnValue })
}

function namesOf(of: { name: string; hosts: readonly string[] }) {
  const bare = [of.name, ...of.hosts].map((host) => host.replace(/^\[|\]$/g, ''))
  return [...new Set(bare)].map((host) =>
    isIP(host) === 0 ? { dNSName: host } : { iPAddress: host },
  )
}

function pem(bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}
