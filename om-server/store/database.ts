/** The overlay manager's database: opening it, its schema, transactions. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { fail } from '../../overlay/errors.ts';
import { ok, type Result } from '../../overlay/lib/result.ts';
import { MIGRATIONS } from './schema.ts';

/** How long a starting overlay manager waits for one that is just stopping, milliseconds. */
const LOCK_WAIT_MS = 500;

/** One connection, exclusive while it is open. Statements are prepared once. What `transaction` returns is on the disk. */
export class Database {
  readonly #sqlite: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  private constructor(sqlite: DatabaseSync) {
    this.#sqlite = sqlite;
  }

  /** CONFLICT if another process has it open. The lock dies with its process. */
  static open(path: string): Result<Database> {
    const sqlite = new DatabaseSync(path, { timeout: LOCK_WAIT_MS });
    try {
      sqlite.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
      sqlite.exec('BEGIN IMMEDIATE; COMMIT');
      const database = new Database(sqlite);
      const migrated = database.#migrate();
      if (!migrated.ok) sqlite.close();
      return migrated.ok ? ok(database) : migrated;
    } catch (error) {
      sqlite.close();
      if (/locked|busy/i.test((error as Error).message)) {
        return fail('CONFLICT', `Another overlay manager runs on ${path}; stop it or give another data directory.`);
      }
      return fail('SYSTEM', `The database ${path} cannot be opened (${(error as Error).message}).`);
    }
  }

  #migrate(): Result<void> {
    const version = Number(this.get('PRAGMA user_version')?.['user_version']);
    if (version > MIGRATIONS.length) {
      return fail('BAD_VERSION', 'The database was written by a newer overlay manager; start that one.');
    }
    this.transaction(() => {
      for (const migration of MIGRATIONS.slice(version)) this.#sqlite.exec(migration);
      this.#sqlite.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    });
    return ok();
  }

  get(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values);
  }

  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values);
  }

  /** The number of rows changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  /** All or nothing; a failed Result rolls back as an exception does. Not to be nested. */
  transaction<T>(work: () => T): T {
    this.#sqlite.exec('BEGIN IMMEDIATE');
    try {
      const value = work();
      this.#sqlite.exec(isFailure(value) ? 'ROLLBACK' : 'COMMIT');
      return value;
    } catch (error) {
      if (this.#sqlite.isTransaction) this.#sqlite.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    this.#statements.clear();
    this.#sqlite.close();
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#sqlite.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

export type Row = Readonly<Record<string, null | number | bigint | string | Uint8Array>>;

function isFailure(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'ok' in value && value.ok === false;
}
