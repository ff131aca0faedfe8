import assert from 'node:assert/strict';
import { test } from 'node:test';
import { internetChecksum, vxlanPacket } from '../measure/vxlan-packet.ts';

const FRAME = { vni: 0x123456, fromMac: '02:00:00:00:00:0a', toMac: '02:00:00:00:00:0c' };

test('an IPv4 packet in VXLAN, byte by byte', () => {
  const { bytes, payloadOffset } = vxlanPacket({ ...FRAME, from: '10.77.0.1', to: '10.77.0.2', size: 64 });
  assert.equal(bytes.length, 8 + 14 + 64);
  assert.equal(payloadOffset, 50);
  const hex = Buffer.from(bytes).toString('hex');
  assert.equal(hex.slice(0, 16), '0800000012345600');
  assert.equal(hex.slice(16, 44), '02000000000c02000000000a0800');
  assert.match(hex.slice(44), /^450000400000000040116[0-9a-f]{3}0a4d00010a4d0002000900090{2}2c0000/);
  assert.equal(internetChecksum(bytes.subarray(22, 42)), 0, 'the header sums up with its checksum');
});

test('an IPv6 packet in VXLAN', () => {
  const { bytes, payloadOffset } = vxlanPacket({ ...FRAME, from: 'fd12::a', to: 'fd12::1:2:3:4', size: 1400 });
  assert.equal(bytes.length, 1422);
  assert.equal(payloadOffset, 70);
  const hex = Buffer.from(bytes).toString('hex');
  assert.equal(hex.slice(40, 44), '86dd');
  assert.equal(hex.slice(44, 60), '6000000005501140');
});
