/** An answer is whole or an error, however the server cuts it; Node's own server and client are the twin. */
import { createServer as createHttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createNetServer, type Server } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { plainGet, readAnswer } from '../../../cli/plain-get.ts'
import { textWidth } from '../../../cli/text-width.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function listening(server: Server): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const http = (answer: RequestListener): Promise<number> => listening(createHttpServer(answer))

function get(port: number, wish: Partial<Parameters<typeof plainGet>[0]> = {}) {
  const signal = AbortSignal.timeout(5_000)
  const where = { host: '127.0.0.1', port }
  const bounds = { stallMs: 1_000, bytesMax: 100_000 }
  return plainGet({ where, host: 'localhost', path: '/', signal, ...bounds, ...wish })
}

describe('a plain GET', () => {
  it('gives what the server of Node sends, in one piece or in chunks', async () => {
    const port = await http((request, response) => {
      response.statusCode = 418
      if (request.url === '/chunks?x=1') {
        response.write('grüße ')
        response.end('aus\r\n0\r\n\r\nStücken')
      } else response.end(`${request.method} ${request.url} ${request.headers.host}`)
    })
    const whole = await get(port, { path: '/whole', host: 'web-01:80' })
    expect(whole).toEqual({ status: 418, text: 'GET /whole web-01:80' })
    const chunks = await get(port, { path: '/chunks?x=1' })
    expect(chunks).toEqual({ status: 418, text: 'grüße aus\r\n0\r\n\r\nStücken' })
  })

  it('fails on silence, on too much, on an abort, and where nobody listens', async () => {
    const silent = await listening(createNetServer(() => undefined))
    await expect(get(silent, { stallMs: 50 })).rejects.toThrow('no answer within 0.05 s')
    const aborted = AbortSignal.timeout(20)
    await expect(get(silent, { signal: aborted })).rejects.toThrow()
    const big = await http((_, response) => response.end('x'.repeat(200_000)))
    await expect(get(big)).rejects.toThrow('more than 100000 bytes')
    const gone = createNetServer()
    const port = await listening(gone)
    await new Promise((resolve) => gone.close(resolve))
    await expect(get(port)).rejects.toThrow('ECONNREFUSED')
  })

  it('fails when the connection closes before an answer', async () => {
    const port = await listening(createNetServer((socket) => socket.end()))
    await expect(get(port)).rejects.toThrow('found none')
  })

  it('sends no line that a path brought along', () => {
    expect(() => get(1, { path: '/a\r\nx: y' })).toThrow('encoded path')
  })
})

describe('an answer', () => {
  const chunked = (parts: readonly string[]): string =>
    [...parts.filter((part) => part !== ''), '']
      .map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`)
      .join('')
  const head = (line: string): string => `HTTP/1.1 200 OK\r\n${line}\r\n\r\n`

  it('in chunks is what the chunks hold together, and an error when any byte is missing', () => {
    const parts = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 })
    fc.assert(
      fc.property(parts, fc.nat(), (texts, cut) => {
        const bytes = Buffer.from(head('Transfer-Encoding: chunked') + chunked(texts))
        expect(readAnswer(bytes)).toEqual({ status: 200, text: texts.join('') })
        // The end of the last chunk, which holds nothing, is a line of its own after its size.
        const most = bytes.length - '\r\n\r\n'.length
        expect(() => readAnswer(bytes.subarray(0, cut % most))).toThrow()
      }),
    )
  })

  it('of a length has that length, and is an error when any byte is missing', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.nat(), (text, cut) => {
        const bytes = Buffer.from(head(`Content-Length: ${Buffer.byteLength(text)}`) + text)
        expect(readAnswer(bytes).text).toBe(text)
        expect(() => readAnswer(bytes.subarray(0, cut % bytes.length))).toThrow()
      }),
    )
  })
})

describe('the width of a text', () => {
  it('counts letters as a terminal shows them, and colours not at all', () => {
    expect(textWidth('web-01')).toBe(6)
    expect(textWidth('\u001b[32m✔ healthy\u001b[39m')).toBe(9)
    expect(textWidth('6f2a1c…-nixos')).toBe(13)
    expect(textWidth('東京')).toBe(4)
    expect(textWidth('e\u0301')).toBe(1)
    expect(textWidth('')).toBe(0)
  })
})
