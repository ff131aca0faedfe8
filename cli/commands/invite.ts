import { OverlayError } from '../../overlay/errors.ts';
import { valueOf } from '../command.ts';
import { type AdminOptions, withOm } from '../om-admin.ts';
import { print, printJson, table } from '../output.ts';

export type InviteOptions = AdminOptions & {
  /** Seconds. */
  readonly expires: number;
  readonly uses: number;
  readonly groups?: string[];
  readonly list?: boolean;
  readonly revoke?: string;
};

export async function run(vi: string, options: InviteOptions): Promise<void> {
  if (options.list && options.revoke !== undefined) {
    throw new OverlayError('BAD_ARGUMENT', 'Give --list or --revoke, not both.');
  }
  if (options.list) return list(vi, options);
  if (options.revoke !== undefined) return revoke(vi, options.revoke, options);
  const created = valueOf(
    await withOm(options, (om) =>
      om.createInvitation(vi, {
        expiresSeconds: options.expires,
        uses: options.uses,
        ...(options.groups === undefined ? {} : { groups: options.groups }),
      }),
    ),
  );
  // Nothing but the string, so that it can be piped.
  if (options.json) printJson(created);
  else print(created.text);
}

async function list(vi: string, options: InviteOptions): Promise<void> {
  const invitations = valueOf(await withOm(options, (om) => om.listInvitations(vi)));
  if (options.json) return printJson({ vi, invitations });
  if (invitations.length === 0) return print(`VI ${vi} has no invitations. Make one with: p2pxbone invite ${vi}`);
  print(
    table(
      ['ID', 'STATE', 'USES LEFT', 'EXPIRES', 'GROUPS'],
      invitations.map((invitation) => [
        invitation.id,
        invitation.state,
        String(invitation.usesLeft),
        new Date(invitation.expiresAt).toISOString(),
        invitation.groups.join(','),
      ]),
    ),
  );
}

async function revoke(vi: string, id: string, options: InviteOptions): Promise<void> {
  const invitation = valueOf(await withOm(options, (om) => om.revokeInvitation(vi, id)));
  if (options.json) printJson({ vi, invitation });
  else print(`Revoked invitation ${id} to VI ${vi}.`);
}
