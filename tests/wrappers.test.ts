/** Programs behind wrappers that clear or change the environment, and what a program's file is taken for. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync } from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath, Recording, Symbols } from "../mod.ts";
import type { Profile } from "../mod.ts";
import { findInPath } from "../src/native/build.ts";
import { unseen } from "../src/profile/facts.ts";
import { recordings, ROOT, scratch, target, without } from "./helpers.ts";

const folder = scratch();
const isRoot = process.getuid?.() === 0;

interface Ran {
  readonly status: number | null;
  readonly output: string;
  readonly profiles: readonly Profile[];
}

/** Runs a command with the library preloaded, and an environment of its own. */
function record(command: readonly string[], env: Record<string, string> = {}, cwd = folder): Ran {
  const out = mkdtempSync(join(folder, "run-"));
  const [program = "", ...args] = command;
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: "utf8",
    cwd,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      LD_PRELOAD: libraryPath(),
      HEAPTAP_OUT: join(out, "a.%p.heaptap"),
      HEAPTAP_BUCKETS: "1024",
      ...env,
    },
  });
  const profiles = recordings(out).map((path) => Recording.open(path).profile());
  rmSync(out, { recursive: true });
  return { status, output: `${stdout}${stderr}`, profiles };
}

/** The same without. */
function plainly(command: readonly string[]): string {
  const [program = "", ...args] = command;
  const env = { PATH: process.env.PATH, HOME: process.env.HOME } as NodeJS.ProcessEnv;
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", cwd: folder, env });
  return `${status} ${stdout}${stderr}`;
}

const of = (profiles: readonly Profile[], program: string) =>
  profiles.filter(({ process: { executable } }) => executable === realpathSync(program));

const leaf = () => target(folder, "spawns.c"); // as "leaf": 3 malloc(100)
const leaves = (profiles: readonly Profile[]) =>
  of(profiles, leaf()).filter(({ totals }) => totals.allocations === 3 && totals.bytes === 300).length;

for (
  const [way, count] of [["every", 14], ["spawned", 6], ["fails", 0], ["limit", 0], ["handler", 20], ["threads", 0]]
    .values() as Iterable<[string, number]>
) {
  test(`exec and its kind, ${way}: what a program sees is as by itself, and what it starts is recorded`, () => {
    const program = target(folder, "wrappers.c");
    const { status, output, profiles } = record([program, way]);
    assert.equal(`${status} ${output}`, plainly([program, way]));
    assert.equal(status, 0);
    const started = of(profiles, program).filter(({ process: { command } }) => command[1] === "leaf");
    assert.equal(started.length, count);
    // printf has a buffer of its own.
    for (const { totals, limits } of started) {
      assert.ok(totals.allocations >= 9 && totals.allocations <= 10, `${totals.allocations}`);
      assert.equal(limits.buckets, 1024); // its variables came along
    }
    if (way === "threads") {
      const quiet = of(profiles, program).filter(({ totals }) => totals.allocations === 1 && totals.bytes === 64);
      assert.equal(quiet.length, 80);
      const parent = profiles.find(({ process: { command } }) => command[1] === "threads");
      // 100 pairs a round, beside what the C library takes for threads and the stream.
      assert.ok((parent?.totals.allocations ?? 0) >= 8 * 15 * 100);
    }
  });
}

test("a large environment gets what it lacks where the stack has room, and is passed on as it is where not", () => {
  const program = target(folder, "wrappers.c");
  const { status, output, profiles } = record([program, "large"]);
  assert.equal(`${status} ${output}`, plainly([program, "large"]));
  const commands = profiles.map(({ process: { command } }) => command.slice(1).join(" "));
  assert.deepEqual(commands.sort(), ["large", "leaf large"]);
  const parent = profiles.find(({ process: { command } }) => command[1] === "large");
  assert.equal(parent?.process.unfollowed?.path, realpathSync(program));
  assert.match(parent?.process.unfollowed?.why ?? "", /small stack/);
});

