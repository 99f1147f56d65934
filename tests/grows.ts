/** A program that does one step after the other, recorded. */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { libraryPath, Recording } from "../mod.ts";
import { target } from "./helpers.ts";

/** A recorded program that does steps: see `targets/grows.c`. */
export interface Stepping {
  readonly pid: number;
  readonly recording: Recording;
  /** Has it do a step, and waits until that is done. */
  step(name: string): Promise<void>;
  /** Lets it end. */
  end(): Promise<void>;
}

/** Runs one in a folder of its test, whose recordings lie there, and ends it. */
export async function stepping(
  folder: string,
  use: (program: Stepping) => Promise<void>,
  ...args: string[]
): Promise<void> {
  const child = spawn(target(folder, "grows.c"), args, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(folder, "grows.%p.heaptap") },
  });
  const dot = () => new Promise<void>((done) => child.stdout.once("data", () => done()));
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  try {
    await dot();
    const { pid = 0 } = child;
    const path = join(folder, readdirSync(folder).find((name) => name.startsWith(`grows.${pid}.`)) ?? "none");
    await use({
      pid,
      recording: Recording.open(path),
      step: async (name) => {
        const done = dot();
        child.stdin.write(name);
        await done;
      },
      end: async () => {
        child.stdin.end();
        await ended;
      },
    });
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}
