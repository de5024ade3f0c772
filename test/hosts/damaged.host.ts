/**
 * Disks that give back something else than was written, and disks without room: the daemons of three real hosts.
 *
 * A flipped bit is found at the next start; the member is rebuilt from the leader, and its journal tells the story. A damaged majority
 * stops and says what to do. A full disk refuses writes, and nothing else, for as long as it is full.
 *
 * @module
 */
import { expect } from "bun:test";
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import type { Cluster } from "./lib/cluster.ts";
import { allWorkloads, leaderOf, names, startSleepers, unitsOf, waitActive } from "./lib/fleet.ts";
import type { Host } from "./lib/host.ts";
import { hostSuite } from "./lib/suite.ts";
import { eventually } from "./lib/wait.ts";

const UNITS = names("rotten", 6);
/** Of the first frame of a write-ahead file, behind both headers: a byte of the oldest page that counts. */
const FIRST_FRAME = 32 + 24 + 100;
const WHOLE = "This member is whole again";

const dataOf = (host: Host) => `${host.directory}/data`;

/** In place, as a bad disk does: a daemon that has the file open goes on. */
function flip(path: string, places: (bytes: Buffer) => readonly number[]): void {
  const bytes = readFileSync(path);
  const found = places(bytes);
  expect(found.length).toBeGreaterThan(0);
  const file = openSync(path, "r+");
  for (const at of found) writeSync(file, new Uint8Array([(bytes[at] ?? 0) ^ 0x10]), 0, 1, at);
  closeSync(file);
}

function everywhere(text: string): (bytes: Buffer) => readonly number[] {
  return (bytes) => {
    const places: number[] = [];
    for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at);
    return places;
  };
}

/** The lines are there, in this order, behind the last line that says `from`. */
async function story(host: Host, from: string, ...lines: readonly string[]): Promise<void> {
  await eventually(`${host.name} to say "${lines.at(-1)}"`, 30_000, async () => {
    const journal = await host.journal();
    let at = journal.lastIndexOf(from);
    for (const line of lines) at = at < 0 ? at : journal.indexOf(line, at);
    return at >= 0;
  });
}

const setAside = (host: Host) => readdirSync(dataOf(host)).filter((name) => name.includes(".damaged-"));

async function followerOf(cluster: Cluster, not?: Host): Promise<Host> {
  const leader = await leaderOf(cluster);
  const follower = cluster.hosts.find((host) => host !== leader && host !== not);
  if (follower === undefined) throw new Error("Find a follower: there is none");
  return follower;
}

async function agree(cluster: Cluster): Promise<void> {
  await eventually("every member to list the same units", 15_000, async () => {
    const lists = await Promise.all(cluster.hosts.map(async (host) => JSON.stringify(await unitsOf(host))));
    return new Set(lists).size === 1;
  });
}

const inAll = (cluster: Cluster, run: (host: Host) => Promise<unknown>) => Promise.all(cluster.hosts.map(run));
const systemctl = (host: Host, verb: string) => host.mustRun(["systemctl", verb, "flt.service"]);
const put = (host: Host, name: string) =>
  host.api(`/fleet/v1/units/${name}`, {
    method: "PUT",
    body: {
      name,
      desiredState: "inactive",
      options: [{ section: "Service", name: "ExecStart", value: "/bin/sleep 1000" }],
    },
  });

