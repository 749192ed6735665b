/** Random orders and choices out of the node's `Random`, so that a simulation can be repeated. */
import type { Random } from './ports.ts'

/** The items in random order. */
export function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  const left = [...items]
  const order: T[] = []
  while (left.length > 0) order.push(...left.splice(below(left.length, random), 1))
  return order
}

/** A whole number from 0 up to `count`, excluded. The bias of 32 bits is far below one in a million. */
function below(count: number, random: Random): number {
  const bytes = random.bytes(4)
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) % count
}
