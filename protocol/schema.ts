/**
 * Closed shapes for wire values: one description gives the strict decoder and the encoder.
 *
 * Version 1 is closed: an unknown key in a known shape is refused (SPEC §2). `decode` turns
 * `unknown` into the typed value or throws BAD_SHAPE with the path of what is wrong; `encode` is its
 * exact inverse.
 */
import { fromHex, type Hex, toHex } from './bytes.ts'
import type { WireValue } from './codec.ts'
import { ProtocolError } from './errors.ts'

/** A two-way description of one wire shape. */
export interface Schema<T> {
  decode(value: unknown, path: string): T
  encode(value: T): WireValue
}

/** Marks a key of a shape that may be absent. */
export interface OptionalSchema<T> extends Schema<T> {
  readonly optional: true
}

type Fields<T> = {
  readonly [K in keyof T]-?: undefined extends T[K]
    ? OptionalSchema<Exclude<T[K], undefined>>
    : Schema<T[K]>
}

/** A whole number from `min` (default 0) to `max`. */
export function uint(max: number = Number.MAX_SAFE_INTEGER, min: number = 0): Schema<number> {
  return {
    decode: (value, path) => {
      if (
        typeof value === 'number' &&
        Number.isSafeInteger(value) &&
        value >= min &&
        value <= max
      ) {
        return value
      }
      throw badShape(path, `a whole number from ${min} to ${max}`, value)
    },
    encode: (value) => value,
  }
}

/** Text of `min` to `max` UTF-16 units that matches `pattern`, without lone surrogates. */
export function text(max: number, pattern?: RegExp, min: number = 0): Schema<string> {
  return {
    decode: (value, path) => {
      const good =
        typeof value === 'string' &&
        value.length >= min &&
        value.length <= max &&
        (pattern === undefined || pattern.test(value))
      if (good) return value
      throw badShape(
        path,
        `text of ${min} to ${max} characters${pattern ? ` like ${pattern}` : ''}`,
        value,
      )
    },
    encode: (value) => value,
  }
}

/** True or false. */
export const bool: Schema<boolean> = {
  decode: (value, path) => {
    if (typeof value === 'boolean') return value
    throw badShape(path, 'true or false', value)
  },
  encode: (value) => value,
}

/** Exactly `size` bytes, held in memory as hex text. */
export function hex(size: number): Schema<Hex> {
  return {
    decode: (value, path) => {
      if (value instanceof Uint8Array && value.length === size) return toHex(value)
      throw badShape(path, `${size} bytes`, value)
    },
    encode: (value) => fromHex(value),
  }
}

/** `min` to `max` bytes, held as bytes. */
export function bytes(max: number, min: number = 0): Schema<Uint8Array> {
  return {
    decode: (value, path) => {
      const good = value instanceof Uint8Array && value.length >= min && value.length <= max
      if (good) return value
      throw badShape(path, `${min} to ${max} bytes`, value)
    },
    encode: (value) => value,
  }
}

/** `min` to `max` bytes, held in memory as hex text. */
export function hexUpTo(max: number, min: number = 0): Schema<Hex> {
  const plain = bytes(max, min)
  return {
    decode: (value, path) => toHex(plain.decode(value, path)),
    encode: (value) => fromHex(value),
  }
}

/** One of the given words. */
export function oneOf<const T extends string>(...words: readonly T[]): Schema<T> {
  return {
    decode: (value, path) => {
      const word = words.find((candidate) => candidate === value)
      if (word !== undefined) return word
      throw badShape(path, `one of ${words.join(', ')}`, value)
    },
    encode: (value) => value,
  }
}

/** `min` to `max` items, in the order that they stand. */
export function list<T>(item: Schema<T>, max: number, min: number = 0): Schema<readonly T[]> {
  return {
    decode: (value, path) => {
      if (!Array.isArray(value) || value.length < min || value.length > max) {
        throw badShape(path, `a list of ${min} to ${max} items`, value)
      }
      return value.map((entry, i) => item.decode(entry, `${path}[${i}]`))
    },
    encode: (value) => value.map((entry) => item.encode(entry)),
  }
}

