/** Recording where there is little: no room, no rights, no /proc. The program goes on; what was recorded adds up. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { inspectProgram, libraryPath, ProgramError, Recording } from "../mod.ts";
import { CLI, heaptap, recordings, scratch, target, without } from "./helpers.ts";

const folder = realpathSync(scratch());
const library = libraryPath();
const counts = target(folder, "counts.c");
const many = target(folder, "manypaths.c");

/** Runs a shell script; `$RECORD` before a command records it in `$OUT`. */
function shell(script: string, out: string, before: readonly string[] = []): { status: number | null; stdout: string } {
  const RECORD = `env LD_PRELOAD=${library} HEAPTAP_OUT=${out}`;
  const [command = "sh", ...args] = [...before, "sh", "-c", script];
  const { status, signal, stdout, stderr } = spawnSync(command, args, {
    env: { ...process.env, RECORD, COUNTS: counts, MANY: many },
    encoding: "utf8",
    timeout: 60_000,
  });
  assert.equal(signal, null);
  // With too little address space the dynamic linker itself goes without the library, and says so.
  assert.match(stderr, /^(ERROR: ld\.so: object .* cannot be preloaded .*: ignored\.\n)?$/);
  return { status, stdout };
}

/** A mount and process name space of the test's own, where that is allowed. */
const OWN = ["unshare", "-m", "-p", "-f"];
const cannotUnshare = spawnSync("unshare", ["-m", "-p", "-f", "true"]).status !== 0 && "unshare is not allowed here";

function totals(path: string) {
  const profile = Recording.open(path).profile();
  for (const figure of ["allocations", "bytes", "frees", "liveBytes"] as const) {
    assert.equal(profile.callPaths.reduce((n, one) => n + one[figure], 0), profile.totals[figure], figure);
  }
  return { ...profile.totals, noSpace: profile.limits.noSpace };
}

test("a disk that fills up: the totals stay exact, the report says that call paths are missing", {
  skip: cannotUnshare,
}, () => {
  const disk = mkdtempSync(join(folder, "disk-"));
  const kept = join(folder, "full-disk.heaptap");
  for (const size of ["64k", "256k", "700k"]) {
    const script =
      `mount -t tmpfs -o size=${size} none ${disk} && $RECORD $MANY 16; s=$?; cp ${disk}/a.heaptap ${kept}; exit $s`;
    const { status } = shell(script, join(disk, "a.heaptap"), OWN);
    if (size === "64k") {
      continue; // not even the beginning has room: it goes unrecorded, and on
    }
    assert.equal(status, 0, size);
    const { allocations, noSpace } = totals(kept);
    assert.deepEqual([allocations, noSpace], [65536, true], size);
    assert.match(heaptap(["report", kept]).stdout, /no room for the whole recording/);
  }
});

test("a cache folder from which no code can be mapped, or whose name has a space: the library lies elsewhere", {
  skip: cannotUnshare,
}, () => {
  const disk = mkdtempSync(join(folder, "noexec-"));
  const script = `mount -t tmpfs -o noexec none ${disk} && XDG_CACHE_HOME=${disk} exec "$0" "$@"`;
  const run = ["run", "-o", join(folder, "elsewhere.heaptap"), "--", "echo", "ran"];
  const command = [...OWN, "sh", "-c", script, ...CLI, ...run];
  const { status, stdout, stderr } = spawnSync(command[0] ?? "", command.slice(1), { encoding: "utf8" });
  assert.deepEqual([status, stdout], [0, "ran\n"], stderr);
  const spaced = heaptap(run, { env: { XDG_CACHE_HOME: mkdtempSync(join(folder, "a cache ")) } });
  assert.deepEqual([spaced.status, spaced.stdout], [0, "ran\n"], spaced.stderr);
  assert.match(spaced.stderr, /allocations +\d/);
});

test("a wrapper that goes on as another user: recorded where that one may read and write", {
  skip: process.getuid?.() !== 0 && "only root may become another user",
}, () => {
  const open = mkdtempSync("/tmp/heaptap-user-");
  for (const path of [open, ...["cache", "out"].map((name) => join(open, name))]) {
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o777);
  }
  const program = join(open, "counts");
  copyFileSync(counts, program);
  const args = ["run", "--no-report", "-o", join(open, "out", "a.heaptap"), "--", "setpriv", "--reuid=65534", program];
  const { status, stderr } = heaptap(args, { env: { XDG_CACHE_HOME: join(open, "cache") } });
  const found = recordings(join(open, "out")).map((path) => Recording.open(path).profile());
  rmSync(open, { recursive: true });
  assert.deepEqual([status, stderr.includes("ld.so")], [7, false], stderr);
  assert.equal(found.find(({ process }) => process.executable === program)?.totals.allocations, 1111);
});