const SCRIPTS: readonly [name: string, command: readonly string[], leaves: number][] = [
  ["env", ["sh", "-c", "exec env -i PATH=/usr/bin:/bin LEAF"], 1],
  ["sh", ["sh", "-c", "env -i LEAF; unset LD_PRELOAD; LEAF; LD_PRELOAD=libm.so.6 LEAF; (exec env -i LEAF)"], 4],
  ["bash", ["bash", "-c", "env -i LEAF; unset LD_PRELOAD; LEAF; LD_PRELOAD= LEAF"], 3],
  ["make", ["make", "-s", "-f", "-"], 2],
  ["perl", ["perl", "-e", '%ENV = (); system("LEAF"); `LEAF; true`; exec "SELF", "leaf"'], 3],
  ["ruby", ["ruby", "-e", 'system({}, "LEAF", unsetenv_others: true); ENV.clear; `LEAF`; exec "LEAF"'], 3],
  ["node", ["node", "-e", 'require("child_process").spawnSync("SELF", ["leaf"], { env: {} })'], 1],
  ["python3", [
    "python3",
    "-c",
    'import os, subprocess; subprocess.run(["SELF", "leaf"], env={}); ' +
    'subprocess.run(["SELF", "leaf"], env={}, preexec_fn=lambda: None); os.environ.clear(); ' +
    'os.system("LEAF"); os.popen("LEAF").read(); os.waitpid(os.posix_spawn("SELF", ["SELF", "leaf"], {}), 0)',
  ], 5],
];
for (const [name, command, expected] of SCRIPTS) {
  test(`wrappers in ${name}`, { skip: without(name) }, () => {
    if (name === "make") {
      writeFileSync(join(folder, "Makefile"), `all:\n\tenv -i ${leaf()} leaf\n\tunset LD_PRELOAD; ${leaf()} leaf\n`);
    }
    const words = command.map((word) => word.replaceAll("LEAF", `${leaf()} leaf`).replaceAll("SELF", leaf()));
    const { status, profiles } = record(name === "make" ? ["make", "-s"] : words);
    assert.equal(status, 0);
    assert.equal(leaves(profiles), expected);
  });
}

test("wrappers in java", { skip: without("java") || without("javac") }, () => {
  writeFileSync(
    join(folder, "W.java"),
    `public class W { public static void main(String[] a) throws Exception {
       ProcessBuilder b = new ProcessBuilder(a[0], "leaf"); b.environment().clear(); System.exit(b.start().waitFor()); } }`,
  );
  assert.equal(spawnSync("javac", ["W.java"], { cwd: folder }).status, 0);
  const { status, profiles } = record(["java", "-cp", folder, "W", leaf()]);
  assert.equal(status, 0);
  assert.equal(leaves(profiles), 1);
});

test("--follow none and a variable that says to record nothing put nothing back; exec still follows programs", () => {
  const script = `env -i ${leaf()} leaf; (env -i ${leaf()} leaf; true); env -i env`;
  const none = record(["sh", "-c", script], { HEAPTAP_FOLLOW: "none" });
  assert.deepEqual([none.status, none.output, leaves(none.profiles)], [0, "", 0]);
  const off = record(["sh", "-c", script], { HEAPTAP_OUT: "" });
  assert.deepEqual([off.status, off.output, off.profiles.length], [0, "", 0]);
  const exec = record(["sh", "-c", script], { HEAPTAP_FOLLOW: "exec" });
  assert.deepEqual([exec.status, exec.output, leaves(exec.profiles)], [0, "", 2]);
  assert.ok(exec.profiles.every(({ process: { forked } }) => !forked));
  // A wrapper's own word counts, for the program that hears it and from there on.
  const inside = record(["sh", "-c", `HEAPTAP_FOLLOW=none exec env -i A=b ${leaf()} leaf`]);
  assert.deepEqual([leaves(inside.profiles), inside.profiles.length], [0, 2]);
  const told = record(["env", "-i", "HEAPTAP_FOLLOW=none", "/bin/sh", "-c", `${leaf()} leaf`]);
  assert.equal(leaves(told.profiles), 0);
});

