/**
 * /state and /machines: what agents report, and who they are.
 *
 * @module
 */
import { machineEntity, machinePageEntity, unitStateEntity, unitStatePageEntity } from "../../model/entities.ts";
import { pageOf } from "../../model/page-token.ts";
import type { UnitReport } from "../../model/states.ts";
import type { ClusterView } from "../../registry/types.ts";
import { type Call, pageToken, refreshView } from "./call.ts";
import { ApiError } from "./errors.ts";
import { json } from "./http.ts";

/** Sorted by unit name, then machine. */
export async function listStates(call: Call): Promise<Response> {
  const token = pageToken(call);
  const machineId = call.query.get("machineID") ?? "";
  const unitName = call.query.get("unitName") ?? "";
  await refreshView(call);
  const reports = filteredReports(call.ports.view, machineId, unitName);
  const { items, nextPageToken } = pageOf(reports, token);
  return json(200, unitStatePageEntity(items.map(unitStateEntity), nextPageToken));
}

function* filteredReports(view: ClusterView, machineId: string, unitName: string): Iterable<UnitReport> {
  for (const report of view.reports(unitName === "" ? undefined : unitName)) {
    if (machineId === "" || report.machineId === machineId) yield report;
  }
}

/** Of several (a global unit, or one that is moving) the one on the unit's own machine, else the first by machine. */
export async function getState(call: Call): Promise<Response> {
  await refreshView(call);
  const { view } = call.ports;
  const target = view.job(call.name)?.machine ?? null;
  const [first] = view.reports(call.name);
  const report = (target === null ? undefined : view.report(target, call.name)) ?? first;
  if (report === undefined) throw new ApiError("not-found", `unit "${call.name}" has no state: no machine reports it`);
  return json(200, unitStateEntity(report));
}

/** Sorted by id. */
export async function listMachines(call: Call): Promise<Response> {
  const token = pageToken(call);
  await refreshView(call);
  const { items, nextPageToken } = pageOf(call.ports.view.machines(), token);
  return json(200, machinePageEntity(items.map(machineEntity), nextPageToken));
}
