/**
 * The network of one cluster of hosts: a bridge in a network namespace of its own, and one namespace a host.
 *
 * Idea. Nothing of it is visible to the machine, so runs never collide, and addresses are the same in each. A host's
 * namespace is ready before it boots. Faults are rules of nftables on the bridge: frames vanish in both
 * directions, ARP included, and nobody hears a carrier go down, as with a dead switch.
 *
 * @module
 */
import { exec, mustExec } from "./shell.ts";

const RULES = `
table bridge flt {
  set cut { type ifname; }
  set pairs { type ifname . ifname; }
  chain forward {
    type filter hook forward priority 0;
    iifname @cut drop
    oifname @cut drop
    iifname . oifname @pairs drop
  }
  chain input { type filter hook input priority 0; iifname @cut drop; }
  chain output { type filter hook output priority 0; oifname @cut drop; }
}
`;

export const GATEWAY = "10.77.0.1";

/** Of a /24 of its own, beside hosts that are numbered from 1. */
export function gatewayOf(address: string): string {
  return address.startsWith("10.77.0.") ? GATEWAY : address.replace(/\d+$/, "254");
}

export class HostNetwork {
  /** Network namespace of the bridge; reaches every host. */
  readonly namespace: string;
  readonly #cut = new Set<string>();
  readonly #pairs = new Set<string>();

  private constructor(namespace: string) {
    this.namespace = namespace;
  }

  static async create(tag: string, gateway = GATEWAY): Promise<HostNetwork> {
    const network = new HostNetwork(tag);
    await mustExec(["ip", "netns", "add", tag]);
    const lines = ["link set lo up", "link add br0 type bridge", `addr add ${gateway}/24 dev br0`, "link set br0 up"];
    await mustExec(["ip", "-n", tag, "-batch", "-"], { stdin: `${lines.join("\n")}\n` });
    await network.#nft(RULES);
    return network;
  }

  /** Name of a host's namespace. */
  namespaceOf(host: string): string {
    return `${this.namespace}-${host}`;
  }

  /** Makes a host's namespace, with its address and default route. */
  async plug(host: string, address: string): Promise<void> {
    const inner = this.namespaceOf(host);
    // A machine keeps its network card over a power cut: peers' ARP tables stay right.
    const card = `02:77:${address
      .split(".")
      .map((part) => Number(part).toString(16).padStart(2, "0"))
      .join(":")}`;
    await mustExec(["ip", "netns", "add", inner]);
    const outside = [
      `link add ${host} type veth peer name host0 address ${card} netns ${inner}`,
      `link set ${host} master br0`,
      `link set ${host} up`,
    ];
    const inside = [
      "link set lo up",
      `addr add ${address}/24 dev host0`,
      "link set host0 up",
      `route add default via ${gatewayOf(address)}`,
    ];
    await mustExec(["ip", "-n", this.namespace, "-batch", "-"], { stdin: `${outside.join("\n")}\n` });
    await mustExec(["ip", "-n", inner, "-batch", "-"], { stdin: `${inside.join("\n")}\n` });
  }

  /** Removes a host's namespace with all that its kernel still remembers of connections. */
  async unplug(host: string): Promise<void> {
    await exec(["ip", "-n", this.namespace, "link", "del", host]);
    await exec(["ip", "netns", "del", this.namespaceOf(host)]);
  }

  /** From now on nothing goes to or from this host. */
  async cut(host: string): Promise<void> {
    if (!this.#cut.has(host)) {
      this.#cut.add(host);
      await this.#nft(`add element bridge flt cut { "${host}" }`);
    }
  }

  async heal(host: string): Promise<void> {
    if (this.#cut.delete(host)) {
      await this.#nft(`delete element bridge flt cut { "${host}" }`);
    }
  }

  /** Cuts two hosts from each other and from nobody else. */
  async cutPair(left: string, right: string): Promise<void> {
    const pair = [left, right].sort((a, b) => (a < b ? -1 : 1)).join(" ");
    if (!this.#pairs.has(pair)) {
      this.#pairs.add(pair);
      await this.#nft(`add element bridge flt pairs { "${left}" . "${right}", "${right}" . "${left}" }`);
    }
  }

  async healPair(left: string, right: string): Promise<void> {
    if (this.#pairs.delete([left, right].sort((a, b) => (a < b ? -1 : 1)).join(" "))) {
      await this.#nft(`delete element bridge flt pairs { "${left}" . "${right}", "${right}" . "${left}" }`);
    }
  }

  /** Begins a command so that it runs where the bridge is: a client that reaches every host that is not cut. */
  enter(command: readonly string[]): string[] {
    return ["nsenter", `--net=/run/netns/${this.namespace}`, ...command];
  }

  async remove(): Promise<void> {
    await exec(["ip", "netns", "del", this.namespace]);
  }

  async #nft(script: string): Promise<void> {
    await mustExec(this.enter(["nft", "-f", "-"]), { stdin: `${script}\n` });
  }
}
