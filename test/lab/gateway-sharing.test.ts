/**
 * Protocols for sharing files and for chat across a router's gateway: what can be managed of each. Where no program
 * is left that speaks it, the peers are the lab's own; IRC has a real server.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../overlay/lib/clock.ts';
import { Clamd, EICAR } from './clamd.ts';
import { EDonkey } from './peers/edonkey.ts';
import { FastTrack, Gnutella } from './peers/gnutella.ts';
import { Irc } from './peers/irc.ts';
import { Msn } from './peers/msn.ts';
import { OpenNap } from './peers/opennap.ts';
import type { Protocol } from './peers/session.ts';
import { Xmpp } from './peers/xmpp.ts';
import { CLIENT, RouterLab } from './router.ts';
import { Sockets } from './sockets.ts';
import { skip } from './topology.ts';

const AUDIT = 'audit: {directory: audit}\n';
const CLEAN = randomBytes(150_000);
const INFECTED = Buffer.concat([CLEAN.subarray(0, 60_000), Buffer.from(EICAR), CLEAN.subarray(60_000)]);
const LIMIT_BYTES = 400_000;
const LIMIT_MBITS = 4;

type Started = { readonly lab: RouterLab; readonly protocols: readonly Protocol[] };

async function start(context: TestContext): Promise<Started> {
  const lab = await RouterLab.create(context);
  const [near, far] = await Promise.all([Sockets.in(lab, lab.client), Sockets.in(lab, lab.server)]);
  const sides = { near, far };
  const protocols = [
    await FastTrack.start(sides),
    ...(await Gnutella.start(sides, CLIENT)),
    ...(await Msn.start(sides)),
    await OpenNap.start(sides),
    await Irc.start(lab, sides),
    await Xmpp.start(sides),
    await EDonkey.start(sides),
  ];
  return { lab, protocols };
}

function fileNamesOf(lab: RouterLab, application: string, sha256: string): unknown[] {
  const files = lab.told('fileinfo').filter(({ app_proto }) => app_proto === application);
  const facts = files.map(({ fileinfo }) => fileinfo as Record<string, unknown>);
  return facts
    .filter((file) => file['state'] === 'complete' && file['sha256'] === sha256)
    .map((file) => file['filename']);
}

test('sharing and chat are classified, filtered, scanned, recorded and limited', {
  skip,
  timeout: 180_000,
}, async (context) => {
  const { lab, protocols } = await start(context);
  const clamd = new Clamd(lab);
  await lab.startGateway(`${AUDIT}scan: {socket: ${clamd.socket}}
connectionCache: {denyFor: 0s}
lists:
  words: {patterns: [merger]}
rules:
  - {name: no secrets, when: {file: {name: ["*secret*"]}}, do: reject}
  - {name: no rumours, when: {chat: {text: words}}, do: drop}
  - {name: scan all, when: {file: {}}, do: scan}
`);
  await clamd.start();

  for (const protocol of protocols) {
    const { name, application } = protocol;
    const tune = `${name.replaceAll(/[^a-z]/giu, '')} tune.dat`;
    assert.ok(CLEAN.equals(await protocol.fetch(tune, CLEAN)), `${name}: the file is not what was sent`);
    const known = (await lab.flows()).filter((flow) => flow.application === application);
    assert.ok(
      known.some(({ bytesDown, bytesUp }) => bytesDown + bytesUp > CLEAN.length),
      `${name} is not recognised`,
    );
    const secret = await protocol.fetch('my secret.dat', CLEAN);
    assert.equal(secret.length, 0, `${name}: of a forbidden file ${secret.length} bytes came`);
    const infected = await protocol.fetch('infected.dat', INFECTED);
    // Of parts in any order nobody can say what is in the whole.
    if (!protocol.wholeFiles) assert.ok(INFECTED.equals(infected), `${name}: what cannot be scanned passes`);
    else assert.ok(infected.length < INFECTED.length, `${name}: an infected file came through`);
    if (protocol.say === undefined) continue;
    assert.equal(
      await protocol.say(`good morning by ${application}`),
      true,
      `${name}: a harmless message was not heard`,
    );
    assert.equal(await protocol.say('what of the merger tomorrow'), false, `${name}: a forbidden message was heard`);
  }

  const limit = `limits:\n  slow: {rate: ${LIMIT_MBITS} Mbit/s}\n`;
  const applications = [...new Set(protocols.map(({ application }) => application))];
  await lab.reload(
    `${AUDIT}${limit}rules:\n  - {when: {application: [${applications.join(', ')}]}, do: {limit: slow}}\n`,
  );
  const large = randomBytes(LIMIT_BYTES);
  for (const protocol of protocols) {
    const since = systemClock.now();
    assert.ok(large.equals(await protocol.fetch('large.dat', large)), `${protocol.name}: not whole`);
    const seconds = (systemClock.now() - since) / 1000;
    // Less what may go at once.
    assert.ok(seconds > (LIMIT_BYTES * 8) / (LIMIT_MBITS * 1e6) - 0.15, `${protocol.name}: ${seconds} s`);
  }
  await lab.stopGateway();

  const sha256 = createHash('sha256').update(CLEAN).digest('hex');
  const chats = lab.told('chat').map(({ app_proto, chat }) => ({ app_proto, ...(chat as { text: string }) }));
  type Alert = { readonly rule?: string; readonly malware?: string };
  const alerts = lab.told('alert').map(({ app_proto, alert }) => ({ app_proto, ...(alert as Alert) }));
  context.diagnostic('                     classify filter scan audit limit');
  for (const protocol of protocols) {
    const { name, application } = protocol;
    const talks = protocol.say !== undefined;
    const of = fileNamesOf(lab, application, sha256);
    const tune = `${name.replaceAll(/[^a-z]/giu, '')} tune.dat`;
    assert.deepEqual(of.includes(tune), protocol.wholeFiles, `${name}: recorded are ${JSON.stringify(of)}`);
    const told = alerts.filter(({ app_proto }) => app_proto === application);
    assert.ok(
      told.some(({ rule }) => rule === 'no secrets'),
      name,
    );
    assert.equal(
      told.some(({ malware }) => malware === 'Test-Body.UNOFFICIAL'),
      protocol.wholeFiles,
      name,
    );
    if (talks) {
      assert.ok(
        told.some(({ rule }) => rule === 'no rumours'),
        name,
      );
      assert.ok(
        chats.some((chat) => chat.app_proto === application && chat.text === `good morning by ${application}`),
        name,
      );
    }
    const whole = protocol.wholeFiles ? 'yes  yes  ' : 'no   no   ';
    context.diagnostic(`${name.padEnd(20)} yes      yes    ${whole} yes${talks ? '   (also chat)' : ''}`);
  }
});
