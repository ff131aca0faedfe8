/**
 * Two data planes on the loopback interface of this process's namespace, the second at the UDP port given, one measurement
 * of the way there, its outcome as JSON.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { createDataPlane, type DataPlane, type NativeEvent } from '../index.ts';
import { makeCa } from './certificates.ts';
import { eventually, unwrap } from './lab.ts';

const VI = 'vi-lab.p2pxbone.internal';
/** The search for the largest datagram fills a slow link at first. */
const QUIET_MS = 1500;
const MEASURED_MS = 5000;

const ca = await makeCa();
const planes: DataPlane[] = [];
const events: NativeEvent[][] = [];
for (const name of ['node-a', 'node-b']) {
  const plane = unwrap(createDataPlane({ keepAliveMs: 500, silenceMs: 5000 }));
  const heard: NativeEvent[] = [];
  plane.onEvents((batch) => heard.push(...batch));
  unwrap(plane.setCredential({ serverName: VI, ...(await ca.issue(name)) }));
  planes.push(plane);
  events.push(heard);
}
const [a, b] = planes as [DataPlane, DataPlane];
const address = '127.0.0.1';
unwrap(a.bind({ address, port: 0 }));
const peer = unwrap(b.bind({ address, port: Number(process.argv[2]) }));
const association = unwrap(a.associate(peer, VI));
const of = <Type extends NativeEvent['type']>(type: Type): Extract<NativeEvent, { type: Type }> | undefined =>
  events[0]?.find((event): event is Extract<NativeEvent, { type: Type }> => event.type === type);
await eventually('association.up', () => of('association.up'));
await delay(QUIET_MS);
unwrap(a.measure(association, true));
const { rttMs, bitsPerSecond } = await eventually('a measurement', () => of('association.measured'), MEASURED_MS);
const isBusy = !a.measure(association, false).ok;
process.stdout.write(`${JSON.stringify({ rttMs, bitsPerSecond, isBusy })}\n`);
for (const plane of planes) plane.close();
