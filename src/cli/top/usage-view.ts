/**
 * Usage as people and programs read it: two tables, machines above units; or one JSON object. Pure.
 *
 * @module
 */
import { machineLegend } from "../legend.ts";
import { type Cell, renderColumns } from "../output/columns.ts";
import type { Figures, MachineRow, UnitRow } from "./usage-book.ts";

export const SORT_KEYS = ["cpu", "memory", "tasks", "name", "machine"] as const;
export type SortKey = (typeof SORT_KEYS)[number];

export interface UsagePicture {
  readonly machines: readonly MachineRow[];
  readonly units: readonly UnitRow[];
}

/** Most first; what is not known comes last; names and machines in their order. */
export function sortUnits(units: readonly UnitRow[], key: SortKey): UnitRow[] {
  if (key === "name") return [...units];
  if (key === "machine") return units.toSorted((one, other) => (one.machine.id < other.machine.id ? -1 : 1));
  return units.toSorted((one, other) => (other[key] ?? -1) - (one[key] ?? -1));
}

/** @param isFull Whole ids of machines. */
export function usageLines(
  { machines, units }: UsagePicture,
  isFull: boolean,
): { machines: string[]; units: string[] } {
  const legend = ({ machine }: MachineRow | UnitRow): Cell => ({
    text: machineLegend(machine.id, machine.primaryIP, isFull),
  });
  const machineRows = machines.map((row): Cell[] => {
    return [legend(row), ...figureCells(row), row.problem === null ? right(String(row.units)) : { text: row.problem }];
  });
  const unitRows = units.map((row): Cell[] => [{ text: row.name }, ...figureCells(row), legend(row)]);
  const headings = ["CPU%", "TIME", "MEMORY", "TASKS"].map(right);
  return {
    machines: renderColumns([[{ text: "MACHINE" }, ...headings, right("UNITS")], ...machineRows]),
    units: renderColumns([[{ text: "UNIT" }, ...headings, { text: "MACHINE" }], ...unitRows]),
  };
}

/** The same for programs: cpu in percent of one processor, cpuNs since the start, memory in bytes; null: not known. */
export function usageJson({ machines, units }: UsagePicture): string {
  return JSON.stringify({
    machines: machines.map(({ machine, cpu, cpuNs, memory, tasks, units: count, problem }) => {
      return {
        machine: machine.id,
        ip: machine.primaryIP || null,
        cpu: rounded(cpu),
        cpuNs,
        memory,
        tasks,
        units: count,
        problem,
      };
    }),
    units: units.map(({ name, machine, cpu, cpuNs, memory, tasks }) => {
      return {
        unit: name,
        machine: machine.id,
        ip: machine.primaryIP || null,
        cpu: rounded(cpu),
        cpuNs,
        memory,
        tasks,
      };
    }),
  });
}

function right(text: string): Cell {
  return { text, isRight: true };
}

function figureCells({ cpu, cpuNs, memory, tasks }: Figures): Cell[] {
  return [
    right(cpu === null ? "-" : cpu.toFixed(1)),
    right(cpuNs === null ? "-" : cpuTime(cpuNs)),
    right(memory === null ? "-" : byteSize(memory)),
    right(tasks === null ? "-" : String(tasks)),
  ];
}

function rounded(cpu: number | null): number | null {
  return cpu === null ? null : Math.round(cpu * 10) / 10;
}

/** As top writes it: 1:02.34, and 12:03:04 from an hour on. */
function cpuTime(ns: number): string {
  const seconds = ns / 1e9;
  const two = (number: number): string => String(Math.floor(number)).padStart(2, "0");
  if (seconds >= 3_600) return `${Math.floor(seconds / 3_600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
  return `${Math.floor(seconds / 60)}:${two(seconds % 60)}.${two((seconds * 100) % 100)}`;
}

/** As systemctl writes it: 512.0M. */
function byteSize(bytes: number): string {
  let value = bytes;
  for (const suffix of ["B", "K", "M", "G", "T"]) {
    if (value < 1_024 || suffix === "T") return suffix === "B" ? `${value}B` : `${value.toFixed(1)}${suffix}`;
    value /= 1_024;
  }
  return `${bytes}B`;
}
