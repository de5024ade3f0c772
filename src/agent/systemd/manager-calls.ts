/**
 * ManagerCalls: systemd's manager object as functions, over whichever connection there is.
 *
 * @module
 */
import type { Order } from "../unit-manager.ts";
import { MANAGER, PROPERTIES, type SystemdConnection } from "./connection.ts";
import type { Jobs } from "./jobs.ts";
import { ignoreUnknownUnit } from "./refusals.ts";

export class ManagerCalls {
  readonly #connection: SystemdConnection;
  readonly #jobs: Jobs;

  constructor(connection: SystemdConnection, jobs: Jobs) {
    this.#connection = connection;
    this.#jobs = jobs;
  }

  call(member: string, signature: string, body: readonly unknown[], timeoutMs?: number): Promise<readonly unknown[]> {
    const deadline = timeoutMs === undefined ? {} : { timeoutMs };
    return this.#connection.bus.call({ ...MANAGER, member, signature, body, ...deadline });
  }

  /** A call that answers with a job. */
  order(member: string, signature: string, body: readonly unknown[]): Promise<Order> {
    return this.#jobs.order(async () => String((await this.call(member, signature, body))[0]));
  }

  async property(path: string, owner: string, name: string): Promise<unknown> {
    const [variant] = await this.#connection.bus.call({
      path,
      interface: PROPERTIES,
      member: "Get",
      signature: "ss",
      body: [owner, name],
    });
    return (variant as { value: unknown }).value;
  }

  ownProperty(name: string): Promise<unknown> {
    return this.property(MANAGER.path, MANAGER.interface, name);
  }

  async isInMemory(name: string): Promise<boolean> {
    try {
      await this.call("GetUnit", "s", [name]);
      return true;
    } catch (error) {
      ignoreUnknownUnit(error);
      return false;
    }
  }
}
