import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from 'cborg';
import fc from 'fast-check';
import { SEAL_BYTES } from '../address-seal.ts';
import { encodeFrame, FRAME_BYTES_MAX, FrameReader } from '../frames.ts';
import { ADDRESS_BYTES_MAX, fromAddressServerCodec, toAddressServerCodec } from '../messages/address.ts';
import { P2PD_DATAGRAM_BYTES_MAX, p2pdCodec } from '../messages/p2pd-p2pd.ts';
import { toRdCodec } from '../messages/p2pd-rd.ts';
import { RD_RD_BYTES_MAX, rdCodec } from '../messages/rd-rd.ts';
import * as samples from './samples.ts';

test('the largest messages fit into their datagrams', () => {
  for (const message of samples.p2pd) assert.ok(p2pdCodec.encode(message).length <= P2PD_DATAGRAM_BYTES_MAX, message.t);
  for (const message of samples.toAddressServer) {
    assert.ok(toAddressServerCodec.encode(message).length + SEAL_BYTES <= ADDRESS_BYTES_MAX, message.t);
  }
  for (const message of samples.fromAddressServer) {
    assert.ok(fromAddressServerCodec.encode(message).length + SEAL_BYTES <= ADDRESS_BYTES_MAX, message.t);
  }
  for (const message of samples.rd) assert.ok(rdCodec.encode(message).length <= RD_RD_BYTES_MAX, message.t);
});

test('bytes that are no message are refused with a sentence', () => {
  const refused = (bytes: Uint8Array, pattern: RegExp): void => {
    const result = toRdCodec.decode(bytes);
    assert.ok(!result.ok && result.code === 'BAD_MESSAGE');
    assert.match(result.message, pattern);
  };
  refused(new Uint8Array(0), /Not a message/);
  refused(encode([1, 2]), /no map/);
  refused(encode({ a: 1 }), /no name/);
  refused(encode({ t: 'nonsense' }), /unknown message 'nonsense'/);
  refused(encode({ t: 'toString' }), /unknown message/);
  refused(encode({ t: '__proto__' }), /unknown message/);
  refused(encode({ t: 'contact.get' }), /'contact.get' field '\/request'/);
  refused(encode({ t: 'contact.get', request: -1 }), /request/);
  refused(encode({ t: 'contact.get', request: 1, more: 1 }), /more/);
  refused(Uint8Array.from([...encode({ t: 'left' }), 0]), /Not a message/);
});

test('an id is a bignum of exactly eight bytes', () => {
  const withId = (bytes: number[]): Uint8Array =>
    Uint8Array.from([0xa2, 0x61, 0x74, 0x6e, ...Buffer.from('tunnel.release'), 0x63, ...Buffer.from('key'), ...bytes]);
  assert.ok(toRdCodec.decode(withId([0xc2, 0x48, 0, 0, 0, 0, 0, 0, 0, 7])).ok);
  assert.ok(!toRdCodec.decode(withId([0xc2, 0x41, 7])).ok);
  assert.ok(!toRdCodec.decode(withId([0x07])).ok);
});

test('deep nesting is refused before it is followed', () => {
  const deep = new Uint8Array(200_000).fill(0x81);
  const result = toRdCodec.decode(deep);
  assert.ok(!result.ok);
  assert.match(result.message, /nested too deeply/);
});

test('encoding what does not match its schema is our own error', () => {
  assert.throws(() => toRdCodec.encode({ t: 'contact.get', request: -1 }), TypeError);
});

test('frames survive any cutting of the stream', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
  fc.assert(
    fc.property(messages, fc.integer({ min: 1, max: 50 }), (sent, step) => {
      const stream = Buffer.concat(sent.map((message) => encodeFrame(message)));
      const reader = new FrameReader();
      const received: Uint8Array[] = [];
      for (let at = 0; at < stream.length; at += step) {
        const result = reader.push(stream.subarray(at, at + step));
        assert.ok(result.ok);
        received.push(...result.value);
      }
      assert.deepEqual(
        received.map((m) => Buffer.from(m).toString('hex')),
        sent.map((m) => Buffer.from(m).toString('hex')),
      );
    }),
  );
});

test('a reader of frames may take fewer bytes, and says so before they have come', () => {
  const reader = new FrameReader(10);
  assert.ok(reader.push(encodeFrame(new Uint8Array(10))).ok);
  assert.ok(!reader.push(encodeFrame(new Uint8Array(11)).subarray(0, 5)).ok);
});

test('impossible frame lengths and other versions end the stream', () => {
  const frame = (length: number, version: number): Uint8Array => {
    const bytes = new Uint8Array(5);
    new DataView(bytes.buffer).setUint32(0, length);
    bytes[4] = version;
    return bytes;
  };
  assert.ok(!new FrameReader().push(frame(0, 1)).ok);
  assert.ok(!new FrameReader().push(frame(FRAME_BYTES_MAX + 1, 1)).ok);
  const other = new FrameReader().push(frame(10, 2));
  assert.ok(!other.ok && other.code === 'BAD_VERSION');
});
