/**
 * bun:sqlite with failpoints, for raft/adapters/log-database.ts of the test build: one before each group of statements, and
 * one on either side of each commit, named after what the transaction is about.
 *
 * @module
 */
import { constants, Database as Plain, SQLiteError, type Statement } from "bun:sqlite";
import { entryKindNumber } from "../../../raft/driver/codec.ts";
import { type Failure, pass } from "./failpoint.ts";

export { constants, SQLiteError, type Statement };

/** How SQLite reports what the system said; the code is all that the adapter looks at. */
const REPORTED: Readonly<Record<Failure, readonly [code: string, message: string]>> = {
  EIO: ["SQLITE_IOERR_WRITE", "disk I/O error"],
  ENOSPC: ["SQLITE_FULL", "database or disk is full"],
};

function sqliteError(failure: Failure): Error {
  const [code, message] = REPORTED[failure];
  // Its constructor is SQLite's own; `instanceof` goes by the name.
  return Object.assign(new Error(message), { name: "SQLiteError", code });
}

/** Each kind of statement, and the point in front of it. The first that fits counts. */
const STATEMENTS: readonly (readonly [RegExp, string])[] = [
  [/^BEGIN/, "begin"],
  [/^PRAGMA journal_mode/, "wal-mode"],
  [/^\s*CREATE TABLE/, "schema"],
  [/^INSERT INTO meta/, "meta"],
  [/^INSERT INTO entry/, "entry"],
  [/^DELETE FROM entry WHERE log_index >=/, "truncate"],
  [/^DELETE FROM entry WHERE log_index <=/, "compact"],
  [/^DELETE FROM entry$/, "drop-log"],
  [/^INSERT OR REPLACE INTO state/, "state"],
  [/^INSERT OR REPLACE INTO snapshot/, "name"],
];

/** What a transaction is about, by the statements in it: the first that it has. */
const SUBJECTS: readonly (readonly [statement: string, subject: string])[] = [
  ["schema", "founding"],
  ["drop-log", "install"],
  ["name", "snapshot"],
  ["truncate", "truncation"],
  ["config", "membership"],
  ["entry", "entries"],
  ["compact", "compaction"],
  ["state", "hard-state"],
];

/** Among the values of an inserted entry. */
const KIND_PLACE = 2;

export class Database extends Plain {
  #seen = new Set<string>();

  override run(sql: string, ...parameters: never[]): ReturnType<Plain["run"]> {
    if (sql === "COMMIT") return this.#commit(sql);
    this.#before(sql, []);
    return super.run(sql, ...parameters);
  }

  override query(sql: string): never {
    const statement = super.query(sql) as Statement;
    const guarded = {
      run: (...parameters: never[]) => {
        this.#before(sql, parameters);
        return statement.run(...parameters);
      },
      values: (...parameters: never[]) => statement.values(...parameters),
      get: (...parameters: never[]) => statement.get(...parameters),
    };
    return guarded as never;
  }

  #before(sql: string, parameters: readonly unknown[]): void {
    const point = STATEMENTS.find(([pattern]) => pattern.test(sql))?.[1];
    if (point === undefined) return;
    if (point === "begin") this.#seen.clear();
    this.#seen.add(point);
    if (point === "entry" && parameters[KIND_PLACE] === entryKindNumber("config")) this.#seen.add("config");
    pass(point, sqliteError);
  }

  #commit(sql: string): ReturnType<Plain["run"]> {
    const subject = SUBJECTS.find(([statement]) => this.#seen.has(statement))?.[1] ?? "nothing";
    pass(`${subject}.commit`, sqliteError);
    const changes = super.run(sql);
    pass(`${subject}.committed`, sqliteError);
    return changes;
  }
}
