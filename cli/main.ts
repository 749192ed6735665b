/** The entry point of `nixfleet`: the world in, an exit code out. */
import '../node/shims.ts'
import { processWorld } from './process-world.ts'
import { runCli } from './run.ts'

const world = processWorld()
process.exitCode = await runCli(process.argv.slice(2), world)
world.done()