/** Like `list`, but strictly ascending by `key` and so without duplicates: one form for one set. */
export function sortedList<T>(
  item: Schema<T>,
  key: (value: T) => string,
  max: number,
  min: number = 0,
): Schema<readonly T[]> {
  const plain = list(item, max, min)
  return {
    decode: (value, path) => {
      const items = plain.decode(value, path)
      items.forEach((entry, i) => {
        const before = items[i - 1]
        if (before !== undefined && key(before) >= key(entry)) {
          throw badShape(path, 'strictly ascending items', key(entry))
        }
      })
      return items
    },
    encode: (value) => plain.encode([...value].sort((a, b) => (key(a) < key(b) ? -1 : 1))),
  }
}

/** A key that may be absent. */
export function optional<T>(inner: Schema<T>): OptionalSchema<T> {
  return { ...inner, optional: true }
}

/** A map with exactly these keys. */
export function shape<T extends object>(fields: Fields<T>): Schema<T> {
  const keys = Object.keys(fields) as (keyof T & string)[]
  return {
    decode: (value, path) => {
      const source = plainMap(value, path)
      const stray = Object.keys(source).find((key) => !Object.hasOwn(fields, key))
      if (stray !== undefined) throw badShape(path, `only the keys ${keys.join(', ')}`, stray)
      const target: Partial<T> = {}
      for (const key of keys) {
        const field: Schema<unknown> & { optional?: true } = fields[key]
        if (Object.hasOwn(source, key)) {
          target[key] = field.decode(source[key], `${path}.${key}`) as T[typeof key]
        } else if (!field.optional) throw badShape(`${path}.${key}`, 'a value', undefined)
      }
      return target as T
    },
    encode: (value) => {
      const target: Record<string, WireValue> = {}
      for (const key of keys) {
        const field: Schema<unknown> = fields[key]
        if (value[key] !== undefined) target[key] = field.encode(value[key])
      }
      return target
    },
  }
}

/** One of several shapes, told apart by the text under `tag`. */
export function tagged<T extends object>(
  tag: keyof T & string,
  variants: { readonly [name: string]: Schema<T> },
): Schema<T> {
  return {
    decode: (value, path) => {
      const source = plainMap(value, path)
      const name = Object.hasOwn(source, tag) ? source[tag] : undefined
      const variant =
        typeof name === 'string' && Object.hasOwn(variants, name) ? variants[name] : undefined
      if (variant) return variant.decode(value, path)
      throw badShape(`${path}.${tag}`, `one of ${Object.keys(variants).join(', ')}`, name)
    },
    encode: (value) => {
      const name = String(value[tag])
      const variant = Object.hasOwn(variants, name) ? variants[name] : undefined
      if (variant) return variant.encode(value)
      throw badShape(tag, `one of ${Object.keys(variants).join(', ')}`, name)
    },
  }
}

/**
 * `value` as it will stand on the wire, and as every reader will see it: sets sorted, bounds checked.
 *
 * Authors write through this, so that nobody signs what everybody refuses, and so that the author's
 * own copy equals its readers'. Throws BAD_SHAPE.
 */
export function written<T>(
  schema: Schema<T>,
  value: T,
  path: string,
): { readonly wire: WireValue; readonly value: T } {
  const wire = schema.encode(value)
  return { wire, value: schema.decode(wire, path) }
}

/** Refines a shape by a rule over the whole value; `rule` returns what was expected, or undefined. */
export function where<T>(inner: Schema<T>, rule: (value: T) => string | undefined): Schema<T> {
  return {
    decode: (value, path) => {
      const decoded = inner.decode(value, path)
      const expected = rule(decoded)
      if (expected === undefined) return decoded
      throw badShape(path, expected, value)
    },
    encode: (value) => inner.encode(value),
  }
}

function plainMap(value: unknown, path: string): Record<string, unknown> {
  const good =
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  if (good) return value as Record<string, unknown>
  throw badShape(path, 'a map', value)
}

function badShape(path: string, expected: string, found: unknown): ProtocolError {
  return new ProtocolError(
    'BAD_SHAPE',
    'reject',
    `expected ${expected} at ${path}, found ${describe(found)}`,
  )
}

function describe(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80))
  return typeof value === 'object' ? 'a map' : String(value)
}
