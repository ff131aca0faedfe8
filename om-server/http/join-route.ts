/** The one call that changes something without a credential other than an invitation's secret. */
import { OverlayError } from '../../overlay/errors.ts';
import { JoinRequest, JoinResponse } from '../../overlay/om-api.ts';
import { FAILURES_WINDOW_MS } from '../attempts.ts';
import type { Services } from '../services.ts';
import { answers, valueOf } from './answers.ts';
import type { App } from './app.ts';

export function joinRoute(api: App, services: Services): void {
  const { attempts, clock, joins, log, refusals, revocations } = services;
  const schema = {
    operationId: 'join',
    tags: ['public'],
    summary: 'Join a VI with the secret of an invitation',
    body: JoinRequest,
    response: answers(JoinResponse),
  };
  api.post('/join', { schema }, async (request) => {
    const from = request.ip;
    if (attempts.isBlocked(from, clock.now())) {
      const seconds = FAILURES_WINDOW_MS / 1000;
      throw new OverlayError(
        'LIMIT_REACHED',
        `Too many unknown invitations came from this address; wait ${seconds} seconds.`,
      );
    }
    const result = await joins.join(request.body, () => clock.wall());
    const about = { vi: request.body.vi, node: request.body.name, from };
    if (!result.ok) {
      log.debug({ ...about, code: result.code }, 'a join was refused');
      refusals.count(result.code);
      if (result.code === 'INVITATION_UNKNOWN') attempts.failed(from, clock.now());
    } else {
      const { ipv4, id, returning } = result.value;
      log[returning ? 'debug' : 'info']({ ...about, ipv4, id, returning }, 'a node joined');
    }
    // A joiner refuses the nodes that were removed from its first handshake on.
    return { ...valueOf(result), revocations: revocations.number === 0 ? null : await revocations.current() };
  });
}
