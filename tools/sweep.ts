/**
 * Programs that nobody here wrote: each is run with `--version`, by itself and recorded, and must print the same on both
 * streams and end with the same status. One whose own two runs differ is passed over. sweep.ts PROGRAM...; who names the
 * programs knows what they do with that option.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { libraryPath } from "../mod.ts";

const work = mkdtempSync(join(tmpdir(), "heaptap-sweep-"));

/** What a program did; undefined when it went on for too long. */
function behaviour(program: string, env: Readonly<Record<string, string>> = {}): string | undefined {
  const { status, signal, stdout, stderr, error } = spawnSync(program, ["--version"], {
    cwd: work,
    env: { ...process.env, ...env },
    encoding: "latin1",
    input: "",
    timeout: 20_000,
  });
  return error ? undefined : JSON.stringify({ status, signal, stdout, stderr });
}

let [alike, different, recorded, unsteady] = [0, 0, 0, 0];
for (const program of process.argv.slice(2)) {
  const plain = behaviour(program);
  if (plain === undefined || plain !== behaviour(program)) {
    unsteady++;
    continue;
  }
  const out = mkdtempSync(join(work, "out-"));
  const with_ = behaviour(program, { LD_PRELOAD: libraryPath(), HEAPTAP_OUT: join(out, "a.heaptap") });
  if (readdirSync(out).length > 0) recorded++;
  rmSync(out, { recursive: true });
  if (with_ === plain) {
    alike++;
  } else {
    different++;
    console.log(`${program}: ${with_}\n  by itself: ${plain}`);
  }
}
rmSync(work, { recursive: true, force: true });
console.log(`${recorded} programs recorded, ${unsteady} differ by themselves or do not end`);
console.log(`${alike} passed, ${different} failed`);
process.exitCode = different > 0 ? 1 : 0;
