/** What the virtual nodes of a base node share. */
import type { DataPlane } from '../../native/index.ts';
import type { Log } from '../../overlay/lib/log.ts';
import type { RdConfig } from '../../overlay/rd-config.ts';
import type { Endpoint } from '../core/contact.ts';
import type { NodeRef } from '../core/io.ts';
import type { Credentials } from './credentials.ts';
import type { Engine } from './engine.ts';
import type { DataDirectory } from './files.ts';
import type { RdIdentity } from './identity.ts';
import type { Kernel } from './kernel.ts';
import type { Revocations } from './revocations.ts';

export type Host = {
  readonly config: RdConfig;
  readonly data: DataDirectory;
  readonly identity: RdIdentity;
  readonly kernel: Kernel;
  readonly credentials: Credentials;
  readonly revocations: Revocations;
  readonly engine: Engine;
  readonly plane: () => DataPlane;
  readonly endpoints: () => readonly Endpoint[];
  readonly p2pdSocket: string;
  /** Counts virtual nodes since the start. */
  readonly nextRef: () => NodeRef;
  readonly log: Log;
};
