/**
 * The P2P daemon of one virtual node. Started by the resource daemon as root inside the node's network namespace:
 *
 *     node p2pd/driver/main.ts --socket PATH --vi ID --node HEXID --uid N [--log-level LEVEL]
 *
 * Exit codes as of every command: 0 left the ring or was told to stop, 1 failed, 2 usage, 3 not permitted.
 */
import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { ERRORS, EXIT, type ExitCode } from '../../overlay/errors.ts';
import { parseId } from '../../overlay/id.ts';
import { createLog, type LogLevel } from '../../overlay/lib/log.ts';
import { Daemon } from './daemon.ts';
import { dropPrivileges } from './privileges.ts';

const LOG_LEVELS: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];
const USAGE = 'usage: p2pd --socket PATH --vi ID --node HEXID --uid N [--log-level LEVEL]';

function end(code: ExitCode, sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(code);
}

type Arguments = { socket: string; vi: string; node: string; uid: string; level: string };

function readArguments(): Arguments {
  try {
    const text = { type: 'string' } as const;
    const options = { socket: text, vi: text, node: text, uid: text, 'log-level': text } as const;
    const { socket, vi, node, uid, 'log-level': level = 'info' } = parseArgs({ options }).values;
    if (socket !== undefined && vi !== undefined && node !== undefined && uid !== undefined) {
      return { socket, vi, node, uid, level };
    }
  } catch (error) {
    return end(EXIT.usage, `${(error as Error).message} ${USAGE}`);
  }
  return end(EXIT.usage, USAGE);
}

const args = readArguments();
const uid = Number(args.uid);
if (!Number.isSafeInteger(uid) || uid < 0) end(EXIT.usage, `--uid takes a number. ${USAGE}`);
// Where NODE_COMPILE_CACHE names a directory, only root may write to it, so now is the time. It halves the start-up time
// and saves a quarter of the memory.
flushCompileCache();
const dropped = dropPrivileges(uid);
if (!dropped.ok) end(ERRORS[dropped.code].exit, dropped.message);

const node = parseId(args.node);
if (node === undefined) end(EXIT.usage, `--node takes 16 hexadecimal digits. ${USAGE}`);
const level = LOG_LEVELS.find((name) => name === args.level);
if (level === undefined) end(EXIT.usage, `--log-level takes one of ${LOG_LEVELS.join(', ')}. ${USAGE}`);

process.title = `p2pd ${args.vi} ${args.node}`;
process.on('SIGTERM', () => process.exit(EXIT.done));
// An interrupt from the terminal goes to the resource daemon too, which lets us leave the ring first.
process.on('SIGINT', () => undefined);

const log = createLog('p2pd', level).child({ vi: args.vi, node: args.node });
new Daemon({ socketPath: args.socket, vi: args.vi, node, log }).start();