test("what is started and cannot be recorded is noted by name", () => {
  const source = join(folder, "leaf.c");
  writeFileSync(source, "int main(void) { return 0; }\n");
  const fixed = join(folder, "fixed");
  const built = spawnSync("cc", ["-static", source, "-o", fixed]);
  const noted = (script: string) => {
    const { status, profiles } = record(["sh", "-c", script]);
    assert.equal(status, 0, script);
    return profiles.map(({ process: { unfollowed } }) => unfollowed).find((found) => found);
  };
  if (built.status === 0) {
    assert.deepEqual(noted(`${fixed}; true`), { path: fixed, why: "is statically linked", became: false, count: 1 });
    assert.equal(noted(`exec ${fixed}`)?.became, true);
    assert.equal(noted(`PATH=${folder}; fixed && fixed && true`)?.count, 2);
    const script = join(folder, "fixed-script");
    writeFileSync(script, `#!${fixed} word\n`);
    chmodSync(script, 0o755);
    assert.equal(noted(`${script}; true`)?.path, script);
    // What failed was not started.
    assert.equal(noted(`chmod -x ${fixed}; ${fixed} 2>/dev/null; chmod +x ${fixed}`), undefined);
  }
  const foreign = join(folder, "foreign");
  const bytes = new Uint8Array(64);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1], 0);
  bytes.set([2, 0, 183, 0, 1], 16);
  writeFileSync(foreign, bytes, { mode: 0o755 });
  const failed = record(["sh", "-c", `${foreign} 2>/dev/null; true`]);
  assert.ok(failed.profiles.every(({ process: { unfollowed } }) => !unfollowed), "the kernel refused it");
});

test("setuid programs are noted", { skip: isRoot ? false : "needs root" }, () => {
  const privileged = join(folder, "privileged");
  copyFileSync("/bin/true", privileged);
  chownSync(privileged, 65534, 65534);
  chmodSync(privileged, 0o4755);
  const { profiles } = record(["sh", "-c", `${privileged}; true`]);
  const found = profiles.map(({ process: { unfollowed } }) => unfollowed).find((one) => one);
  assert.deepEqual([found?.path, found?.why], [privileged, "is setuid or setgid"]);
});

const LINKER = "/lib64/ld-linux-x86-64.so.2";
const hasLinker = existsSync(LINKER) ? false : `${LINKER} is not there`;

test("ld.so ./program is recorded, under the program's name", { skip: hasLinker }, async () => {
  const program = target(folder, "counts.c");
  const libc = spawnSync("cc", ["-print-file-name=libc.so.6"], { encoding: "utf8" }).stdout.trim();
  const own = join(folder, "own");
  mkdirSync(own, { recursive: true });
  cpSync(realpathSync(LINKER), join(own, "ld.so"));
  cpSync(realpathSync(libc), join(own, "libc.so.6"));
  const direct = record([program]).profiles[0]?.totals;
  assert.ok(direct);
  for (const command of [[LINKER, "./counts"], ["./own/ld.so", "--library-path", "./own", "./counts"]]) {
    const { profiles } = record(command);
    const [profile] = profiles;
    assert.equal(profiles.length, 1);
    assert.ok(profile);
    assert.equal(profile.process.executable, realpathSync(program));
    assert.equal(profile.totals.allocations, direct.allocations);
    assert.ok(profile.modules.every(({ path }) => path.startsWith("/") || !path.includes("/")), "relative names");
    using symbols = new Symbols(profile);
    await symbols.resolve(profile.callPaths);
    const names = profile.callPaths.flatMap(({ stack }) => stack.flatMap((f) => symbols.frames(f))).map((f) =>
      f.function
    );
    assert.ok(names.includes("main"), names.join());
  }
  assert.equal(record([LINKER, "./counts"], { HEAPTAP_ONLY: "/counts$" }).profiles.length, 1);
  assert.equal(record([LINKER, "./counts"], { HEAPTAP_ONLY: "/ld-linux" }).profiles.length, 0);
});

const chroot = findInPath("chroot", `${process.env.PATH}:/usr/sbin:/sbin`);
const cannotChroot = !isRoot ? "needs root" : chroot ? hasLinker : "chroot is not installed";

