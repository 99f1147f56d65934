/**
 * Runs gperftools' and mimalloc's own tests, on the libraries that are installed, without heaptap and with it: each must end
 * in the same way, and no block may be unknown or lost. The sources come from Debian's archive, by apt-get's own means, into
 * a folder that goes away. What is missing is skipped by its name. Ends with `N passed, N failed, N skipped`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { libraryPath, Recording } from "../mod.ts";

const LIBRARIES = "/usr/lib/x86_64-linux-gnu";
const work = mkdtempSync(join(tmpdir(), "heaptap-allocators-"));
const counts = { ok: 0, FAIL: 0, skip: 0 };

function say(kind: keyof typeof counts, name: string, why = ""): void {
  counts[kind]++;
  console.log(`${kind.padEnd(4)} ${name}${why && `: ${why}`}`);
}

function run(command: string, args: readonly string[], env: Record<string, string> = {}, cwd = work) {
  return spawnSync(command, args, { cwd, encoding: "utf8", timeout: 300_000, env: { ...process.env, ...env } });
}

/** The folder of a package's sources; undefined when they cannot be had. */
function source(name: string): string | undefined {
  const apt = join(work, "apt");
  const options = Object.entries({
    "Dir::Etc::SourceList": join(apt, "sources.list"),
    "Dir::Etc::SourceParts": "/dev/null",
    "Dir::State::Lists": join(apt, "lists"),
    "Dir::Cache": join(apt, "cache"),
  }).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  if (!existsSync(apt)) {
    for (const folder of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(apt, folder), { recursive: true });
    const [, codename = "stable"] = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync("/etc/os-release", "utf8")) ?? [];
    const key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    writeFileSync(
      join(apt, "sources.list"),
      `deb-src [signed-by=${key}] http://deb.debian.org/debian ${codename} main\n`,
    );
    run("apt-get", [...options, "update"]);
  }
  run("apt-get", [...options, "source", "--download-only", name]);
  const archive = readdirSync(work).find((file) => file.startsWith(`${name}_`) && /\.orig\.tar\.\w+$/.test(file));
  const folder = join(work, name);
  if (!archive) return undefined;
  mkdirSync(folder);
  return run("tar", ["xf", archive, "-C", folder, "--strip-components=1"]).status === 0 ? folder : undefined;
}

function compare(name: string, program: string, env: Record<string, string> = {}): void {
  const plain = run(program, [], env);
  const out = join(work, "a.heaptap");
  const recorded = run(program, [], { ...env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out });
  const ends = [plain, recorded].map(({ status, signal }) => signal ?? `status ${status}`);
  const { totals } = Recording.open(out).profile();
  rmSync(out);
  const unseen = totals.unknownFrees + totals.lostFrees + totals.untracked + totals.abandoned;
  if (ends[0] !== ends[1]) say("FAIL", name, `${ends[1]}, and ${ends[0]} without heaptap`);
  else if (unseen) say("FAIL", name, `${unseen} blocks or calls were not seen`);
  else say("ok", name, `${totals.allocations} allocations, ${ends[0]}`);
}

/** Compiles one test; says so when that fails. */
function built(
  name: string,
  sources: readonly string[],
  flags: readonly string[],
  library: string,
): string | undefined {
  const program = join(work, name);
  const compiler = sources.some((file) => /\.c(c|pp)$/.test(file)) ? "c++" : "cc";
  const { status, stderr } = run(compiler, [
    ...["-O2", "-g", "-w", "-fno-builtin", ...flags, "-o", program, ...sources],
    ...["-Wl,--no-as-needed", library, "-lpthread"],
  ]);
  if (status !== 0) say("skip", name, stderr.split("\n").find((line) => /error|undefined/.test(line)));
  return status === 0 ? program : undefined;
}

function mimalloc(): void {
  const library = join(LIBRARIES, "libmimalloc.so.2.0");
  if (!existsSync(library)) return say("skip", "mimalloc", "libmimalloc2.0 is not installed");
  const folder = source("mimalloc");
  if (!folder) return say("skip", "mimalloc", "apt-get cannot get its source");
  for (const file of ["test-api.c", "test-api-fill.c", "test-stress.c", "main-override.c"]) {
    const name = `mimalloc ${file}`;
    const program = built(name.replaceAll(" ", "_"), [join(folder, "test", file)], [`-I${folder}/include`], library);
    if (program) compare(name, program);
  }
}

function gperftools(): void {
  const library = join(LIBRARIES, "libtcmalloc_minimal.so.4");
  if (!existsSync(library)) return say("skip", "gperftools", "libtcmalloc-minimal4 is not installed");
  const folder = source("google-perftools");
  if (!folder) return say("skip", "gperftools", "apt-get cannot get its source");
  const config = join(work, "config");
  if (run("cmake", ["-S", folder, "-B", config, "-Dgperftools_build_minimal=ON"]).status !== 0) {
    return say("skip", "gperftools", "cmake is not installed, or cannot configure it");
  }
  // CMake's version is not what the library says, which is one of the tests.
  const header = join(config, "config.h");
  writeFileSync(header, readFileSync(header, "utf8").replace(/^(#define PACKAGE_\w+ ".*)\.0"$/gm, '$1"'));
  const flags = ["-DNO_TCMALLOC_SAMPLES", "-DNO_HEAP_CHECK", "-fsized-deallocation", "-faligned-new"];
  flags.push(`-I${config}`, `-I${folder}/src`, `-I${folder}/src/tests`);
  const helpers = ["tests/testutil.cc", "base/logging.cc"].map((file) => join(folder, "src", file));
  for (
    const test of ["tcmalloc", "realloc", "memalign", "markidle", "thread_dealloc"].map((name) => `${name}_unittest`)
      .concat("current_allocated_bytes_test", "malloc_extension_test")
  ) {
    const program = built(test, [join(folder, "src/tests", `${test}.cc`), ...helpers], flags, library);
    if (!program) continue;
    compare(`gperftools ${test}`, program);
    if (test !== "tcmalloc_unittest") continue;
    for (const set of ["TRANSFER_NUM_OBJ=40", "TRANSFER_NUM_OBJ=4096", "HEAP_LIMIT_MB=512", "ENABLE_SIZED_DELETE=t"]) {
      const [name = "", value = ""] = set.split("=");
      compare(`gperftools ${test}, ${set}`, program, { [`TCMALLOC_${name}`]: value });
    }
  }
}

mimalloc();
gperftools();
rmSync(work, { recursive: true, force: true });
console.log(`${counts.ok} passed, ${counts.FAIL} failed, ${counts.skip} skipped`);
process.exitCode = counts.FAIL ? 1 : 0;
