import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRORS, OverlayError } from '../../overlay/errors.ts';
import { formatId } from '../../overlay/id.ts';
import { parseInvitation } from '../../overlay/invitation.ts';
import { systemClock } from '../../overlay/lib/clock.ts';
import type { NodeStatus } from '../../overlay/messages/control.ts';
import { type RdOptions, valueOf } from '../command.ts';
import { fields, print, printJson } from '../output.ts';
import { Progress } from '../progress.ts';
import { askRd, rdAnswers, runDirectory } from '../rd-client.ts';
import { launchRd } from '../rd-launch.ts';
import { daemonConfig } from './rd.ts';

export type JoinOptions = RdOptions & {
  readonly name?: string;
  readonly groups?: string[];
  readonly config?: string;
  readonly data?: string;
  readonly listen?: string;
  /** Seconds to wait for the node's place on the ring. */
  readonly wait: number;
};

const POLL_MS = 100;

/** `-` for the invitation: it is read from standard input. */
export async function run(given: string, options: JoinOptions): Promise<void> {
  // The invitation is a secret, and everybody may read the arguments of a process until this replaces them.
  process.title = 'p2pxbone join';
  const invitation = given === '-' ? (await text(process.stdin)).trim() : given;
  const where = runDirectory(options.run);
  // What can be said without asking anybody is said first.
  const { vi, expires } = valueOf(parseInvitation(invitation));
  if (expires * 1000 < systemClock.wall()) throw new OverlayError('INVITATION_EXPIRED');
  const progress = new Progress(options.json);
  try {
    if (!(await rdAnswers(where))) await startDaemon(where, options, progress);
    progress.step(`joining ${vi}`);
    const question = {
      t: 'join' as const,
      invitation,
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(options.netns === undefined ? {} : { netns: options.netns }),
      ...(options.groups === undefined ? {} : { groups: options.groups }),
    };
    const joined = valueOf(
      await askRd(where, question, 'joined', { timeoutMs: 60_000, onProgress: (step) => progress.step(step) }),
    );
    const node = await untilMember(where, joined.node, options.wait, progress);
    progress.end();
    if (options.json) return printJson({ node });
    print(
      fields([
        ['joined', `VI ${node.vi.name} as ${node.name}`],
        ['id', formatId(node.id)],
        ['addresses', `${node.ipv4}, ${node.ipv6}`],
        ['interface', node.interface + (node.netns === null ? '' : ` in network namespace ${node.netns}`)],
        ['ring', node.phase],
      ]),
    );
  } finally {
    progress.end();
  }
}

async function startDaemon(where: string, options: JoinOptions, progress: Progress): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new OverlayError('NOT_PERMITTED', 'Starting the resource daemon needs root: run this as root or with sudo.');
  }
  progress.step('starting the resource daemon');
  const config = daemonConfig(options);
  valueOf(
    await launchRd({
      run: where,
      data: config.data,
      ...(options.config === undefined ? {} : { config: options.config }),
      ...(options.listen === undefined ? {} : { listen: options.listen }),
    }),
  );
}

/** The node once it is on the ring; it stays configured, and goes on trying, where that takes longer. */
async function untilMember(where: string, joined: NodeStatus, wait: number, progress: Progress): Promise<NodeStatus> {
  let node = joined;
  const until = systemClock.wall() + wait * 1000;
  while (!onRing(node)) {
    if (systemClock.wall() >= until) {
      const why = node.problem ?? ERRORS.NOT_READY.text;
      throw new OverlayError('NOT_READY', `${node.name} has joined but is not on the ring after ${wait} s: ${why}`);
    }
    progress.step(`finding a place on the ring (${node.phase})`);
    await sleep(POLL_MS);
    const status = valueOf(await askRd(where, { t: 'status' }, 'status'));
    const now = status.nodes.find((other) => other.vi.id === joined.vi.id && other.id === joined.id);
    if (now === undefined) throw new OverlayError('NOT_FOUND', `${joined.name} has left before it was on the ring.`);
    node = now;
  }
  return node;
}

function onRing(node: NodeStatus): boolean {
  return node.phase === 'forming' || node.phase === 'formed';
}
