/**
 * Reloading: which options change, which stay and say so.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { DEFAULT_CONFIG_PATH, type LoadedConfig, loadConfig } from "./load.ts";
import { planReload } from "./reload.ts";

function load(file: string): LoadedConfig {
  const readFile = (path: string) => (path === DEFAULT_CONFIG_PATH ? file : null);
  return loadConfig({ argv: [], env: {}, readFile, argv0Name: "flt", user: { uid: 0, home: "/root" } });
}

test("what can change while the daemon runs is taken over", () => {
  const before = load("metadata=a=1\nverbosity=1\nlisten_api=/run/a.sock");
  const after = load("metadata=a=2\nagent_ttl=8s\nlisten_api=/run/a.sock,http://127.0.0.1:80\ntoken_limit=7");
  const plan = planReload(before.config, after);
  expect(plan.changed).toEqual(["listen_api", "metadata", "agent_ttl", "token_limit", "verbosity"]);
  expect(plan.config).toEqual(after.config);
  expect(plan.refusals).toEqual([]);
});

test("what cannot stays as it was, is named with its place, and does not keep the rest from changing", () => {
  const before = load("data_dir=/a\nmetadata=a=1");
  const after = load(
    "metadata=a=2\ndata_dir=/b\ninitial_cluster=10.0.0.1,10.0.0.2\nsystemd_user=true\nverify_units=true",
  );
  const plan = planReload(before.config, after);
  expect(plan.changed).toEqual(["metadata"]);
  expect(plan.config).toEqual({ ...before.config, metadata: { a: "2" } });
  expect(plan.refusals).toEqual([
    `Cannot change data_dir to "/b" ("${DEFAULT_CONFIG_PATH}" line 2) while the daemon runs: it stays "/a". ` +
      "Restart flt to change it; units stay as they are",
    expect.stringMatching(/^Cannot change initial_cluster to "10.0.0.1:2380,10.0.0.2:2380" .* it stays unset\./),
    expect.stringMatching(/^Cannot change systemd_user to true .* it stays false\./),
  ]);
});

test("an option that there is not: nothing is taken over, its place and the word that was meant are told", () => {
  const before = load("metadata=a=1\nverbosity=1");
  const wanted = load("verbosity=2\nmetdata=a=1\nxyzzy=1");
  const message = `Cannot use "metdata" in "${DEFAULT_CONFIG_PATH}" line 2: there is no such option. Did you mean "metadata"?`;
  expect(() => planReload(before.config, wanted)).toThrow(expect.objectContaining({ code: "bad-config", message }));
});

test("the same said otherwise is no change", () => {
  const before = load("metadata=a=1,b=2\nagent_ttl=60s");
  expect(planReload(before.config, load('metadata="b=2, a=1"\nagent_ttl=1m'))).toMatchObject({
    changed: [],
    refusals: [],
  });
});

test("of a password it is said that it changed, not what it is", () => {
  const file = "etcd_servers=https://10.0.0.5:2379\netcd_username=u\nlisten_peer=10.0.0.1:2381\netcd_password=";
  const { refusals } = planReload(load(`${file}old-one`).config, load(`${file}new-one`));
  expect(refusals).toEqual([
    `Cannot change etcd_password to another one ("${DEFAULT_CONFIG_PATH}" line 4) while the daemon runs: it stays as ` +
      "it was. Restart flt to change it; units stay as they are",
  ]);
});
