import { describe, expect, it } from 'vitest'
import { nixFault } from '../../../node/system/nix.ts'

describe('what Nix printed when it failed', () => {
  it('is told without its progress, on one line', () => {
    const output = [
      'exit code 1: copying 2 paths...',
      "copying path '/nix/store/x' from 'http://cache'...",
      "error: hash mismatch importing path '/nix/store/x';",
      '         specified: sha256:a',
      '         got:       sha256:b',
    ].join('\n')
    expect(nixFault(output)).toBe(
      "hash mismatch importing path '/nix/store/x'; specified: sha256:a got: sha256:b",
    )
  })

  it('is told when the error is all that it printed', () => {
    expect(nixFault('exit code 1: error: no such cache')).toBe('no such cache')
  })

  it('is told as it is when there is no error in it', () => {
    expect(nixFault('no end within 5 ms: copying 2\npaths...')).toBe(
      'no end within 5 ms: copying 2 paths...',
    )
  })
})
