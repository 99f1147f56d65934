/** Accounts of the resident set, held against what is right. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Account, MomentAccount, Recording } from "../mod.ts";

/** What the kernel counts as a process's resident set. */
export function rollup(pid: number): number {
  return Number(/^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]) * 1024;
}

/** The parts of an account together. */
export function sumOf(a: Account): number {
  return a.live + (a.slack ?? 0) + (a.before ?? 0) + a.allocatorFree + (a.mapped ?? 0) + a.stacks + a.files + a.shared +
    a.heaptap + a.other;
}

/** The account of this moment. */
export function now(recording: Recording): MomentAccount {
  const { memory } = recording.withAccount(recording.profile());
  assert.ok(memory);
  return memory.end;
}

/** Whether a figure is right but for a part of it, and some bytes. */
export function near(figure: number, right: number, part: number, bytes: number, what: string): void {
  assert.ok(Math.abs(figure - right) <= part * right + bytes, `${what}: ${figure}, right ${right}`);
}
