/** A process of `targets/attached.c`, and what it shares. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, existsSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import type { Recording } from "../mod.ts";

/** Waits until something holds, on a machine that is busy too; whether it did within 20 s. */
export async function eventually(holds: () => boolean): Promise<boolean> {
  for (const until = performance.now() + 20_000; performance.now() < until; await sleep(5)) if (holds()) return true;
  return holds();
}

export const sleep = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));

const FIELDS = [
  "allocations",
  "hold",
  "held",
  "threads",
  "measure",
  "longest",
  "failures",
  "signals",
  "ready",
  "stopped",
] as const;

export class Attached implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly #fd: number;

  private constructor(child: ChildProcess, file: string) {
    this.child = child;
    this.pid = child.pid ?? 0;
    this.#fd = openSync(file, "r+");
  }

  /** Starts one of a kind and waits until it is at it. */
  static async start(program: string, file: string, kind: string, ...args: string[]): Promise<Attached> {
    rmSync(file, { force: true });
    const child = spawn(program, [file, kind, ...args], { stdio: "inherit" });
    while (!existsSync(file)) await sleep(5);
    await sleep(20);
    const of = new Attached(child, file);
    while (of.read("ready") === 0) await sleep(5);
    await sleep(100);
    return of;
  }

  #word(i: number): number {
    const bytes = new Uint8Array(8);
    readSync(this.#fd, bytes, 0, 8, 8 * i);
    return Number(new DataView(bytes.buffer).getBigUint64(0, true));
  }

  /** A figure of its own. */
  read(field: typeof FIELDS[number]): number {
    return this.#word(FIELDS.indexOf(field));
  }

  /** Allocations of each thread. */
  byThread(threads: number): number[] {
    return Array.from({ length: threads }, (_, i) => this.#word(FIELDS.length + i));
  }

  write(field: typeof FIELDS[number], value: number): void {
    const bytes = new DataView(new ArrayBuffer(8));
    bytes.setBigUint64(0, BigInt(value), true);
    writeSync(this.#fd, new Uint8Array(bytes.buffer), 0, 8, 8 * FIELDS.indexOf(field));
  }

  /** Has its threads stand still between two rounds. */
  async hold(threads: number): Promise<void> {
    this.write("hold", 1);
    while (this.read("held") < threads) await sleep(2);
  }

  /** Lets them go on. */
  go(): void {
    this.write("hold", 0);
  }

  /** What `look` sees while its threads stand still, before and after a while in which they allocate. */
  async twice<T>(threads: number, look: () => T): Promise<readonly [before: T, after: T]> {
    await this.hold(threads);
    const before = look();
    this.go();
    await sleep(100);
    await this.hold(threads);
    const after = look();
    this.go();
    return [before, after];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((done) => this.child.once("exit", done));
    this.child.kill("SIGKILL");
    if (this.child.exitCode === null && this.child.signalCode === null) await ended;
    closeSync(this.#fd);
  }
}

/** What `churn` allocates in a while, its threads held before and after, is what a recording counts. */
export async function assertCountsAll(of: Attached, recording: Recording): Promise<void> {
  const [before, after] = await of.twice(3, () => ({
    made: of.read("allocations"),
    counted: recording.profile().totals.allocations,
  }));
  assert.ok(after.made > before.made);
  assert.equal(after.counted - before.counted, after.made - before.made);
}
