/**
 * The fleet API as curl meets it on a real host: spec/fleet.md section 6, line by line, held to transcripts that are reviewed.
 *
 * Not here. What no transcript can hold, streams and metrics (live.host.ts).
 *
 * Usage. GOLDEN=update bun test ./test/compat/api.host.ts writes the transcripts anew.
 *
 * @module
 */
import { encodePageToken } from "../../src/model/page-token.ts";
import { waitActive } from "../hosts/lib/fleet.ts";
import type { Host } from "../hosts/lib/host.ts";
import { hostSuite } from "../hosts/lib/suite.ts";
import { eventually } from "../hosts/lib/wait.ts";
import { curl } from "./curl.ts";
import { fleetOptions, get, golden, key, M1, OTHER, patch, put, SLEEPER, STRANGER, U } from "./requests.ts";

const config = { metadata: "region=eu,disk=ssd", token_limit: "3", public_ip: "10.77.0.11" };
hostSuite("fleet's API, by curl", { hosts: 1, config }, (suite) => {
  suite.case("lists of nothing, and what is served where", (cluster) =>
    golden(cluster, "empty", [
      get(U),
      get("/fleet/v1/state"),
      get("/fleet/v1/machines"),
      get("/fleet/v1/machines?alt=json"),
      get("/fleet/v1-alpha/machines"),
      get("/flt/v1/machines/"),
      get("/"),
      get("/fleet/v1"),
      get("/fleet/v1/"),
      get("/fleet/v1-alpha"),
      { method: "POST", path: "/flt/v1", body: "{}" },
      get("/fleet"),
      get("/fleet/v2/units"),
      get("/fleet/v1/nonsense"),
      get("/fleet/v1/version"),
      get("/flt/v1/units:nonsense"),
      get("//fleet/v1/units"),
    ]),
  );

  suite.case("PUT: created, changed, replaced, and every refusal", (cluster) =>
    golden(cluster, "put", [
      put("hello.service", { name: "hello.service", desiredState: "inactive", options: SLEEPER }),
      put("state.service", { options: SLEEPER }),
      get(`${U}/hello.service`),
      put("hello.service", { desiredState: "inactive" }),
      put("hello.service", { desiredState: "inactive", options: SLEEPER }),
      put("hello.service", { desiredState: "inactive", options: OTHER }),
      get(`${U}/hello.service`),
      put("hello.service", { options: SLEEPER }),
      put("hello.service", { options: SLEEPER }),
      put("hello.service", {}),
      put("new.service", { desiredState: "loaded" }),
      put("new.service", {}),
      put("new.service", { desiredState: "running", options: SLEEPER }),
      put("new.service", { name: "old.service", options: SLEEPER }),
      put("new.service", "{"),
      put("new.service", ""),
      put("new.service", "[]"),
      put("new.service", "null"),
      put("new.service", { options: {} }),
      put("new.service", { options: [{ section: 7 }] }),
      put("new.service", { options: SLEEPER }, "text/plain"),
      put("new.service", { options: SLEEPER }, null),
      put("charset.service", { options: SLEEPER }, "application/json; charset=utf-8"),
      put("hello", { options: SLEEPER }),
      put("hello.", { options: SLEEPER }),
      put("hello.txt", { options: SLEEPER }),
      put("@x.service", { options: SLEEPER }),
      put("a@b.mount", { options: SLEEPER }),
      put("a%20b.service", { options: SLEEPER }),
      put("a%2Fb.service", { options: SLEEPER }),
      put("a%zz.service", { options: SLEEPER }),
      put("%ff.service", { options: SLEEPER }),
      put(`${"a".repeat(260)}.service`, { options: SLEEPER }),
      put("web@.service", { desiredState: "launched", options: SLEEPER }),
      put("web@.service", { desiredState: "loaded", options: SLEEPER }),
      put("web@.service", { options: SLEEPER }),
      put("odd.service", { options: [{ section: "a]b", name: "x", value: "y" }] }),
      put("odd.service", { options: fleetOptions(["MachineID", M1], ["MachineOf", "hello.service"]) }),
      put("odd.service", { options: fleetOptions(["MachineID", M1], ["Conflicts", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["MachineID", M1], ["Global", "true"]) }),
      put("odd.service", { options: fleetOptions(["MachineID", M1], ["Replaces", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["Global", "true"], ["MachineOf", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["Global", "true"], ["Replaces", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["Conflicts", "a.service"], ["Replaces", "x.service"]) }),
      put("odd.service", { options: fleetOptions(["MachineOf", "a.service"], ["Conflicts", "a*"]) }),
      put("odd.service", { options: fleetOptions(["MachineOf", "a.service"], ["Replaces", "a*"]) }),
      put("odd.service", { options: fleetOptions(["MachineMetadata", "a=b c=d"]) }),
      { method: "POST", path: `${U}/hello.service`, body: "{}" },
      { method: "PATCH", path: `${U}/hello.service`, body: "{}" },
      { method: "DELETE", path: U },
      { method: "PUT", path: U, body: "{}" },
      get(`${U}/nobody.service`),
      { method: "DELETE", path: `${U}/nobody.service` },
      { method: "DELETE", path: `${U}/state.service` },
      { method: "DELETE", path: `${U}/state.service` },
    ]),
  );

  suite.case("pages and their tokens", (cluster) =>
    golden(cluster, "pages", [
      put("p%5Cx2dq.service", { options: SLEEPER }),
      get(U),
      get(`${U}?nextPageToken=`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 3, page: 2 })}`),
      get(`${U}?nextPageToken=${encodeURIComponent(encodePageToken({ limit: 3, page: 2 }))}&alt=json`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 3, page: 9 })}`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 3, page: 65535 })}`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 3, page: 0 })}`),
      get(`${U}?nextPageToken=${encodePageToken({ limit: 100, page: 1 })}`),
      get(`${U}?nextPageToken=%21%21`),
      get(`${U}?nextPageToken=AAAA`),
      get(`/fleet/v1/state?nextPageToken=x`),
      get(`/fleet/v1/machines?nextPageToken=x`),
      get(`${U}/p%5Cx2dq.service`),
    ]),
  );

  suite.case("states of a unit that runs, of a global one, of one that fits nowhere", async (cluster) => {
    const [host] = cluster.hosts as [Host];
    await host.api(`${U}/hello.service`, { method: "PUT", body: { desiredState: "launched" } });
    const everywhere = { desiredState: "launched", options: fleetOptions(["Global", "true"]) };
    await host.api(`${U}/every.service`, { method: "PUT", body: everywhere });
    const nowhere = { desiredState: "launched", options: fleetOptions(["MachineMetadata", "disk=tape"]) };
    await host.api(`${U}/nowhere.service`, { method: "PUT", body: nowhere });
    await waitActive(host, ["hello.service", "every.service"]);
    await eventually("the reasons", 5_000, async () => {
      const { reasons } = (await (await host.api("/flt/v1/units/nowhere.service/reasons")).json()) as { reasons: [] };
      return reasons.length > 0 || undefined;
    });
    await golden(cluster, "states", [
      get(`${U}/hello.service`),
      get(`${U}/every.service`),
      get(`${U}/nowhere.service`),
      get("/fleet/v1/state"),
      get("/fleet/v1/state?unitName=hello.service"),
      get(`/fleet/v1/state?machineID=${M1}&unitName=every.service`),
      get(`/fleet/v1/state?machineID=${STRANGER}`),
      get("/fleet/v1/state/hello.service"),
      get("/fleet/v1/state/nowhere.service"),
      get("/fleet/v1/state/nobody.service"),
      { method: "PUT", path: "/fleet/v1/state", body: "{}" },
      get("/flt/v1/units/nowhere.service"),
      get("/flt/v1/units/nowhere.service/reasons"),
      get("/flt/v1/units/hello.service/reasons"),
      get("/flt/v1/units/nowhere.service/status"),
      get("/flt/v1/units/nobody.service/status"),
      get("/flt/v1/units/nowhere.service/journal"),
      get("/flt/v1/units/hello.service/journal?lines=x"),
      get("/flt/v1/units/hello.service/journal?output=../etc"),
    ]);
  });

  suite.case("PATCH /machines: edits win, a removed key hides, all are checked before any is done", (cluster) =>
    golden(cluster, "metadata", [
      patch([{ op: "add", path: key("rack"), value: "7" }]),
      get("/fleet/v1/machines"),
      patch([
        { op: "replace", path: key("region"), value: { value: "us" } },
        { op: "remove", path: key("disk") },
        { op: "add", path: key("k", STRANGER), value: "v" },
      ]),
      get("/fleet/v1/machines"),
      patch([{ op: "remove", path: key("rack") }], null),
      get("/fleet/v1/machines"),
      patch([
        { op: "add", path: key("a~1b"), value: "x" },
        { op: "test", path: key("rack"), value: "7" },
      ]),
      patch([
        { op: "add", path: key("rack"), value: "7" },
        { op: "add", path: key("rack"), value: "" },
      ]),
      patch([
        { op: "add", path: key("rack"), value: "7" },
        { op: "replace", path: key("rack") },
      ]),
      patch([{ op: "add", path: `/${M1}/rack`, value: "7" }]),
      patch([{ op: "add", path: "/web1/metadata/rack", value: "7" }]),
      patch([{ op: "add", path: key(""), value: "7" }]),
      patch({ op: "add", path: key("rack"), value: "7" }),
      patch([]),
      { method: "PATCH", path: "/fleet/v1/machines", body: "[" },
      { method: "DELETE", path: "/fleet/v1/machines" },
      get("/fleet/v1/machines"),
    ]),
  );

  suite.case("edited metadata outlives the daemon", async (cluster) => {
    const [host] = cluster.hosts as [Host];
    const before = await curl(host, get("/fleet/v1/machines"));
    await host.mustRun(["systemctl", "restart", "flt.service"], { timeoutMs: 30_000 });
    await eventually("the machine to be back, as it was", 15_000, async () => {
      const after = await curl(host, get("/fleet/v1/machines"));
      if (after.text === before.text) return true;
      throw new Error(after.text);
    });
    await waitActive(host, ["hello.service", "every.service"]);
  });

  suite.case("many units in one request", (cluster) =>
    golden(cluster, "batch", [
      {
        method: "POST",
        path: "/flt/v1/units:batch",
        body: JSON.stringify({
          units: [
            { name: "b1.service", options: SLEEPER, desiredState: "inactive" },
            { name: "b2.service", options: SLEEPER },
            { name: "charset.service", delete: true },
            { name: "nobody.service", delete: true },
            { name: "nobody2.service", desiredState: "loaded" },
            { name: "t@.service", desiredState: "loaded", options: SLEEPER },
            { name: "bad" },
            { name: "odd.service", options: 7 },
          ],
        }),
      },
      get(`${U}/b2.service`),
      { method: "POST", path: "/flt/v1/units:batch", body: '{"units":[{"name":"c.service","options":[]},{}]}' },
      { method: "POST", path: "/flt/v1/units:batch", body: "{}" },
      { method: "GET", path: "/flt/v1/units:batch" },
      { method: "POST", path: "/fleet/v1/units:batch", body: "{}" },
    ]),
  );

  suite.case("the discovery document, and nothing else there", (cluster) =>
    golden(cluster, "discovery", [
      get("/fleet/v1/discovery"),
      { method: "POST", path: "/fleet/v1/discovery", body: "{}" },
      { method: "DELETE", path: "/fleet/v1/discovery" },
    ]),
  );
});
