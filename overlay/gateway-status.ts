/** What a management gateway tells of itself: the same of a virtual node's and of a router's. */
import { type Static, Type } from '@sinclair/typebox';
import { closed } from './fields.ts';

const Count = Type.Number({ minimum: 0 });
const Text = Type.String({ maxLength: 1024 });
const Counts = Type.Record(Type.String({ maxLength: 64 }), Count);

/** Counters since the start. */
export const GatewayStatistics = closed({
  packets: Count,
  bytes: Count,
  accepted: Count,
  held: Count,
  released: Count,
  flows: Count,
  applications: Counts,
  /** Now, since the start, dropped instead, and given up for want of room. */
  redirects: closed({ connections: Count, begun: Count, refused: Count, evicted: Count }),
  /** That the gateway made itself: RSTs, ICMP errors, and those that were beyond what it may send to unproven senders. */
  answers: closed({ resets: Count, unreachables: Count, withheld: Count }),
  /**
   * Nanoseconds: of one packet or chunk, on average. What the application stage does (classification, parsers, policy, files,
   * audit) stands behind it once more, each task for itself: calls, and nanoseconds of one without the tasks that it calls.
   */
  stages: Type.Array(closed({ name: Text, packets: Count, stopped: Count, nanoseconds: Count })),
  /** Packets by reason. */
  drops: Counts,
  conditions: Counts,
  limits: Type.Array(
    closed({
      name: Text,
      packets: Count,
      bytes: Count,
      waited: Count,
      dropped: Count,
      marked: Count,
      waiting: Count,
    }),
  ),
  /** Bytes. */
  memory: Counts,
  scanner: Type.Optional(
    closed({
      up: Type.Boolean(),
      version: Text,
      why: Text,
      files: Count,
      clean: Count,
      infected: Count,
      unavailable: Count,
      tooBig: Count,
      bytes: Count,
    }),
  ),
  audit: Type.Optional(Counts),
  files: Type.Optional(Counts),
});
export type GatewayStatistics = Static<typeof GatewayStatistics>;

export const GatewayFlow = closed({
  id: Count,
  from: Text,
  fromPort: Count,
  to: Text,
  toPort: Count,
  protocol: Count,
  /** Empty: not known, or not yet. */
  application: Text,
  /** Of HTTP, TLS and QUIC, while the flow is inspected; else empty. */
  host: Text,
  state: Type.Union([Type.Literal('inspected'), Type.Literal('settled'), Type.Literal('denied')]),
  /** What the policy still asks for. */
  needs: Type.Array(Type.String({ maxLength: 32 }), { maxItems: 8 }),
  /** It waits for a request or a response; a file passes; what was received waits for a verdict. Empty: there is none. */
  parser: Type.Union([
    Type.Literal(''),
    Type.Literal('initial'),
    Type.Literal('receiving'),
    Type.Literal('processing'),
  ]),
  rule: Text,
  packetsUp: Count,
  bytesUp: Count,
  packetsDown: Count,
  bytesDown: Count,
  mark: Count,
  waiting: Count,
});
export type GatewayFlow = Static<typeof GatewayFlow>;

/** Of one answer. */
export const GATEWAY_FLOWS_MAX = 10_000;

/** Those with the most bytes, of so many. */
export const GatewayFlows = closed({ total: Count, flows: Type.Array(GatewayFlow, { maxItems: GATEWAY_FLOWS_MAX }) });
export type GatewayFlows = Static<typeof GatewayFlows>;

/** Of those who bear a name, so many are told. */
export const BEARERS_TOLD_MAX = 16;
/** Of the names in a policy. */
export const NAMES_TOLD_MAX = 256;

/** Whom a policy means by `node:NAME`, `group:NAME` or `strangers`. */
export const MeantBy = closed({
  name: Text,
  /** Names of the first of them. */
  nodes: Type.Array(Text, { maxItems: BEARERS_TOLD_MAX }),
  count: Count,
});
export type MeantBy = Static<typeof MeantBy>;

/** The policy that a gateway goes by. */
export const PolicyInForce = closed({
  rules: Count,
  dryRun: Type.Boolean(),
  warnings: Type.Array(Type.String({ maxLength: 4096 })),
  names: Type.Array(MeantBy, { maxItems: NAMES_TOLD_MAX }),
});
export type PolicyInForce = Static<typeof PolicyInForce>;
