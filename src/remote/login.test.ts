/**
 * RemoteKv and etcd's users: tokens, and passwords that are wrong, changed or not asked for.
 *
 * @module
 */
import { expect, test } from "bun:test";
import { expectRefused } from "../../test/contract/kv/room.ts";
import { put, remoteWorlds, TIMEOUT_MS, until } from "../../test/fakes/remote-world.ts";
import { Auth, KV } from "../etcd-proto/etcd_pb.ts";
import { encodeText } from "../lib/text.ts";
import type { RangeRequest } from "../store/kv.ts";
import { Status } from "./grpc/status.ts";

const { txn, range } = KV.method;
const KEY: RangeRequest = { key: encodeText("a") };
const LOGIN = { username: "flt", password: "s3cret-word" };
const WRONG = "etcdserver: authentication failed, invalid user ID or password";

const world = remoteWorlds();

test("the token goes with each call; a stale one is renewed once, for a write, too", async () => {
  const { server, open, said } = await world();
  const tokens: unknown[] = [];
  server.on(Auth.method.authenticate, (exchange) => {
    exchange.onMessage = ({ name, password }) => {
      expect([name, password]).toEqual([LOGIN.username, LOGIN.password]);
      exchange.end(0, "", { token: `token-${server.asked.Authenticate}` });
    };
  });
  server.on(txn, (exchange) => {
    exchange.onMessage = () => {
      tokens.push(exchange.headers.token);
      if (exchange.headers.token === "token-1") exchange.end(Status.unauthenticated, "etcdserver: invalid auth token");
      else exchange.end(0, "", { header: server.header(2), succeeded: true });
    };
  });
  const kv = await open(LOGIN);
  await Promise.all([kv.txn(put("a")), kv.txn(put("b"))]);
  expect(tokens.toSorted()).toEqual(["token-1", "token-1", "token-2", "token-2"]);
  expect(server.asked.Authenticate).toBe(2);
  expect(said.join()).not.toContain(LOGIN.password);
});

test("a wrong password: unavailable, with etcd's words and without the password", async () => {
  const { server, open, clock, said } = await world();
  server.on(Auth.method.authenticate, (exchange) => {
    exchange.onMessage = () => exchange.end(Status.invalidArgument, WRONG);
  });
  const kv = await open(LOGIN);
  await until("it was tried", () => kv.state.reason?.includes("logging in") ?? false);
  const read = expectRefused(kv.range(KEY), "unavailable");
  await clock.advance(TIMEOUT_MS);
  const { message } = await read;
  expect(message).toContain('logging in to etcd as "flt" failed: etcdserver: authentication failed');
  expect(message + said.join()).not.toContain(LOGIN.password);
});

test("an etcd that asks nobody for a password is used without, and a line says so", async () => {
  const { server, open, said } = await world();
  server.on(Auth.method.authenticate, (exchange) => {
    exchange.onMessage = () => exchange.end(Status.failedPrecondition, "etcdserver: authentication is not enabled");
  });
  server.on(range, (exchange) => {
    exchange.onMessage = () =>
      exchange.end(0, "", { header: server.header(exchange.headers.token === undefined ? 1 : 2) });
  });
  const kv = await open(LOGIN);
  expect((await kv.range(KEY)).revision).toBe(1);
  expect(said.some((line) => line.startsWith("Did not log in to etcd"))).toBe(true);
});

test("a password that is changed while the daemon runs: unavailable, tried once a call, and nothing was done", async () => {
  const { server, open } = await world();
  let isChanged = false;
  server.on(Auth.method.authenticate, (exchange) => {
    exchange.onMessage = () => {
      if (isChanged) exchange.end(Status.invalidArgument, WRONG);
      else exchange.end(0, "", { token: "token-1" });
    };
  });
  const refuse = "etcdserver: invalid auth token";
  server.on(range, (exchange) => {
    exchange.onMessage = () => exchange.end(Status.unauthenticated, refuse);
  });
  server.on(txn, (exchange) => {
    exchange.onMessage = () => exchange.end(Status.unauthenticated, refuse);
  });
  const kv = await open(LOGIN);
  await until("it is logged in", () => kv.state.connected);
  isChanged = true;
  const { message } = await expectRefused(kv.range(KEY), "unavailable");
  expect(message).toContain('logging in to etcd as "flt" failed: etcdserver: authentication failed');
  await expectRefused(kv.txn(put("a")), "unavailable");
  expect([server.asked.Authenticate, server.asked.Txn]).toEqual([3, 1]);
});
