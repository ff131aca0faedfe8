/**
 * The wire form of every message, byte for byte. A difference means that nodes of two releases no longer understand
 * each other: raise the protocol's version, then write the files anew with P2PXBONE_WRITE_GOLDEN=1.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Codec } from '../codec.ts';
import {
  FROM_ADDRESS_SERVER,
  fromAddressServerCodec,
  TO_ADDRESS_SERVER,
  toAddressServerCodec,
} from '../messages/address.ts';
import { FROM_CONTROL, fromControlCodec, TO_CONTROL, toControlCodec } from '../messages/control.ts';
import { P2PD_P2PD, p2pdCodec } from '../messages/p2pd-p2pd.ts';
import { TO_P2PD, TO_RD, toP2pdCodec, toRdCodec } from '../messages/p2pd-rd.ts';
import { RD_RD, rdCodec } from '../messages/rd-rd.ts';
import * as samples from './samples.ts';

const protocols: readonly {
  name: string;
  table: object;
  codec: Codec<never>;
  samples: readonly { readonly t: string }[];
}[] = [
  { name: 'to-rd', table: TO_RD, codec: toRdCodec as Codec<never>, samples: samples.toRd },
  { name: 'to-p2pd', table: TO_P2PD, codec: toP2pdCodec as Codec<never>, samples: samples.toP2pd },
  { name: 'p2pd-p2pd', table: P2PD_P2PD, codec: p2pdCodec as Codec<never>, samples: samples.p2pd },
  { name: 'rd-rd', table: RD_RD, codec: rdCodec as Codec<never>, samples: samples.rd },
  { name: 'to-control', table: TO_CONTROL, codec: toControlCodec as Codec<never>, samples: samples.toControl },
  { name: 'from-control', table: FROM_CONTROL, codec: fromControlCodec as Codec<never>, samples: samples.fromControl },
  {
    name: 'to-address-server',
    table: TO_ADDRESS_SERVER,
    codec: toAddressServerCodec as Codec<never>,
    samples: samples.toAddressServer,
  },
  {
    name: 'from-address-server',
    table: FROM_ADDRESS_SERVER,
    codec: fromAddressServerCodec as Codec<never>,
    samples: samples.fromAddressServer,
  },
];

for (const protocol of protocols) {
  test(`${protocol.name}: every message has a sample`, () => {
    const sampled = new Set(protocol.samples.map((sample) => sample.t));
    assert.deepEqual(
      Object.keys(protocol.table).filter((name) => !sampled.has(name)),
      [],
    );
  });

  test(`${protocol.name}: the wire form is the golden one, and reads back`, () => {
    const file = new URL(`./golden/${protocol.name}.txt`, import.meta.url);
    const lines = protocol.samples.map((sample) => {
      const bytes = protocol.codec.encode(sample as never);
      const decoded = protocol.codec.decode(bytes);
      assert.ok(decoded.ok, decoded.ok ? '' : decoded.message);
      assert.deepEqual(decoded.value, sample);
      return `${sample.t} ${Buffer.from(bytes).toString('hex')}`;
    });
    const text = `${lines.join('\n')}\n`;
    if (process.env['P2PXBONE_WRITE_GOLDEN'] === '1') writeFileSync(file, text);
    assert.equal(text, readFileSync(file, 'utf8'));
  });
}
