/** `heaptap top -- program`: a program that is run to be looked at. */
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { profile } from "../run/profile.ts";
import type { ProfileOptions, ProfileResult } from "../run/profile.ts";
import { pass } from "../run/signals.ts";
import { recordingsNow } from "./followed.ts";
import { written } from "./terminal.ts";
import { hasScreen, top } from "./top.ts";
import type { TopOptions } from "./top.ts";
import { runUnrecorded } from "./unrecorded.ts";

/**
 * Runs a program and looks on. What it writes to the terminal while that shows the view goes to a file, and from there to the terminal when
 * the view is left, which it outlives.
 */
export async function topProgram(
  command: readonly string[],
  options: ProfileOptions,
  how: TopOptions,
): Promise<ProfileResult> {
  const unrecorded = await runUnrecorded(command, options);
  if (unrecorded) return unrecorded;
  const output = hasScreen(how) ? new Withheld() : undefined;
  let pid: number | undefined;
  const running = profile(command, {
    ...options,
    stdio: output ? ["ignore", output.fd, process.stderr.isTTY ? output.fd : "inherit"] : "inherit",
    onStart: (number) => pid = number,
  });
  let hasEnded = false;
  const ended = running.then(({ recording }) => recording, () => undefined).finally(() => hasEnded = true);
  try {
    await top({
      recordings: () => pid === undefined ? [] : recordingsNow(String(pid)),
      ended,
      interrupt: () => pass(pid, "SIGINT"),
      lines: process.stderr,
    }, how);
    if (output && !hasEnded) {
      process.stderr.write(`heaptap: ${command[0]} goes on (pid ${pid}); what it wrote and writes:\n`);
    }
    output?.follow();
    return await running;
  } finally {
    output?.close();
    if (output) await written(process.stdout);
  }
}

/** What a program writes while the terminal is taken. */
class Withheld {
  readonly #folder = mkdtempSync(join(tmpdir(), "heaptap-output-"));
  readonly fd = openSync(join(this.#folder, "output"), "ax+", 0o600);
  #shown = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Shows what there is, and what comes. */
  follow(): void {
    this.#show();
    this.#timer = setInterval(() => this.#show(), 50);
  }

  #show(): void {
    const piece = new Uint8Array(65536);
    for (const end = fstatSync(this.fd).size; this.#shown < end;) {
      const n = readSync(this.fd, piece, 0, Math.min(piece.length, end - this.#shown), this.#shown);
      if (n === 0) return;
      process.stdout.write(piece.slice(0, n));
      this.#shown += n;
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#show();
    closeSync(this.fd);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
