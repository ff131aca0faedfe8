/** The schema, as the steps that lead to it. A step that was released is never changed: add one. */

/** Step i leads from user_version i to i + 1. Instants are milliseconds since 1970; groups and definitions are JSON. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

  CREATE TABLE vis (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL UNIQUE,
    link_prefix TEXT NOT NULL,
    vni INTEGER NOT NULL UNIQUE,
    definition TEXT NOT NULL,
    created_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE invitations (
    id TEXT PRIMARY KEY,
    vi TEXT NOT NULL REFERENCES vis (id) ON DELETE CASCADE,
    secret_hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
    groups TEXT NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX invitations_of_vi ON invitations (vi);

  -- The key is never given again, other than address and id, which a later node may get.
  CREATE TABLE nodes (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    vi TEXT NOT NULL REFERENCES vis (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    address_index INTEGER NOT NULL,
    public_key BLOB NOT NULL,
    groups TEXT NOT NULL,
    invitation TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    heard_at INTEGER,
    incarnation INTEGER NOT NULL DEFAULT 0,
    contact TEXT,
    member INTEGER NOT NULL DEFAULT 0,
    UNIQUE (vi, id),
    UNIQUE (vi, name),
    UNIQUE (vi, address_index)
  ) STRICT;

  CREATE TABLE founders (
    vi TEXT PRIMARY KEY REFERENCES vis (id) ON DELETE CASCADE,
    node INTEGER NOT NULL REFERENCES nodes (key) ON DELETE CASCADE,
    until INTEGER NOT NULL
  ) STRICT;

  -- The node is no reference: the pairs of a node that was removed may be in use until their lease ends.
  CREATE TABLE leases (
    vi TEXT NOT NULL REFERENCES vis (id) ON DELETE CASCADE,
    pair INTEGER NOT NULL,
    node INTEGER NOT NULL,
    request TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (vi, pair)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX leases_of_node ON leases (node, request);
  CREATE INDEX leases_by_expiry ON leases (expires_at);
  `,
  `
  ALTER TABLE nodes ADD COLUMN certified_until INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE nodes ADD COLUMN was_member INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE invitations ADD COLUMN given_back INTEGER NOT NULL DEFAULT 0;

  -- Nodes renew their certificate with a heartbeat; the day is for one that was not written down.
  UPDATE nodes SET was_member = 1, certified_until = max(joined_at, coalesce(heard_at, 0))
    + (SELECT 1 + json_extract(definition, '$.certificateDays') FROM vis WHERE vis.id = nodes.vi) * 86400000;

  CREATE TABLE held_places (
    vi TEXT NOT NULL REFERENCES vis (id) ON DELETE CASCADE,
    address_index INTEGER NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    public_key BLOB NOT NULL,
    held_until INTEGER NOT NULL,
    PRIMARY KEY (vi, address_index),
    UNIQUE (vi, id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX held_places_of_name ON held_places (vi, name);
  CREATE INDEX held_places_by_end ON held_places (held_until);
  `,
  `
  -- Certificates that nodes of the VIs have and that have not expired; serial numbers in hexadecimal.
  CREATE TABLE certificates (
    serial TEXT PRIMARY KEY,
    node INTEGER NOT NULL REFERENCES nodes (key) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX certificates_of_node ON certificates (node);

  -- Not of a VI: nodes of one that was deleted stay revoked. Departed: the node said itself that it is gone.
  CREATE TABLE revocations (
    serial TEXT PRIMARY KEY,
    revoked_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    departed INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX revocations_by_end ON revocations (departed, expires_at);
  `,
  `
  -- What one request got and still holds; pairs are JSON. The node is no reference: the pairs of a node that was removed
  -- may be in use until their lease ends. Blocks are found by their number only: the address server has them in memory.
  CREATE TABLE lease_blocks (
    block INTEGER PRIMARY KEY,
    vi TEXT NOT NULL REFERENCES vis (id) ON DELETE CASCADE,
    node INTEGER NOT NULL,
    request TEXT NOT NULL,
    pairs TEXT NOT NULL,
    expires_at INTEGER NOT NULL
  ) STRICT;
  INSERT INTO lease_blocks (vi, node, request, pairs, expires_at)
    SELECT vi, node, request, json_group_array(pair ORDER BY pair), min(expires_at) FROM leases GROUP BY vi, node, request;
  DROP TABLE leases;
  `,
  `
  -- PEM, and when it was issued: null of a certificate that is known only because its node has presented it.
  ALTER TABLE certificates ADD COLUMN pem TEXT;
  ALTER TABLE certificates ADD COLUMN issued_at INTEGER;
  `,
];