test("root by sudo: recordings and reports are the user's who called it", {
  skip: process.getuid?.() !== 0 && "only root gives files away",
}, () => {
  const owned = mkdtempSync(join(folder, "sudo-"));
  const [recording, report] = ["a.heaptap", "a.json"].map((name) => join(owned, name)) as [string, string];
  const env = { SUDO_UID: "65534", SUDO_GID: "65534", SUDO_USER: "nobody" };
  const args = ["run", "-o", recording, "--format", "json", "--report-file", report, "--", counts];
  const { status, stderr } = heaptap(args, { env });
  assert.equal(status, 7, stderr);
  assert.match(stderr, /^heaptap: what was recorded belongs to nobody, who called sudo$/m);
  for (const path of [recording, report]) {
    const { uid, gid } = statSync(path);
    assert.deepEqual([uid, gid], [65534, 65534], path);
  }
  // What heaptap keeps for itself is root's all the same: it is read again by root.
  const cache = join(owned, "cache");
  assert.equal(heaptap(["report", recording], { env: { ...env, XDG_CACHE_HOME: cache } }).status, 0);
  const kept = readdirSync(cache, { recursive: true, encoding: "utf8" }).map((name) => join(cache, name));
  assert.ok(kept.some((path) => path.endsWith(".json")), kept.join());
  assert.ok(kept.every((path) => statSync(path).uid === 0));
  // As root without sudo all is root's.
  const plain = join(owned, "b.heaptap");
  assert.doesNotMatch(heaptap(["run", "-o", plain, "--", counts]).stderr, /called sudo/);
  assert.equal(statSync(plain).uid, 0);
});

test("a folder that is read-only, is no folder, or goes away: the program runs as ever", () => {
  const locked = mkdtempSync(join(folder, "locked-"));
  for (const out of ["/proc/a.heaptap", "/sys/a.heaptap", join(counts, "a.heaptap"), "/no/such/folder/a.heaptap"]) {
    assert.equal(shell("$RECORD $COUNTS", out).status, 7, out);
  }
  chmodSync(locked, 0o500);
  assert.equal(shell("$RECORD $COUNTS", join(locked, "a.heaptap")).status, 7);
  const gone = mkdtempSync(join(folder, "gone-"));
  const script = `cd ${gone} && $RECORD sh -c 'rm -rf ${gone}; exec ${counts}'`;
  assert.equal(shell(script, "a.heaptap").status, 7);
});

test("RLIMIT_FSIZE: no recording, and no SIGXFSZ", () => {
  const out = join(folder, "fsize.heaptap");
  assert.equal(shell("ulimit -f 100; exec $RECORD $COUNTS", out).status, 7);
  assert.ok(!existsSync(out));
});

test("RLIMIT_AS: recorded or not, the program has what it needs", () => {
  for (const kilobytes of [8000, 30000, 60000, 100000, 200000, 400000]) {
    const out = join(folder, `as-${kilobytes}.heaptap`);
    assert.equal(shell(`ulimit -v ${kilobytes}; exec $RECORD $COUNTS`, out).status, 7, `${kilobytes}`);
    if (existsSync(out)) assert.equal(totals(out).allocations + totals(out).untracked >= 1111, true);
  }
});

test("without /proc, and without /tmp", { skip: cannotUnshare }, () => {
  const out = join(folder, "bare.heaptap");
  const empty = mkdtempSync(join(folder, "empty-"));
  const inside = mkdtempSync("/var/tmp/heaptap-test-");
  const at = join(inside, "a.heaptap");
  const script =
    `cp $COUNTS ${inside}/counts; cp ${library} ${inside}/lib.so; mount --bind ${empty} /proc; mount -t tmpfs none /tmp;
    env LD_PRELOAD=${inside}/lib.so HEAPTAP_OUT=${at} ${inside}/counts`;
  assert.equal(shell(script, out, OWN).status, 7);
  const { allocations } = totals(at);
  spawnSync("rm", ["-rf", inside]);
  assert.equal(allocations, 1111);
});

test("as the first process of a name space, and after chroot", { skip: cannotUnshare }, () => {
  const first = join(folder, "first.heaptap");
  assert.equal(shell("exec $RECORD $COUNTS", first, OWN).status, 7);
  assert.equal(totals(first).allocations, 1111);
  const root = mkdtempSync(join(folder, "root-"));
  const linked = spawnSync("ldd", [counts], { encoding: "utf8" }).stdout.match(/\/\S+/g) ?? [];
  for (const file of [...linked, counts, library]) {
    mkdirSync(join(root, file, ".."), { recursive: true });
    spawnSync("cp", [file, join(root, file)]);
  }
  const inside = `chroot ${root} ${counts}`;
  const { status } = spawnSync("sh", ["-c", `LD_PRELOAD=${library} HEAPTAP_OUT=/a.heaptap ${inside}`]);
  assert.equal(status, 7);
  assert.equal(totals(join(root, "a.heaptap")).allocations, 1111);
});

