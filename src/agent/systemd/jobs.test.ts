import { expect, test } from "bun:test";
import { UnitManagerError } from "../unit-manager.ts";
import { Jobs } from "./jobs.ts";

test("a job that ends after its order", async () => {
  const jobs = new Jobs();
  const order = await jobs.order(async () => "/job/1");
  jobs.ended("/job/2", "failed");
  jobs.ended("/job/1", "done");
  expect(await order.done).toBe("done");
});

test("a job whose end is read before the answer to its order", async () => {
  const jobs = new Jobs();
  const order = await jobs.order(async () => {
    jobs.ended("/job/1", "failed");
    return "/job/1";
  });
  expect(await order.done).toBe("failed");
});

test("ends that nobody waits for are not kept", async () => {
  const jobs = new Jobs();
  jobs.ended("/job/1", "failed");
  const order = await jobs.order(async () => "/job/1");
  jobs.ended("/job/1", "done");
  expect(await order.done).toBe("done");
});

test("a lost connection ends every job, and an order that failed leaves none", async () => {
  const jobs = new Jobs();
  const order = await jobs.order(async () => "/job/1");
  await expect(jobs.order(() => Promise.reject(new Error("refused")))).rejects.toThrow("refused");
  jobs.lost(new UnitManagerError("disconnected", "gone"));
  await expect(order.done).rejects.toMatchObject({ code: "disconnected" });
});
