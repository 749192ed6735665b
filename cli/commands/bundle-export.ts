/**
 * `nixfleet bundle export -o FILE` and `bundle vector -o FILE`: what the peer holds, as a file.
 *
 * The file stands under its name only when it is whole: until then it is `FILE.part`.
 */
import { existsSync, readFileSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { readVectorFile } from '../../protocol/index.ts'
import { type BundleSource, openBundleFile, verifyBundle } from '../bundle-file.ts'
import { bundleFault, describeBundle } from '../bundle-report.ts'
import type { Context } from '../context.ts'
import { CliError, usage } from '../errors.ts'
import { EXIT_OK } from '../exit-codes.ts'
import { cliDocument } from '../output.ts'
import { progressBar } from '../progress.ts'
import { type CommandInput, flagOption, textOption } from '../registry.ts'
import { bytesText } from '../words.ts'

export async function run(context: Context, input: CommandInput): Promise<number> {
  const given = textOption(input.options, 'out')
  if (given === undefined) throw usage('expected --out with the file to write, found none')
  const path = resolve(context.cwd, given)
  if (existsSync(path)) throw new CliError('NF-1006', `${path} exists already`)
  return input.command.name === 'bundle vector'
    ? await saveVector(context, path)
    : await saveBundle(context, input, path)
}

async function saveVector(context: Context, path: string): Promise<number> {
  const { out } = context
  const asked = { from: '/api/v1/bundle/vector' }
  const { bytes } = await save(context, path, asked, async (source) => {
    await readVectorFile(source.chunks())
  })
  if (out.human) out.line(`wrote ${path} (${bytesText(bytes)})`)
  else out.document(cliDocument('VectorExported', { path, bytes }))
  out.note(`next: nixfleet bundle export --since ${path} --out …, at the other side`)
  return EXIT_OK
}

async function saveBundle(context: Context, input: CommandInput, path: string): Promise<number> {
  const { out } = context
  const since = textOption(input.options, 'since')
  const body = since === undefined ? new Uint8Array(0) : readVector(resolve(context.cwd, since))
  const closures = flagOption(input.options, 'closures') ? 'yes' : 'no'
  const asked = { from: `/api/v1/bundle/export?closures=${closures}`, body }
  const { bytes, checked } = await save(context, path, asked, (source) => verifyBundle(source, {}))
  const { header } = checked
  if (!out.human) {
    const { since: from, until, contents } = header
    out.document(cliDocument('BundleExported', { path, bytes, since: from, until, contents }))
    return EXIT_OK
  }
  describeBundle(out, header, bytes)
  out.line(`wrote ${path}`)
  return EXIT_OK
}

function readVector(path: string): Uint8Array {
  if (!existsSync(path)) throw new CliError('NF-1005', `${path} is not there`)
  return readFileSync(path)
}

/** What is asked for: by POST if there is a body. */
interface Asked {
  readonly from: string
  readonly body?: Uint8Array | undefined
}

/** Downloads, checks, and then names the file. Throws NF-3005 when the peer broke off, NF-3001. */
async function save<T>(
  context: Context,
  path: string,
  asked: Asked,
  check: (source: BundleSource) => Promise<T>,
): Promise<{ bytes: number; checked: T }> {
  const part = `${path}.part`
  try {
    const bytes = await download(context, part, asked)
    const checked = await checkFile(part, check)
    await rename(part, path)
    return { bytes, checked }
  } catch (error) {
    await rm(part, { force: true })
    throw bundleFault(error, path)
  }
}

async function download(context: Context, part: string, { from, body }: Asked): Promise<number> {
  const client = await context.connect()
  const bar = progressBar(context.out, context.now)
  const file = await open(part, 'w', 0o600)
  let bytes = 0
  const sink = {
    begin: async () => {
      await file.truncate(0)
      bytes = 0
    },
    write: async (chunk: Uint8Array) => {
      await file.write(chunk, 0, chunk.length, bytes)
      bytes += chunk.length
      bar.show(bytesText(bytes), 0)
    },
  }
  try {
    await client.download(from, sink, body)
    await file.sync()
    return bytes
  } catch (error) {
    if (bytes === 0) throw error
    throw new CliError('NF-3005', 'the peer broke off', {
      why: [`${bytesText(bytes)} had come`, error instanceof CliError ? error.why.join('; ') : ''],
      cause: error,
    })
  } finally {
    bar.done()
    await file.close()
  }
}

async function checkFile<T>(path: string, check: (source: BundleSource) => Promise<T>): Promise<T> {
  const file = await openBundleFile(path)
  try {
    return await check(file.source)
  } finally {
    await file.close()
  }
}
