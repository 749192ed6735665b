/**
 * The demo's web service, as it lies in a generation: real files that a real shell and Node run.
 *
 * Everything that differs between hosts comes from `ports.json` in NIXFLEET_STATE_DIR, so the same
 * tree, with the same hash, runs on each of them. No absolute path stands in it.
 */

/** `bin/switch-to-configuration`: ends the service that runs and starts this generation's. */
export const SWITCH_SCRIPT: string = `#!/bin/sh
# Makes this generation the one that serves. nixfleet calls it with NIXFLEET_GENERATION (this tree)
# and NIXFLEET_STATE_DIR (what the host keeps across generations).
set -eu
[ "\${1:-}" != boot ] || exit 0

pid=
read -r pid 2>/dev/null <"$NIXFLEET_STATE_DIR/web.pid" || true
serves() {
  [ -n "$pid" ] || return 1
  words=$(tr '\\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
  case $words in *"/bin/web.mjs serve $NIXFLEET_STATE_DIR "*) ;; *) return 1 ;; esac
}
if serves; then
  kill "$pid"
  tries=50
  while serves && [ "$tries" -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
  if serves; then kill -9 "$pid"; fi
fi
exec node "$NIXFLEET_GENERATION/bin/web.mjs" start "$NIXFLEET_STATE_DIR"
`

/** `bin/web.mjs`: two listeners, the page for everybody and the check for this host alone. */
export const WEB_PROGRAM: string = `// A small web service. The page of 'app.mjs' goes to everybody on the public port; the private port
// tells this host that the process lives.
import { spawn } from 'node:child_process'
import { openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [verb, state] = process.argv.slice(2)
const tree = dirname(dirname(fileURLToPath(import.meta.url)))
if (verb === 'start') start()
else await serve()

/** Starts the service in a session of its own and leaves when it serves: it outlives everything else. */
function start() {
  const log = openSync(join(state, 'web.log'), 'a')
  const program = fileURLToPath(import.meta.url)
  const child = spawn(process.execPath, ['--max-semi-space-size=1', program, 'serve', state], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  })
  child.once('message', () => process.exit(0))
  child.once('exit', (code, signal) => {
    process.stderr.write('the web service ended at once (' + (signal ?? code) + '), see web.log\\n')
    process.exit(1)
  })
}

async function serve() {
  const ports = JSON.parse(readFileSync(join(state, 'ports.json'), 'utf8'))
  const { page } = await import(new URL('../app.mjs', import.meta.url))
  await Promise.all([
    listen(ports.web, async (request, response) => {
      try {
        const html = await page({ tree, ports, host: ports.host })
        response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(html)
      } catch (error) {
        response.writeHead(500, { 'content-type': 'text/plain' }).end(error.message + '\\n')
      }
    }),
    listen(ports.health, (request, response) => response.end('ok\\n')),
  ])
  writeFileSync(join(state, 'web.pid'), process.pid + '\\n')
  process.send?.('ready', () => process.disconnect())
}

function listen(port, answer) {
  return new Promise((resolve, reject) => {
    const server = createServer(answer)
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
}
`

/** `app.mjs` of a good release: the page out of `www/`. */
export const GOOD_APP: string = `import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export function page({ tree, host }) {
  return readFileSync(join(tree, 'www', 'index.html'), 'utf8').replaceAll('{{host}}', host)
}
`

/**
 * `app.mjs` with a bug that only visitors meet: the page includes a file that nobody put into the
 * release. The process lives and its host's own check stays green.
 */
export const BROKEN_APP: string = `import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export function page({ tree, host }) {
  const menu = readFileSync(join(tree, 'www', 'menu.html'), 'utf8')
  const index = readFileSync(join(tree, 'www', 'index.html'), 'utf8')
  return index.replaceAll('{{host}}', host).replace('<main>', menu + '<main>')
}
`

/**
 * `app.mjs` with a dependency: it asks the stock service for a number with every page, and has no
 * answer of its own when that service is gone.
 */
export const DEPENDENT_APP: string = `import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'

export async function page({ tree, host, ports }) {
  const stock = await ask('http://127.0.0.1:' + ports.stock + '/stock')
  const index = readFileSync(join(tree, 'www', 'index.html'), 'utf8')
  return index.replaceAll('{{host}}', host).replaceAll('{{stock}}', stock)
}

function ask(url) {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false, timeout: 500 }, async (response) => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve(text.trim())
    })
    request.on('timeout', () => request.destroy(new Error('no answer from the stock service')))
    request.on('error', reject)
  })
}
`