hostSuite("damaged disks", { hosts: 3 }, (suite) => {
  suite.case(
    "a bit flips under a running member: it is found at the next start, and the member rebuilt",
    async (cluster) => {
      const leader = await leaderOf(cluster);
      await startSleepers(leader, UNITS);
      await waitActive(leader, UNITS);
      const victim = await followerOf(cluster);
      const running = await allWorkloads(cluster, "rotten*");
      flip(`${dataOf(victim)}/raft.db-wal`, () => [FIRST_FRAME]);
      expect((await put(leader, "after-the-flip.service")).status).toBe(201);
      await victim.killDaemon();
      await story(
        victim,
        "The disk gave back something else than was written to it",
        "what was written last is missing",
        "Set the damaged files aside; what is missing comes from the leader",
        "This member recovers from damage to its disk",
        WHOLE,
      );
      await cluster.ready(victim);
      expect(setAside(victim)).toHaveLength(1);
      await agree(cluster);
      expect(await allWorkloads(cluster, "rotten*")).toEqual(running);
    },
  );

  suite.case(
    "a bit flips in the log of a stopped member: what is sound is kept, and it counts again",
    async (cluster) => {
      const victim = await followerOf(cluster);
      await systemctl(victim, "stop");
      flip(`${dataOf(victim)}/raft.db`, everywhere(UNITS[4] ?? ""));
      await systemctl(victim, "start");
      await story(victim, "Starting flt", "the checksum of entry", "everything up to entry", WHOLE);
      await agree(cluster);
      const other = await followerOf(cluster, victim);
      await other.powerOff();
      await eventually(
        "a write that needs the rebuilt member",
        20_000,
        async () => (await put(victim, "again.service")).ok,
      );
      await other.powerOn();
      await cluster.ready(other);
      await agree(cluster);
    },
  );

  suite.case(
    "another disk in the place of a lost one: a member hears from its leader that it had more, and is rebuilt",
    async (cluster) => {
      const victim = await followerOf(cluster);
      await systemctl(victim, "stop");
      await victim.mustRun(["sh", "-c", "rm -rf /var/lib/flt/*"]);
      // The first start ends before it is ready; the next one is systemd's own.
      await victim.run(["systemctl", "start", "--no-block", "flt.service"]);
      await story(
        victim,
        "Starting flt",
        "The disk is not the one that this member wrote to",
        "Set the damaged files aside",
        WHOLE,
      );
      await cluster.ready(victim);
      await agree(cluster);
    },
  );

  suite.case(
    "another disk in the place of a lost one: a member that is told so at once is rebuilt, and counts again",
    async (cluster) => {
      const victim = await followerOf(cluster);
      await systemctl(victim, "stop");
      const replaced = "rm -rf /var/lib/flt/* && echo 'the disk was replaced' > /var/lib/flt/raft.db.condemned";
      await victim.mustRun(["sh", "-c", replaced]);
      await systemctl(victim, "start");
      await story(victim, "Starting flt", "the disk was replaced", "Set the damaged files aside", WHOLE);
      await cluster.ready(victim);
      await agree(cluster);
    },
  );

  suite.case(
    "a disk without room: writes are refused by name, all else goes on, and nothing is started again",
    async (cluster) => {
      const small =
        "systemctl stop flt && cp -a /var/lib/flt /run/copy && mount -t tmpfs -o size=16m,mode=700 none /var/lib/flt && " +
        "cp -a /run/copy/. /var/lib/flt && systemctl start flt";
      await inAll(cluster, (host) => host.mustRun(["sh", "-c", small]));
      await inAll(cluster, (host) => cluster.ready(host));
      const host = await leaderOf(cluster);
      await startSleepers(host, UNITS);
      await waitActive(host, UNITS);
      const running = await allWorkloads(cluster, "rotten*");
      const daemons = await inAll(cluster, (each) => each.mainPid("flt.service"));
      await inAll(cluster, (each) => each.run(["sh", "-c", "cat /dev/zero > /var/lib/flt/filler"]));

      await eventually(
        "a write to be refused",
        20_000,
        async () => (await put(host, "no-room.service")).status === 507,
      );
      const refused = await host.flt("load", UNITS[0] ?? "", "again.service");
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("disk is full")]);
      for (const each of cluster.hosts) {
        expect((await each.mustFlt("list-units", "--no-legend", "--fields=unit")).split("\n")).toContain(
          UNITS[0] ?? "",
        );
      }
      expect(await allWorkloads(cluster, "rotten*")).toEqual(running);

      await inAll(cluster, (each) => each.mustRun(["rm", "/var/lib/flt/filler"]));
      await eventually("a write to be taken", 10_000, async () => (await put(host, "room.service")).status === 201);
      expect(await inAll(cluster, (each) => each.mainPid("flt.service"))).toEqual(daemons);
      expect(await allWorkloads(cluster, "rotten*")).toEqual(running);
    },
    120_000,
  );

  suite.case(
    "a damaged majority stops and says so; copies of one moment bring it back",
    async (cluster) => {
      const [one, two] = cluster.hosts as [Host, Host, Host];
      const before = await unitsOf(one);
      await inAll(cluster, (host) => systemctl(host, "stop"));
      await inAll(cluster, (host) => host.mustRun(["cp", "-a", "/var/lib/flt", "/run/backup"]));
      for (const host of [one, two]) await host.mustRun(["truncate", "--size=5000", "/var/lib/flt/raft.db"]);
      await inAll(cluster, (host) => host.run(["systemctl", "start", "--no-block", "flt"]));
      for (const host of [one, two]) {
        await story(
          host,
          "Set the damaged files aside",
          "2 members recover at once",
          "restore the data directories of all members",
        );
      }
      await inAll(cluster, (host) => systemctl(host, "stop"));
      const restore = "rm -rf /var/lib/flt/* && cp -a /run/backup/. /var/lib/flt && systemctl start flt";
      await inAll(cluster, (host) => host.mustRun(["sh", "-c", restore]));
      await inAll(cluster, (host) => cluster.ready(host));
      await eventually("the units of the copies", 20_000, async () =>
        Bun.deepEquals(namesOf(await unitsOf(one)), namesOf(before)),
      );
    },
    120_000,
  );
});

const namesOf = (units: readonly { readonly name: string }[]) => units.map(({ name }) => name);
