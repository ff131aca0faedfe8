/** Lets the user try things on the running demo. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import { idOfKey } from '../../overlay/id.ts';
import { paint, print } from '../output.ts';
import { COMMAND_FILE } from '../rd-launch.ts';
import { DEMO_VI } from './bring-up.ts';
import { keyAddressOf, type Member } from './check.ts';
import type { World } from './world.ts';

const HELP = `  ring [NODE]        the ring as NODE sees it      key NAME [NODE]    who is responsible for a key
  status [NODE]      a node and its daemons        get NAME [NODE]    HTTP request to a key
  tunnels [NODE]     its tunnels                   ping NODE NODE     from the first to the second
  routes [NODE]      its range routes              trace NODE NODE    the nodes on the way
  kill NODE          kill -9 and cable out         leave NODE         leave in good order
  help               this                          quit               remove the demo`;

type Place = { readonly world: World; members: Member[] };

export async function play(world: World, survivors: readonly Member[]): Promise<void> {
  const place: Place = { world, members: [...survivors] };
  print(`\n${paint('bold', 'Try it.')} Nodes: ${names(place)}.\n${HELP}\n`);
  const lines = createInterface({ input: process.stdin, output: process.stdout, prompt: 'demo> ' });
  // In raw mode the terminal gives Ctrl-C to the reader instead of a signal to the process.
  lines.on('SIGINT', () => lines.close());
  lines.prompt();
  for await (const line of lines) {
    const [verb = '', ...args] = line.trim().split(/\s+/);
    if (verb === 'quit' || verb === 'exit') break;
    try {
      if (verb !== '') await obey(place, verb, args);
    } catch (error) {
      print(paint('red', (error as Error).message));
    }
    lines.prompt();
  }
  lines.close();
  print('\nremoving the demo');
}

async function obey(place: Place, verb: string, args: readonly string[]): Promise<void> {
  switch (verb) {
    case 'ring':
    case 'status':
    case 'tunnels':
    case 'routes':
      return show(member(place, args[0]), [verb]);
    case 'key':
      return show(member(place, args[1]), ['key', args[0] ?? 'hello']);
    case 'get':
      return request(member(place, args[1]), args[0] ?? 'hello');
    case 'ping':
    case 'trace':
      return show(member(place, args[0]), [
        verb,
        member(place, args[1]).node.name,
        ...(verb === 'ping' ? ['-c', '2'] : []),
      ]);
    case 'kill':
      return kill(place, member(place, args[0] ?? ''));
    case 'leave':
      return leave(place, member(place, args[0] ?? ''));
    default:
      print(HELP);
  }
}

function member(place: Place, name: string | undefined): Member {
  const found = name === undefined ? place.members[0] : place.members.find(({ node }) => node.name === name);
  if (found === undefined) throw new Error(`Name one of these nodes: ${names(place)}.`);
  return found;
}

function names(place: Place): string {
  return place.members.map(({ node }) => node.name).join(', ');
}

/** The real command on the real terminal. */
function show({ machine, node }: Member, args: readonly string[]): Promise<void> {
  print(paint('dim', `${node.name}$ p2pxbone ${args.join(' ')}`));
  const { promise, resolve } = Promise.withResolvers<void>();
  const child = spawn(process.execPath, [COMMAND_FILE, ...args, '--run', machine.run], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  child.on('error', () => resolve());
  child.on('close', () => resolve());
  return promise;
}

async function request({ machine, node }: Member, key: string): Promise<void> {
  const address = keyAddressOf(node, idOfKey(key));
  const fetched = await (await machine.agent()).fetchOne(address);
  const answer = fetched.by === null ? paint('red', fetched.error ?? '') : `answered by ${paint('bold', fetched.by)}`;
  print(`${node.name}: GET http://[${address}]:8080/  →  ${answer}, ${fetched.ms.toFixed(1)} ms`);
}

async function kill(place: Place, victim: Member): Promise<void> {
  await victim.machine.killDaemons();
  await place.world.unplug(victim.machine);
  place.members = place.members.filter((other) => other !== victim);
  print(`${victim.node.name} has no power any more. Left: ${names(place)}.`);
}

async function leave(place: Place, leaver: Member): Promise<void> {
  await show(leaver, ['leave', DEMO_VI]);
  place.members = place.members.filter((other) => other !== leaver);
  print(`Left: ${names(place)}.`);
}