test("without /proc frames are the program's, a script's are its interpreter's", { skip: cannotChroot }, () => {
  const root = join(folder, "root");
  const program = target(folder, "counts.c");
  const libc = spawnSync("cc", ["-print-file-name=libc.so.6"], { encoding: "utf8" }).stdout.trim();
  for (const [from, to] of [[LINKER, LINKER], [libc, realpathSync(libc)], [program, "/bin/counts"]] as const) {
    mkdirSync(join(root, to, ".."), { recursive: true });
    cpSync(realpathSync(from), join(root, to));
  }
  cpSync(libraryPath(), join(root, "heaptap.so"));
  writeFileSync(join(root, "bin/script"), "#! /bin/counts\n", { mode: 0o755 });
  mkdirSync(join(root, "out"));
  for (const command of [["/bin/counts"], ["/bin/script"], ["./bin/counts"], [LINKER, "bin/counts"]]) {
    const preload = { LD_PRELOAD: "/heaptap.so", HEAPTAP_OUT: "/out/a.heaptap" };
    // Not for chroot itself, for which that file is not there.
    const set = Object.entries(preload).map(([name, value]) => `${name}=${value}`);
    spawnSync("env", ["-i", ...set, chroot ?? "", root, ...command], { encoding: "utf8" });
    const path = join(root, "out/a.heaptap");
    const profile = Recording.open(path).profile();
    rmSync(path);
    assert.equal(profile.process.executable, "/bin/counts", command.join(" "));
    const modules = profile.callPaths.flatMap(({ stack }) => stack.map((f) => profile.modules[f.module]?.path));
    assert.ok(modules.includes("/bin/counts"), command.join(" "));
    assert.ok(!modules.includes(undefined), command.join(" "));
  }
});

test(
  "a program in memory, or removed while it runs, is named by its build id; a child's frees are of before the fork",
  {
    skip: without("objcopy") || without("readelf"),
  },
  async () => {
    const program = target(folder, "bundles.c");
    const [, id = ""] = /Build ID: (\w+)/.exec(spawnSync("readelf", ["-n", program], { encoding: "utf8" }).stdout) ??
      [];
    const debug = join(folder, "debug");
    const place = join(debug, ".build-id", id.slice(0, 2));
    mkdirSync(place, { recursive: true });
    spawnSync("objcopy", ["--only-keep-debug", program, join(place, `${id.slice(2)}.debug`)]);
    const stripped = join(folder, "stripped");
    spawnSync("objcopy", ["--strip-all", program, stripped]);
    for (const args of [[], [join(folder, "gone")]]) {
      const { status, profiles } = record([stripped, ...args]);
      assert.equal(status, 0);
      const copy = profiles.find(({ totals, process: { forked } }) => totals.bytes === 9 * 64 && !forked);
      assert.ok(copy);
      using symbols = new Symbols(copy, { debugFolders: [debug] });
      await symbols.resolve(copy.callPaths);
      const names = copy.callPaths.flatMap(({ stack }) => stack.flatMap((f) => symbols.frames(f))).map((f) =>
        f.function
      );
      assert.ok(names.includes("outer"), names.join());
      const child = profiles.find(({ process: { forked } }) => forked);
      assert.equal(child?.totals.unknownFrees, 5);
      assert.ok(child && unseen(child).some(([n, words]) => n === "5" && /from before the fork/.test(words)));
    }
  },
);

const sanitized = join(folder, "sanitized");
const sanitizing = ["-fsanitize=address", join(ROOT, "tests/targets/wrappers.c"), "-o", sanitized, "-lpthread"];
const sanitizes = spawnSync("gcc", sanitizing).status === 0;

test("AddressSanitizer behind a wrapper does not mind who is loaded first, and its options are what they were", {
  skip: sanitizes ? false : "gcc has no address sanitizer here",
}, () => {
  for (const options of [[], ["ASAN_OPTIONS=detect_leaks=0"], ["ASAN_OPTIONS=verify_asan_link_order=1"]]) {
    const command = ["env", "-i", ...options, "A=one", sanitized, "leaf"];
    const { output, profiles } = record(command);
    assert.equal(output.split("\n")[0], plainly(command).replace(/^\d+ /, "").split("\n")[0], options.join());
    assert.equal(of(profiles, sanitized).length, 1, options.join());
  }
});
