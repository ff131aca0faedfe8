/**
 * What happens to a simulated ring: how it is set up, and a list of steps, each with its instant and its whole effect, so
 * that any of them can be left out. Plain data: written to a file, read back, made smaller.
 */
import { type Static, Type } from '@sinclair/typebox';
import { Value } from '@sinclair/typebox/value';
import { fail } from '../../overlay/errors.ts';
import { complaintOf } from '../../overlay/fields.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { Proximity } from '../../overlay/vi.ts';

export const STEPS_MAX = 20_000;
export const NODES_MAX = 10_000;

const strict = { additionalProperties: false } as const;
const Ms = Type.Number({ minimum: 0, maximum: 86_400_000 });
const NodeIndex = Type.Integer({ minimum: 0, maximum: NODES_MAX });
const Part = Type.Number({ minimum: 0, maximum: 1 });
const at = { at: Ms };
const forMs = { forMs: Ms };

/** Durations in milliseconds. `node`, `from`, `to`: numbers of machines. A step that has no sense then does nothing. */
export const Step = Type.Union([
  Type.Object({ ...at, do: Type.Literal('join'), node: NodeIndex }, strict),
  Type.Object({ ...at, do: Type.Literal('leave'), node: NodeIndex }, strict),
  /** Both daemons die. Without `forMs` for ever; `state`: what was on the disk is there again. */
  Type.Object(
    { ...at, do: Type.Literal('crash'), node: NodeIndex, forMs: Type.Optional(Ms), state: Type.Boolean() },
    strict,
  ),
  /** The P2P daemon alone is killed, and started again after that time. */
  Type.Object({ ...at, do: Type.Literal('p2pd'), node: NodeIndex, ...forMs }, strict),
  Type.Object({ ...at, do: Type.Literal('rd'), node: NodeIndex, ...forMs }, strict),
  Type.Object(
    {
      ...at,
      do: Type.Literal('pause'),
      node: NodeIndex,
      which: Type.Union([Type.Literal('p2pd'), Type.Literal('rd'), Type.Literal('both')]),
      ...forMs,
    },
    strict,
  ),
  Type.Object({ ...at, do: Type.Literal('slow'), node: NodeIndex, lagMs: Ms, ...forMs }, strict),
  /** Its clock runs at this rate from then on. */
  Type.Object(
    { ...at, do: Type.Literal('drift'), node: NodeIndex, rate: Type.Number({ minimum: 0.5, maximum: 2 }) },
    strict,
  ),
  /** Nothing passes in this direction. */
  Type.Object({ ...at, do: Type.Literal('cut'), from: NodeIndex, to: NodeIndex, ...forMs }, strict),
  /** P2P daemons' datagrams do not pass in this direction, keep-alives do: the living look dead inside the VI. */
  Type.Object({ ...at, do: Type.Literal('mute'), from: NodeIndex, to: NodeIndex, ...forMs }, strict),
  /** Nobody can begin an association with it, as behind a NAT. */
  Type.Object({ ...at, do: Type.Literal('hide'), node: NodeIndex, ...forMs }, strict),
  Type.Object(
    { ...at, do: Type.Literal('islands'), islands: Type.Array(Type.Array(NodeIndex), { maxItems: 16 }), ...forMs },
    strict,
  ),
  Type.Object(
    { ...at, do: Type.Literal('weather'), loss: Part, duplicate: Part, reorder: Part, jitterMs: Ms, ...forMs },
    strict,
  ),
  /** Overlay manager and address server are down. */
  Type.Object({ ...at, do: Type.Literal('manager'), ...forMs }, strict),
]);
export type Step = Static<typeof Step>;

export const Setting = Type.Object(
  {
    nodes: Type.Integer({ minimum: 1, maximum: NODES_MAX }),
    successors: Type.Integer({ minimum: 2, maximum: 8 }),
    links: Type.Union([Type.Literal('numbered'), Type.Literal('unnumbered')]),
    stabiliseMs: Type.Integer({ minimum: 100, maximum: 60_000 }),
    /** The machines lie in a square so far across, milliseconds one way. */
    spanMs: Ms,
    weather: Type.Object({ loss: Part, duplicate: Part, reorder: Part, jitterMs: Ms }, strict),
    /** As in the VI's definition; none if absent. */
    proximity: Type.Optional(Proximity),
    /** All nodes share a security group: user data goes inside the associations. */
    secure: Type.Boolean(),
    /** Every message is encoded and decoded. */
    wire: Type.Boolean(),
    /** Places of the first machines on the circle, 16 hexadecimal digits each; derived from their numbers if absent. */
    ids: Type.Optional(
      Type.Array(Type.String({ pattern: '^[0-9a-f]{16}$' }), { maxItems: NODES_MAX, uniqueItems: true }),
    ),
  },
  strict,
);
export type Setting = Static<typeof Setting>;

export const Plan = Type.Object(
  {
    plan: Type.Literal('p2pxbone simulation, format 1'),
    /** Of all that is drawn while it runs. */
    seed: Type.Integer({ minimum: 0, maximum: 0xffff_ffff }),
    setting: Setting,
    minutes: Type.Number({ exclusiveMinimum: 0, maximum: 1440 }),
    /**
     * Within what Zave's proof assumes: nobody is suspected wrongly, and failures are so far apart that the ring is
     * repaired in between. Then her invariants must hold at every moment.
     */
    proven: Type.Boolean(),
    steps: Type.Array(Step, { maxItems: STEPS_MAX }),
  },
  strict,
);
export type Plan = Static<typeof Plan>;

export function parsePlan(value: unknown): Result<Plan> {
  if (Value.Check(Plan, value)) return ok(value);
  const error = Value.Errors(Plan, value).First();
  return fail('BAD_CONFIG', `Not a plan: ${error === undefined ? 'of another form' : complaintOf(error)}`);
}

/** When the last step is over, milliseconds; that of a crash for ever is at once. */
export function endOf(steps: readonly Step[]): number {
  return steps.reduce((end, one) => Math.max(end, one.at + ('forMs' in one ? (one.forMs ?? 0) : 0)), 0);
}
