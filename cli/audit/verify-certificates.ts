/**
 * The votes in the certificates of a gate log. What each certificate is of, and whether it is in its
 * place, the walk over the blocks judges: most of the work is here, and needs nothing but the documents.
 */
import {
  type Certificate,
  checkCertificate,
  entryId,
  readCertificate,
} from '../../protocol/index.ts'
import { configOf, type KnownTrust, messageOf, votersOf } from './documents.ts'
import type { Report } from './findings.ts'
import { gateAt } from './layout.ts'
import { readBundles, readHead } from './log-files.ts'

/** Verifies every vote under the voters of the epoch that its certificate names. */
export function verifyCertificates(
  pull: string,
  { trust, group }: { readonly trust: KnownTrust; readonly group: string },
  report: Report,
): void {
  const place = gateAt(pull, group)
  /** The certificate checked last: neighbours often share one. */
  let checked = ''
  let index = 0
  for (const { entries } of readBundles(place, readHead(place)?.size ?? 0, true)) {
    for (const { certificate: bytes = new Uint8Array(0) } of entries) {
      const block = index++
      const id = entryId(bytes)
      if (id === checked) continue
      checked = id
      const certificate = read(bytes)
      const known = certificate && configOf(trust, group, certificate.body.epoch)
      if (certificate === undefined || known === undefined) continue
      const { quorum } = known.config
      try {
        checkCertificate(certificate, { fleet: trust.fleet, voters: votersOf(known), quorum })
      } catch (error) {
        const text = `block ${block}: ${messageOf(error)}`
        report({ code: 'CERTIFICATE', where: place.name, text })
      }
    }
  }
}

/** Undefined for what is no certificate: the walk over the blocks says so. */
function read(bytes: Uint8Array): Certificate | undefined {
  try {
    return readCertificate(bytes)
  } catch {
    return undefined
  }
}
