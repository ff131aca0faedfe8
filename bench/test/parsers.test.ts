import assert from 'node:assert/strict';
import { test } from 'node:test';
import { increase, parseLosses, totalOf } from '../measure/base-losses.ts';
import { intervalBytes, parseIperf3 } from '../measure/iperf3.ts';
import { parseBusySeconds, parseProcessSeconds } from '../measure/processor.ts';
import { parsePerfReport, sharesByObject } from '../measure/profile.ts';
import { parsePing } from '../measure/round-trip.ts';
import { longestGap, longestSilence, parseAnswerTimes } from '../measure/stalls.ts';

const IPERF3 = JSON.stringify({
  intervals: [
    { sum: { bytes: 125_000_000, omitted: true } },
    { sum: { bytes: 0, omitted: false } },
    { sum: { bytes: 250_000_000, omitted: false } },
  ],
  end: {
    sum_sent: { bits_per_second: 2.1e9, bytes: 260_000_000, retransmits: 7 },
    sum_received: { bits_per_second: 2e9, bytes: 250_000_000 },
  },
});

test('iperf3: throughput as received, the whole volume for processor time', () => {
  assert.deepEqual(parseIperf3(IPERF3), { gbitsPerSecond: 2, retransmits: 7, gbitsTotal: 3 });
  assert.deepEqual(intervalBytes(IPERF3), [125_000_000, 0, 250_000_000]);
});

test('iperf3: its error is the error', () => {
  assert.throws(() => parseIperf3('{"error": "unable to connect"}'), /unable to connect/);
  assert.throws(() => parseIperf3('{"intervals": []}'), /no summary/);
});

test('ping: times, and instants of the answers', () => {
  const text = [
    'PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.',
    '[1700000000.100000] 64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.021 ms',
    '[1700000000.120000] 64 bytes from 10.0.0.2: icmp_seq=2 ttl=64 time=12 ms',
    '[1700000001.620000] 64 bytes from 10.0.0.2: icmp_seq=77 ttl=64 time=0.5 ms',
    '3 packets transmitted, 3 received, 0% packet loss, time 20ms',
  ].join('\n');
  assert.deepEqual(parsePing(text), [0.021, 12, 0.5]);
  assert.ok(Math.abs(longestGap(parseAnswerTimes(text)) - 1.5) < 1e-3);
  assert.equal(longestGap([]), Infinity);
});

test('the longest run of empty intervals', () => {
  assert.ok(Math.abs(longestSilence([1, 0, 0, 5, 0, 0, 0], 0.1) - 0.3) < 1e-9);
  assert.equal(longestSilence([1, 2], 0.1), 0);
});

test('processor time leaves out idle, waiting and stolen', () => {
  assert.equal(parseBusySeconds('cpu  100 200 300 9999 8888 10 20 7777 0 0\ncpu0 1 2 3'), 6.3);
  const stat = `77 (a b) c) S ${Array.from({ length: 10 }, () => '0').join(' ')} 250 150 0 0`;
  assert.equal(parseProcessSeconds(stat), 4);
});

test('perf: functions with their shares, sums by object', () => {
  const text = [
    '# Overhead¦Command¦Shared Object¦Symbol',
    '    12.50%¦p2px-underlay  ¦[kernel.kallsyms]¦[k] tun_get_user',
    '     6.25%¦p2px-underlay  ¦node             ¦[.] gcm_ghash(a, b)',
    '     0.25%¦p2px-tap-read  ¦[kernel.kallsyms]¦[k] copy_page',
    '',
  ].join('\n');
  const functions = parsePerfReport(text);
  assert.equal(functions.length, 3);
  assert.deepEqual(functions[1], { share: 0.0625, thread: 'p2px-underlay', object: 'node', name: 'gcm_ghash(a, b)' });
  assert.deepEqual(sharesByObject(functions), [
    ['[kernel.kallsyms]', 0.1275],
    ['node', 0.0625],
  ]);
});

test('base losses: of the counters of snmp and netstat, only what is lost, and only the increase', () => {
  const at = (overflow: number, noRoutes: number): string =>
    [
      'Ip: Forwarding InReceives InHdrErrors InAddrErrors InDiscards',
      'Ip: 1 999 0 3 0',
      'Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors',
      `Udp: 500 1 ${overflow} 400 ${overflow} 0`,
      'IpExt: InNoRoutes InTruncatedPkts InOctets',
      `IpExt: ${noRoutes} 0 123456`,
    ].join('\n');
  const losses = increase(parseLosses(at(2, 0)), parseLosses(at(12, 4)));
  assert.deepEqual(losses, { 'Udp.InErrors': 10, 'Udp.RcvbufErrors': 10, 'IpExt.InNoRoutes': 4 });
  assert.equal(totalOf(losses), 24);
});
