/** Whom an event of the queue concerns. */
import type { ToP2pd, ToRd } from '../../overlay/messages/p2pd-rd.ts';
import type { RdMessage } from '../../overlay/messages/rd-rd.ts';
import type { SessionRef } from '../../rd/core/io.ts';
import type { Association, End } from './associations.ts';
import type { P2pdPacket } from './data-plane.ts';
import { KIND } from './events.ts';
import type { ManagerAnswer, ManagerRequest } from './manager.ts';
import type { Event } from './queue.ts';
import type { Measured } from './resource-daemons.ts';
import { NODE, type SimNode, SOCKET_MS } from './sim-node.ts';
import type { World } from './world.ts';

export function dispatch(world: World, { kind, node: index, extra, body }: Event): void {
  const { associations, planes, resourceDaemons } = world;
  switch (kind) {
    case KIND.FLIGHT:
      return associations.onFlight(body as Association, extra);
    case KIND.REPEAT:
      return associations.onRepeat(body as Association, extra);
    case KIND.HANDSHAKE_OVER:
      return resourceDaemons.takes(index, kind, extra, body) ? associations.onHandshakeOver(body as End) : undefined;
    case KIND.SILENCE:
      return resourceDaemons.takes(index, kind, extra, body) ? associations.onSilence(body as End, extra) : undefined;
    case KIND.GOODBYE:
      return resourceDaemons.takes(index, kind, extra, body) ? associations.onGoodbye(body as End) : undefined;
    case KIND.CONTROL:
      return resourceDaemons.takes(index, kind, extra, body)
        ? resourceDaemons.onControl(body as { end: End; message: RdMessage })
        : undefined;
    case KIND.MEASURED:
      return resourceDaemons.takes(index, kind, extra, body) ? resourceDaemons.onMeasured(body as Measured) : undefined;
    case KIND.PACKET:
      return resourceDaemons.takes(index, kind, extra, body)
        ? planes.onPacket(world.nodeAt(index), extra, body as P2pdPacket)
        : undefined;
    case KIND.CALL:
      return (body as (extra: number) => void)(extra);
    case KIND.STEP:
      return world.onStep(extra);
    default:
      return atNode(world, world.nodeAt(index), kind, extra, body);
  }
}

/** What concerns a machine's daemons. */
function atNode(world: World, node: SimNode, kind: number, extra: number, body: unknown): void {
  const { p2pDaemons, resourceDaemons, managerLink } = world;
  switch (kind) {
    case KIND.P2PD_TIMER:
      return p2pDaemons.onTimer(node, extra);
    case KIND.RD_TIMER:
      return resourceDaemons.onTimer(node, extra);
    case KIND.TO_P2PD:
      if (node.session !== extra || !node.connected || p2pDaemons.defers(node, kind, extra, body)) return;
      return p2pDaemons.input(node, { kind: 'rd', message: body as ToP2pd });
    case KIND.TO_RD: {
      if (node.session !== extra || !resourceDaemons.takes(node.index, kind, extra, body)) return;
      const session = extra as SessionRef;
      return resourceDaemons.input(node, { kind: 'p2pd', node: NODE, session, message: body as ToRd });
    }
    case KIND.TO_MANAGER:
      return managerLink.onRequest(node, extra, body as ManagerRequest);
    case KIND.FROM_MANAGER:
      if (node.rdLife !== extra || !resourceDaemons.takes(node.index, kind, extra, body)) return;
      return managerLink.onAnswer(node, body as ManagerAnswer | ManagerRequest);
    case KIND.START_P2PD:
      if (node.rdLife === extra && node.rd !== undefined && !node.hasLeft) p2pDaemons.start(node);
      return;
    case KIND.START_RD:
      if (node.rdLife !== extra || node.rd !== undefined) return;
      node.reborn(world.now);
      resourceDaemons.start(node);
      if (node.machine === undefined) p2pDaemons.start(node);
      else world.post(SOCKET_MS, KIND.RECONNECT, node.index, node.p2pdLife);
      return;
    case KIND.RECONNECT:
      if (node.p2pdLife !== extra || node.rd === undefined || node.connected) return;
      if (!p2pDaemons.defers(node, kind, extra, body)) p2pDaemons.connect(node);
      return;
  }
}
