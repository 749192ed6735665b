/** The `Range` of a request (RFC 9110 §14): one stretch of bytes, or none that is understood. */

/** Bytes `from` to `to` (excluded); 'none' when the whole is meant, 'outside' when nothing of it is there. */
export type AskedRange = { readonly from: number; readonly to: number } | 'none' | 'outside'

/** What `header` asks of `size` bytes. Several ranges, other units and nonsense mean the whole, as the RFC allows. */
export function askedRange(header: string | undefined, size: number): AskedRange {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? []
  if (first === '' && last === '') return 'none'
  if (first === '') {
    const length = Number(last)
    return length === 0 || size === 0 ? 'outside' : { from: Math.max(0, size - length), to: size }
  }
  const from = Number(first)
  const end = last === '' ? size : Math.min(size, Number(last) + 1)
  if (last !== '' && Number(last) < from) return 'none'
  return from >= size ? 'outside' : { from, to: end }
}
