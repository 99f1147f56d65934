/**
 * Everything that can fail does: a build of the library in which each system call, and each time that it asks for
 * room in the recording, fails in turn, once or for ever after, and each kind of system call always (ffi/fault.c). The
 * programs must end and print as by themselves, and what was recorded must add up. Ends with `N passed, N failed`.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Recording, RecordingError } from "../mod.ts";
import { FLAGS } from "../src/native/build.ts";
import { recordings, ROOT, target } from "../tests/helpers.ts";

const PROGRAMS: readonly (readonly [source: string, ...args: string[]])[] = [
  ["counts.c"],
  ["threads.c"],
  ["fds.c"],
  ["thread_ends.c"],
  ["spawns.c"],
  ["confined.c", "filter"],
  ["recursion.c"],
  ["wrappers.c", "spawned"],
  ["maps.c"],
];
/** What fails with: no memory, no permission, no such call, no room. */
const ERRORS = [12, 1, 38, 28];
/** System calls that the library makes, by number; see ffi/arch. */
const CALLS = [
  ...[
    0,
    3,
    9,
    10,
    11,
    12,
    14,
    17,
    21,
    24,
    28,
    39,
    77,
    79,
    87,
    89,
    102,
    104,
    110,
    131,
    138,
    157,
    186,
    193,
    202,
    228,
    234,
  ],
  ...[257, 285, 302, 332],
];

const work = mkdtempSync(join(tmpdir(), "heaptap-faults-"));
const library = join(work, "libheaptap.so");
const built = spawnSync("cc", [...FLAGS, "-DHT_FAULTS", "-o", library, join(ROOT, "ffi/all.c")], { encoding: "utf8" });
let [passed, failed, runs, recorded] = [0, 0, 0, 0];

/** What is wrong with what a run has left, if anything. */
function wrong(folder: string): string | undefined {
  for (const path of recordings(folder)) {
    try {
      const { totals, callPaths } = Recording.open(path).profile();
      recorded++;
      for (const figure of ["allocations", "bytes", "frees", "liveBytes"] as const) {
        const sum = callPaths.reduce((n, path) => n + path[figure], 0);
        if (sum !== totals[figure]) return `${figure} of call paths ${sum}, in all ${totals[figure]}`;
      }
    } catch (error) {
      if (!(error instanceof RecordingError)) return String(error);
    }
  }
  return undefined;
}

for (const [source, ...args] of built.status === 0 ? PROGRAMS : []) {
  const program = target(work, source);
  const plain = spawnSync(program, args, { encoding: "utf8" });
  const breaches: string[] = [];
  const attempt = (fault: string, error: number, count = "") => {
    const folder = mkdtempSync(join(work, "run-"));
    const env = {
      ...process.env,
      LD_PRELOAD: library,
      HEAPTAP_OUT: join(folder, "a.heaptap"),
      HEAPTAP_BUCKETS: "256",
      HEAPTAP_FAULT: fault,
      HEAPTAP_FAULT_ERROR: String(error),
      HEAPTAP_FAULT_COUNT: count,
    };
    const got = spawnSync(program, args, { env, encoding: "utf8", timeout: 20_000 });
    runs++;
    const same = got.status === plain.status && got.signal === plain.signal && got.stdout === plain.stdout &&
      got.stderr === plain.stderr;
    const why = same ? wrong(folder) : `ended ${got.signal ?? got.status}, ${got.stderr}`;
    if (why) breaches.push(`HEAPTAP_FAULT=${fault} HEAPTAP_FAULT_ERROR=${error}: ${why}`);
    rmSync(folder, { recursive: true });
  };
  const counts = join(work, "occasions");
  attempt("", 0, counts);
  const [calls = 0n, rooms = 0n] = new BigUint64Array(new Uint8Array(readFileSync(counts)).buffer);
  // The last of many are alike: each of the first 150, then some of the rest.
  const places = (n: bigint) =>
    Array.from({ length: Number(n) }, (_, i) => i + 1).filter((i) => i <= 150 || i % Math.ceil(Number(n) / 50) === 0);
  for (const n of places(calls)) {
    attempt(`${n}`, ERRORS[n % ERRORS.length] ?? 12);
    attempt(`${n}-`, ERRORS[(n + 1) % ERRORS.length] ?? 12);
  }
  for (const n of places(rooms)) {
    attempt(`r${n}`, 28);
    if (n % 5 === 1) attempt(`r${n}-`, 28);
  }
  for (const n of CALLS) for (const error of ERRORS) attempt(`s${n}`, error);
  if (breaches.length === 0) passed++;
  else failed++;
  console.log(`${breaches.length === 0 ? "ok  " : "FAIL"} ${source}: ${calls} system calls, ${rooms} times room`);
  for (const breach of breaches.slice(0, 10)) console.log(`     ${breach}`);
}
rmSync(work, { recursive: true, force: true });
if (built.status !== 0) console.log(built.stderr);
console.log(`${runs} runs, ${recorded} recordings read`);
console.log(`${passed} passed, ${failed || (built.status === 0 ? 0 : 1)} failed`);
process.exitCode = failed === 0 && built.status === 0 ? 0 : 1;
