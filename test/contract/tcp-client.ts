/** One request over TCP or TLS, as plainly as a client can ask, and a stream that is read as it comes. */
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestTls } from 'node:https'

/** Where a test asks. */
export interface TcpPlace {
  /** `http://127.0.0.1:…` or `https://127.0.0.1:…`. */
  readonly url: string
  /** The certificate that is trusted, and no other. */
  readonly ca?: string | undefined
}

export interface TcpQuestion {
  readonly path: string
  readonly method?: string
  readonly token?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** The address that the client asks from: 127/8 is ours as a whole. */
  readonly from?: string
}

export interface TcpAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
  /** The code of a problem, or ''. */
  readonly code: string
}

/** Asks and reads the whole answer. Rejects when the connection fails. */
export async function ask(place: TcpPlace, question: TcpQuestion): Promise<TcpAnswer> {
  const response = await open(place, question)
  let text = ''
  for await (const chunk of response) text += String(chunk)
  const isProblem = response.headers['content-type'] === 'application/problem+json'
  const code = isProblem ? String((JSON.parse(text) as { code: unknown }).code) : ''
  return { status: response.statusCode ?? 0, headers: response.headers, text, code }
}

/** Asks, and resolves at the head of the answer. */
export function open(place: TcpPlace, question: TcpQuestion): Promise<IncomingMessage> {
  const url = new URL(place.url)
  const { path, method = 'GET', token, headers = {}, body, from } = question
  const request = url.protocol === 'https:' ? requestTls : requestHttp
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: url.hostname,
        port: url.port,
        path,
        method,
        agent: false,
        headers: {
          host: url.host,
          ...(body === undefined ? {} : { 'content-length': String(body.length) }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
        ...(place.ca === undefined ? {} : { ca: place.ca, servername: '' }),
        ...(from === undefined ? {} : { localAddress: from }),
      },
      resolve,
    )
    sent.on('error', reject)
    sent.end(body)
  })
}
