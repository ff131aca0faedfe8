/** The commands and their options. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ERRORS, EXIT, OverlayError } from '../overlay/errors.ts';
import { GROUPS_MAX, NAME_PATTERN } from '../overlay/fields.ts';
import { parseDuration, printJson } from './output.ts';

const ADMIN_HELP =
  'The overlay manager is found by --om, --data or P2PXBONE_OM_DATA (default /var/lib/p2pxbone/om);\n' +
  'from another machine give --om HOST:PORT --token-file FILE --ca FILE.';

const QOS_HELP =
  'It replaces whatever shaped that direction before. It holds, also when the tunnel is made anew, until it is cleared or\n' +
  'the resource daemon restarts; what is to stay belongs into the VI’s definition (shape: in vi.yaml).';

export async function runCommandLine(argv: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(argv);
  } catch (error) {
    report(error, argv.includes('--json'));
  }
}

function report(error: unknown, json: boolean): void {
  if (error instanceof CommanderError) {
    // Commander has said what is wrong; help and version end here too, with 0.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (json && process.exitCode !== EXIT.done) {
      printJson({ error: { code: 'BAD_ARGUMENT', message: error.message.replace(/^error: /, '') } });
    }
    return;
  }
  const known = error instanceof OverlayError;
  const code = known ? error.code : 'INTERNAL';
  const message = error instanceof Error ? error.message : String(error);
  if (json) printJson({ error: { code, message } });
  process.stderr.write(`p2pxbone: ${known ? message : `${ERRORS.INTERNAL.text} (${message})`}\n`);
  if (!known && process.env['P2PXBONE_DEBUG'] === '1' && error instanceof Error) {
    process.stderr.write(`${error.stack ?? ''}\n`);
  }
  process.exitCode = ERRORS[code].exit;
}

export function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

export function createProgram(): Command {
  const program = new Command('p2pxbone')
    .description('An overlay virtual network whose tunnels and routes are driven by a distributed hash table.')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help')
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`p2pxbone: ${text.replace(/^error: /, '')}`) });
  addManagerCommands(program);
  addDaemonCommands(program);
  addLookingCommands(program);
  addQosCommands(program);
  addGatewayCommands(program);
  addOtherCommands(program);
  return program;
}

function addManagerCommands(program: Command): void {
  const om = program.command('om').description('the overlay manager');
  command(om, 'start', 'run the overlay manager in the foreground', [
    'om start --data /var/lib/p2pxbone/om --listen 0.0.0.0:4781',
  ])
    .option('--config <file>', 'configuration file, YAML')
    .option('--data <dir>', 'directory of its database, keys and admin token')
    .option('--listen <addr:port>', 'address and port of the HTTPS API')
    .action(async (options) => (await import('./commands/om.ts')).start(options));

  const vi = program.command('vi').description('virtual Internets');
  admin(command(vi, 'create <name>', 'create a VI', ['vi create lab', 'vi create lab --file vi.yaml']))
    .option('--file <file>', 'definition of the VI, YAML; everything has a default')
    .action(async (name, options) => (await import('./commands/vi.ts')).create(name, options));
  admin(command(vi, 'list', 'list the VIs', ['vi list'])).action(async (options) =>
    (await import('./commands/vi.ts')).list(options),
  );
  admin(command(vi, 'show <name>', 'show a VI and its nodes', ['vi show lab'])).action(async (name, options) =>
    (await import('./commands/vi.ts')).show(name, options),
  );
  admin(command(vi, 'delete <name>', 'delete a VI; its nodes can renew nothing afterwards', ['vi delete lab']))
    .option('--force', 'also while it has nodes')
    .action(async (name, options) => (await import('./commands/vi.ts')).remove(name, options));

  admin(
    command(program, 'invite <vi>', 'make an invitation to a VI and print it', [
      'invite lab',
      'invite lab --expires 1d --uses 10',
      'invite lab --list',
    ]),
  )
    .option('--expires <time>', 'lifetime: 90s, 15m, 1h, 7d', durationOf, 3600)
    .option('--uses <n>', 'number of nodes that may join by it', integerOf(1, 1_000_000), 1)
    .option('--groups <a,b>', 'security groups of the nodes that join by it', groupsOf)
    .option('--list', 'list the invitations instead')
    .option('--revoke <id>', 'revoke an invitation instead')
    .action(async (name, options) => (await import('./commands/invite.ts')).run(name, options));

  const node = program.command('node').description('nodes, as the overlay manager knows them');
  admin(command(node, 'list <vi>', 'list the nodes of a VI', ['node list lab'])).action(async (name, options) =>
    (await import('./commands/node.ts')).list(name, options),
  );
  admin(
    command(
      node,
      'delete <vi> <node>',
      'remove a node from a VI and revoke its certificates; its address is free when they have expired',
      ['node delete lab n7'],
    ),
  ).action(async (name, node, options) => (await import('./commands/node.ts')).remove(name, node, options));
}

function addDaemonCommands(program: Command): void {
  const rd = program.command('rd').description('the resource daemon');
  daemon(
    command(rd, 'start', 'run the resource daemon in the foreground, as root', ['rd start --config rd.yaml']),
  ).action(async (options) => (await import('./commands/rd.ts')).start(options));
  json(
    daemon(
      command(
        program,
        'join <invitation>',
        'join a VI; starts the resource daemon where none runs; - reads standard input',
        ['join pxb1_AXk0… --name web1', 'join - < invitation.txt', 'join pxb1_AXk0… --netns blue'],
      ),
    ),
  )
    .option('--name <name>', 'name of the node; default: the name of the host')
    .option('--netns <ns>', 'network namespace for the node; default: that of the daemon')
    .option(
      '--groups <a,b>',
      'those of the invitation’s security groups to take; default: as the daemon’s configuration says, else all',
      groupsOf,
    )
    .option('--wait <seconds>', 'how long to wait for a place on the ring', integerOf(0, 3600), 60)
    .action(async (invitation, options) => (await import('./commands/join.ts')).run(invitation, options));
  json(
    run(command(program, 'leave <vi>', 'leave a VI; what the node answered for is handed over first', ['leave lab'])),
  )
    .option('--netns <ns>', 'the node in this network namespace')
    .option('--host', 'the node in the daemon’s own network namespace')
    .action(async (name, options) => (await import('./commands/leave.ts')).run(name, options));
}

function addLookingCommands(program: Command): void {
  json(run(command(program, 'status', 'show the daemon and its virtual nodes', ['status', 'status --json']))).action(
    async (options) => (await import('./commands/status.ts')).run(options),
  );
  node(
    command(program, 'ring', 'show the ring, as the overlay manager lists it and this node sees it', ['ring']),
  ).action(async (options) => (await import('./commands/ring.ts')).run(options));
  node(command(program, 'tunnels', 'list the tunnels', ['tunnels', 'tunnels --vi lab --json'])).action(
    async (options) => (await import('./commands/tunnels.ts')).run(options),
  );
  node(command(program, 'routes', 'list the range routes', ['routes'])).action(async (options) =>
    (await import('./commands/routes.ts')).run(options),
  );
  node(
    command(program, 'flows', 'list the TCP and UDP connections of this node’s programs over the VI', ['flows --json']),
  ).action(async (options) => (await import('./commands/flows.ts')).run(options));
  node(
    command(program, 'key <string>', 'show a key’s id, its address and the node now responsible', ['key hello']),
  ).action(async (key, options) => (await import('./commands/key.ts')).run(key, options));
  families(
    node(
      command(program, 'ping <target>', 'ping a node’s name, an address, or key:STRING', [
        'ping web1',
        'ping key:hello -c 1',
      ]),
    ),
  )
    .option('-c, --count <n>', 'number of requests', integerOf(1, 1_000_000), 4)
    .option('-i, --interval <seconds>', 'time between requests', numberOf)
    .action(async (target, options) => (await import('./commands/ping.ts')).run(target, options));
  families(
    node(
      command(program, 'trace <target>', 'show the nodes on the way to a name, an address, or key:STRING', [
        'trace web1',
        'trace key:hello',
      ]),
    ),
  )
    .option('-m, --hops <n>', 'largest number of hops', integerOf(1, 64), 32)
    .action(async (target, options) => (await import('./commands/trace.ts')).run(target, options));
}

function addQosCommands(program: Command): void {
  const qos = program.command('qos').description('quality of service of tunnels: rate, delay, loss, each way');
  node(
    command(qos, 'show [peer]', 'show what is in effect, and whether a command or the VI’s definition has set it', [
      'qos show',
      'qos show n2 --json',
    ]),
  ).action(async (peer, options) => (await import('./commands/qos.ts')).show(peer, options));
  node(
    command(qos, 'set <peer>', 'shape the tunnel to a peer, given by its name, address or id', [
      'qos set n2 --rate 10mbit --delay 20ms',
      'qos set n2 --in --loss 1%',
      'qos set 10.77.0.9 --out --rate 2mbit --burst 15kB --queue 100kB --delay 40ms --jitter 5ms',
    ]),
  )
    .option('--rate <rate>', 'highest rate of inner IP packets: 500kbit, 10mbit, 1gbit')
    .option('--burst <size>', 'what may pass at once after a pause (default: 10 ms of the rate, at least 15kB)')
    .option('--queue <size>', 'what may wait, more is dropped (default: 100 ms of the rate, at least 30kB)')
    .option('--delay <time>', 'added delay: 500us, 20ms, 1s')
    .option('--jitter <time>', 'by so much the delay varies up and down; packets keep their order')
    .option('--loss <share>', 'share of packets lost: 1%')
    .option('--reorder <share>', 'share of packets that skip the delay and overtake others: 5%')
    .option('--in', 'shape what comes from the peer')
    .option('--out', 'shape what goes to the peer')
    .option('--both', 'shape both directions, each by itself (default)')
    .addHelpText('after', `\n${QOS_HELP}`)
    .action(async (peer, options) => (await import('./commands/qos.ts')).set(peer, options));
  node(
    command(qos, 'clear [peer]', 'end what was set by command; the VI’s definition holds again', [
      'qos clear n2',
      'qos clear --all',
    ]),
  )
    .option('--all', 'for all peers')
    .action(async (peer, options) => (await import('./commands/qos.ts')).clear(peer, options));
}

function addGatewayCommands(program: Command): void {
  const gateway = program
    .command('gateway')
    .description('the management gateway: applications, files, chat, bandwidth');
  const gatewayNamed = (made: Command): Command =>
    json(made)
      .option(
        '--vi <name>',
        'the policy is for virtual nodes of this VI, and may name nodes and groups: who that is now',
      )
      .option('--netns <ns>', "as the node in this network namespace knows them; '' is the host's own")
      .option('--run <directory>', 'where sockets are (default: P2PXBONE_RUN or /run/p2pxbone)');
  gatewayNamed(
    command(gateway, 'check <file>', 'check a policy; every mistake with its line and what to do', [
      'gateway check policy.yaml',
      'gateway check policy.yaml --vi lab',
      'gateway check policy.yaml --json',
    ]),
  ).action(async (file, options) => (await import('./commands/gateway.ts')).check(file, options));
  gatewayNamed(
    command(gateway, 'explain <policy>', 'what a policy says to a flow, a file or a message, and by which rule', [
      'gateway explain policy.yaml --from 10.77.8.3 --to 192.0.2.1 --port 80 --application http',
      'gateway explain policy.yaml --from 10.77.8.3 --to 192.0.2.1 --application ftp --file song.mp3',
      'gateway explain policy.yaml --from 10.77.8.3 --to 192.0.2.1 --application irc --chat "a secret"',
      'gateway explain policy.yaml --vi lab --from node:n3 --to node:n7 --port 22',
      'gateway explain policy.yaml --flow 17      one that gateway top shows',
    ]),
  )
    .option('--from <address>', 'who begins the flow; with --vi also node:NAME')
    .option('--to <address>', 'the other end; likewise')
    .option(
      '--flow <n>',
      'instead: a flow of the gateway that runs, by its number in gateway top',
      integerOf(0, 2 ** 53 - 1),
    )
    .option('--nfqueue <n>', 'with --flow, of a router: number of its queue', integerOf(0, 65_535), 0)
    .option('--port <n>', 'of the other end', integerOf(0, 65_535))
    .option('--protocol <name>', 'tcp, udp, icmp, icmpv6 or a number', 'tcp')
    .option('--application <name>', 'what the flow carries; not known yet if absent')
    .option('--host <name>', 'of TLS, QUIC or HTTP')
    .option('--file <path>', 'a file that passes: its name, and if it is there its size, type and hash')
    .option('--upload', 'the file is sent by who began the flow')
    .option('--chat <text>', 'a message that passes')
    .option('--at <time>', 'when, as 2026-11-22T09:30 (default: now)')
    .action(async (policy, options) => (await import('./commands/gateway-explain.ts')).explain(policy, options));
  const gatewayQueue = (made: Command): Command =>
    json(made)
      .option('--nfqueue <n>', 'number of the queue', integerOf(0, 65_535), 0)
      .option('--run <directory>', 'where sockets are (default: P2PXBONE_RUN or /run/p2pxbone)');
  gatewayQueue(
    command(gateway, 'run', 'manage what passes a Linux router: packets that its firewall queues (NFQUEUE), as root', [
      'gateway run --policy policy.yaml',
      'gateway run --nfqueue 3 --policy policy.yaml --rules set',
    ]),
  )
    .requiredOption('--policy <file>', 'what to do; see docs/gateway-policy.md')
    .addOption(
      new Option('--rules <how>', 'the firewall’s rules: print them, or set them until the end')
        .choices(['print', 'set'])
        .default('print'),
    )
    .option('--fail-open', 'let packets pass unseen when the gateway cannot keep up, or does not run')
    .option('--packets <n>', 'packets that may wait for a verdict', integerOf(64, 1_000_000), 65_536)
    .option('--name <text>', 'name under which it records (default: the host’s)')
    .action(async (options) => (await import('./commands/gateway-run.ts')).run(options));
  const gatewayRunning = (made: Command): Command =>
    gatewayQueue(made)
      .option('--vi <name>', 'of the virtual nodes of this VI here, by its name or id')
      .option('--netns <ns>', "likewise, of those in this network namespace; '' is the host's own");
  gatewayRunning(
    command(gateway, 'reload', 'read the policy again; no packet and no flow is lost', [
      'gateway reload --vi lab',
      'gateway reload --nfqueue 3',
    ]),
  ).action(async (options) => (await import('./commands/gateway-watch.ts')).reload(options));
  gatewayRunning(
    command(gateway, 'top', 'the flows with the most bytes, and what the gateway does', [
      'gateway top --vi lab',
      'gateway top --once --flows 50 --json',
    ]),
  )
    .option('--flows <n>', 'so many flows', integerOf(0, 10_000), 20)
    .option('--once', 'show it once and end')
    .action(async (options) => (await import('./commands/gateway-watch.ts')).top(options));
}

function addOtherCommands(program: Command): void {
  json(
    command(program, 'demo', 'bring up a whole VI in network namespaces on this machine, as root', [
      'demo',
      'demo --nodes 5 --check',
      'demo --keep',
    ]),
  )
    .option('--nodes <n>', 'number of virtual nodes', integerOf(2, 64), 8)
    .option('--check', 'verify everything; the exit code tells')
    .option('--keep', 'leave it up and print commands to try')
    .option('--remove <id>', 'remove a demo that was kept')
    .action(async (options) => (await import('./commands/demo.ts')).run(options));
  run(
    command(program, 'bugreport', 'collect versions, configuration without secrets and state in one file', [
      'bugreport',
      'bugreport --scenario plan.json     then, in the sources: npm run sim -- --plan plan.json',
    ]),
  )
    .option('--scenario <file>', 'write the latest events of the node as a plan for the simulator, and nothing else')
    .option('--vi <name>', 'of which VI, where several nodes are here')
    .option('--output <file>', 'the file; default: p2pxbone-bugreport-TIME.json here')
    .option('--config <file>', 'configuration file of the daemon, to be included')
    .action(async (options) => (await import('./commands/bugreport.ts')).run(options));
}

function command(parent: Command, nameAndArguments: string, text: string, examples: readonly string[]): Command {
  return parent
    .command(nameAndArguments)
    .description(text)
    .addHelpText('after', `\nExample:\n${examples.map((example) => `  p2pxbone ${example}`).join('\n')}`);
}

function json(command: Command): Command {
  return command.option('--json', 'print JSON');
}

function run(command: Command): Command {
  return command.addOption(
    new Option('--run <dir>', 'directory of the daemon’s control socket (default: /run/p2pxbone)').env('P2PXBONE_RUN'),
  );
}

function node(command: Command): Command {
  return json(run(command))
    .option('--vi <name>', 'the VI, by its name or id, where the daemon serves several')
    .option('--netns <ns>', "the network namespace, where a VI has several nodes here; '' is the host's own");
}

function families(command: Command): Command {
  return command.option('-4, --ipv4', 'use the IPv4 address').option('-6, --ipv6', 'use the IPv6 address');
}

function daemon(command: Command): Command {
  return run(command)
    .option('--config <file>', 'configuration file, YAML')
    .option('--data <dir>', 'directory of keys, certificates and memberships')
    .option('--listen <addr:port>', 'UDP address and port of the base network for tunnels');
}

function admin(command: Command): Command {
  return json(command)
    .option('--om <host:port>', 'address of the overlay manager')
    .addOption(
      new Option('--data <dir>', 'data directory of the overlay manager on this machine').env('P2PXBONE_OM_DATA'),
    )
    .option('--token-file <file>', 'file with the admin token')
    .option('--ca <file>', 'file with the overlay manager’s CA certificate')
    .addHelpText('after', `\n${ADMIN_HELP}`);
}

function integerOf(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
  };
}

function numberOf(text: string): number {
  const value = Number(text);
  if (text !== '' && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('Give a number above 0.');
}

function durationOf(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined || seconds < 1) throw new InvalidArgumentError('Give a time such as 90s, 15m, 1h or 7d.');
  return seconds;
}

/** An empty text is an empty list. */
function groupsOf(text: string): string[] {
  const groups = text.split(',').flatMap((item) => item.trim() || []);
  const wrong = groups.find((group) => !new RegExp(NAME_PATTERN).test(group));
  if (wrong === undefined && groups.length <= GROUPS_MAX) return [...new Set(groups)];
  throw new InvalidArgumentError(
    wrong === undefined
      ? `Give at most ${GROUPS_MAX} groups.`
      : `'${wrong}' is no name of a group; give small letters, digits and hyphens, at most 32.`,
  );
}
