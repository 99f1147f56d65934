/**
 * Attaches to busy processes and lets them go again, often: how many times it could, and for how long their threads were away, as they see it
 * themselves (`tests/targets/attached.c`), in all, and without what they could have run and waited for a processor: for so long they were stopped. The
 * same time without attaching stands beside it: where threads are more than processors they are away anyhow. attach.ts [CYCLES [KIND...]]
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { attach } from "../mod.ts";
import { Attached, sleep } from "../tests/attached.ts";
import { target } from "../tests/helpers.ts";

const ZLIB = "/lib/x86_64-linux-gnu/libz.so.1";
const KINDS: readonly (readonly [kind: string, what: string, ...args: string[]])[] = [
  ["one", "one thread that does nothing but malloc and free"],
  ["churn", "three such threads"],
  ["many", "64 such threads"],
  ["storm", "three, and a signal every 50 µs"],
  ["forks", "one, while another forks all the time"],
  ["loads", "a library is opened, used and closed all the time", ZLIB],
  ["sleep", "nanosleep for a second, again and again"],
];

const milliseconds = (nanoseconds: number): string => (nanoseconds / 1e6).toFixed(nanoseconds < 1e7 ? 2 : 1);
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

/** The longest time that a thread was away while something was done, in all and without what it waited for a processor, nanoseconds. */
async function away(of: Attached, during: () => Promise<unknown>): Promise<{ all: number; stopped: number }> {
  for (const field of ["longest", "stopped"] as const) of.write(field, 0);
  of.write("measure", 1);
  await during();
  of.write("measure", 0);
  return { all: of.read("longest"), stopped: of.read("stopped") };
}

const [given, ...kinds] = process.argv.slice(2);
const cycles = Number(given ?? 100);
const folder = mkdtempSync(join(tmpdir(), "heaptap-attach-"));
try {
  const program = target(folder, "attached.c", "-O2", "-pthread", "-ldl");
  console.log(
    "| process | attached and let go | stopped, median | highest | away, median | highest | without: median | highest |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
  );
  for (const [kind, what, ...args] of KINDS) {
    if ((args[0] && !existsSync(args[0])) || (kinds.length > 0 && !kinds.includes(kind))) continue;
    await using of = await Attached.start(program, join(folder, `${kind}.shared`), kind, ...args);
    const [with_, without]: [Awaited<ReturnType<typeof away>>[], number[]] = [[], []];
    let done = 0;
    for (let i = 0; i < cycles; i++) {
      try {
        const begun = performance.now();
        with_.push(
          await away(of, async () => {
            const attachment = await attach(of.pid, { out: join(folder, "cycle.heaptap"), buckets: 4096 });
            await attachment.detach();
          }),
        );
        const took = performance.now() - begun;
        without.push((await away(of, () => sleep(took))).all);
        done++;
      } catch (error) {
        console.error(`${kind}: ${(error as Error).message}`);
      }
    }
    if (of.read("failures") > 0) console.error(`${kind}: it saw ${of.read("failures")} failures`);
    const told = [with_.map(({ stopped }) => stopped), with_.map(({ all }) => all), without].flatMap((times) =>
      of.read("threads") > 0 ? [median(times), Math.max(...times)].map((n) => `${milliseconds(n)} ms`) : ["-", "-"]
    );
    console.log(`| ${what} | ${done} of ${cycles} | ${told.join(" | ")} |`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