test("never through a symbolic link, nor over what is there; for the owner alone", () => {
  const secret = join(folder, "secret");
  writeFileSync(secret, "keep me");
  const link = join(folder, "link.heaptap");
  symlinkSync(secret, link);
  const dangling = join(folder, "dangling.heaptap");
  symlinkSync(join(folder, "made-by-link"), dangling);
  for (const out of [link, dangling, secret]) assert.equal(shell("umask 0; $RECORD $COUNTS", out).status, 7);
  assert.equal(readFileSync(secret, "utf8"), "keep me");
  assert.ok(!existsSync(join(folder, "made-by-link")));
  // Each went beside it, under the process's number.
  const beside = recordings(folder).filter((path) => /(link|dangling)\.\d+\.heaptap$/.test(path));
  assert.equal(beside.length, 2);
  for (const path of beside) assert.equal(statSync(path).mode & 0o777, 0o600);
});

/** Makes a cgroup of 30 MB, of the first version or the second; its folder, when that is allowed here. */
function makeGroup(): string | undefined {
  for (const [above, limit] of [["memory", "memory.limit_in_bytes"], [".", "memory.max"]] as const) {
    // The tests of another runtime may run beside these.
    const group = join("/sys/fs/cgroup", above, `heaptap-test-${process.pid}`);
    // A mere folder has no such file until somebody makes one.
    const script = `mkdir -p ${group} && test -e ${group}/${limit} && echo 30000000 > ${group}/${limit}`;
    if (spawnSync("sh", ["-c", script]).status === 0) return group;
    spawnSync("rmdir", [group]);
  }
  return undefined;
}
const group = makeGroup();

test(
  "ended by the kernel for a cgroup's memory",
  { skip: !group && "no cgroup with a memory limit can be made here" },
  () => {
    const out = join(folder, "oom.heaptap");
    const perl = `perl -e 'my @a; push @a, "x" x 1000000 while 1'`;
    const script = `echo $$ > ${group}/cgroup.procs && exec env LD_PRELOAD=${library} HEAPTAP_OUT=${out} ${perl}`;
    const { signal } = spawnSync("sh", ["-c", script], { timeout: 60_000 });
    spawnSync("rmdir", [group ?? ""]);
    assert.equal(signal, "SIGKILL");
    assert.ok(totals(out).liveBytes > 5e6);
  },
);

test("setuid programs and those of other machines are refused before they start", {
  skip: process.getuid?.() !== 0 && "only root can make them",
}, () => {
  const setuid = target(mkdtempSync(join(folder, "setuid-")), "counts.c");
  spawnSync("chown", ["nobody", setuid]);
  chmodSync(setuid, 0o4755);
  assert.throws(() => inspectProgram(setuid), (error) => error instanceof ProgramError && /setuid/.test(error.message));
  const other = join(folder, "other-machine");
  const bytes = readFileSync(counts);
  bytes[18] = 183;
  writeFileSync(other, bytes, { mode: 0o755 });
  assert.throws(() => inspectProgram(other), /AArch64/);
});

test("under gdb, strace and Valgrind, where they are", () => {
  for (
    const [tool, ...args] of [
      ["strace", "-f", "-o", "/dev/null"],
      ["valgrind", "-q", "--tool=none"],
      [
        "gdb",
        "-q",
        "-batch",
        "-return-child-result",
        "-ex",
        `set environment LD_PRELOAD ${library}`,
        "-ex",
        `set environment HEAPTAP_OUT ${folder}/gdb.heaptap`,
        "-ex",
        "run",
        "--args",
      ],
    ] as const
  ) {
    if (without(tool)) continue;
    const out = join(folder, `${tool}.heaptap`);
    const env = tool === "gdb"
      ? process.env
      : { ...process.env, LD_PRELOAD: library, HEAPTAP_OUT: join(folder, `${tool}.%p.heaptap`), LC_ALL: "C.UTF-8" };
    assert.equal(spawnSync(tool, [...args, counts], { env, timeout: 60_000 }).status, 7, tool);
    const all = recordings(folder).filter((path) => path === out || path.startsWith(join(folder, `${tool}.`)));
    assert.ok(
      tool === "valgrind" || all.some((path) => totals(path).allocations === 1111),
      `${tool}: ${all.length} recordings`,
    );
  }
});
