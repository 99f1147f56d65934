/**
 * What real programs map themselves, against strace, which follows the very same process and knows nothing of heaptap.
 *
 * strace tells each call with its stack (-k). Whose it is comes from there: the first frame beyond the C library's wrapper, and beyond
 * heaptap's hook around that, is the program's, or the C library's or the dynamic linker's. A model of address ranges replays the
 * calls. Its figures are heaptap's exactly, but for two things that are nobody's fault:
 *
 * - A call that does not go through a function that can be preloaded (its first frame is the program's own, or `syscall`'s) cannot be
 *   seen. The model leaves such calls out, and a figure that differs says how many there were. These programs make none.
 * - Between strace's line and heaptap's note of the same call another thread may come in. The figures at the end are the same
 *   in either order; the highest is one of those that the orders allow which each thread's own lines leave.
 *
 * A thread that is killed while it maps or unmaps may have been noted or not, with a line or without: the programs are still when they end.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { libraryPath, Recording } from "../mod.ts";
import { findInPath } from "../src/native/build.ts";
import { ROOT, scratch, without, withoutWorking } from "./helpers.ts";

const folder = scratch();
const PAGE = 4096;
const pages = (bytes: number) => Math.ceil(bytes / PAGE) * PAGE;

const MAPPING = "mmap,munmap,mremap,mprotect,madvise,brk";
/** With numbers in place of names; threads as they come; other calls are not even stopped at. */
const STRACE = ["-f", "-k", "-qq", "--seccomp-bpf", "-e", "signal=none", "-e", `raw=${MAPPING}`];
const TRACED = ["-e", `trace=${MAPPING},execve,clone,clone3`];

/** Why there is nothing to compare with. */
function cannotTrace(): string | false {
  const missing = without("strace");
  if (missing) return missing;
  const tried = spawnSync("strace", [...STRACE, ...TRACED, "-o", "/dev/null", "true"], { encoding: "utf8" });
  return tried.status === 0 ? false : `strace -k does not run here: ${tried.stderr}`;
}

/** The program's own; not seen by any function that can be preloaded; heaptap's; the C library's or the dynamic linker's. */
type Whose = "program" | "unseen" | "heaptap" | "library";

/** A line of strace's. */
interface Call {
  readonly thread: number;
  readonly name: string;
  /** What stands between its parentheses. */
  readonly text: string;
  readonly args: readonly number[];
  readonly result: number;
  /** Numbers of the lines with its beginning and its end: another thread's may stand in between. */
  readonly entered: number;
  readonly left: number;
  /** The innermost frame first, as `file(function+offset) [address]`. */
  readonly stack: string[];
}

/** The calls that came back without an error, in the order of their ends. */
function read(log: string): Call[] {
  const calls: Call[] = [];
  const begun = new Map<number, { text: string; entered: number }>();
  let stack: string[] = [];
  for (const [left, line] of readFileSync(log, "utf8").split("\n").entries()) {
    if (line.startsWith(" > ")) stack.push(line.slice(3));
    const [, number, rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (number === undefined) continue;
    stack = [];
    const thread = Number(number);
    const [, beginning] = /^(.*?) *<unfinished \.\.\.>$/.exec(rest) ?? [];
    if (beginning !== undefined) {
      begun.set(thread, { text: beginning, entered: left });
      continue;
    }
    const [, ending] = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest) ?? [];
    const { text, entered } = (ending === undefined ? undefined : begun.get(thread)) ?? { text: "", entered: left };
    const [, name, inner = "", result] = /^(\w+)\((.*)\) += (\w+)/.exec(text + (ending ?? rest)) ?? [];
    if (!name || result === undefined) continue; // it failed: -1, or the process ended in it: ?
    const args = inner.split(", ").map(Number);
    calls.push({ thread, name, text: inner, args, result: Number(result), entered, left, stack });
  }
  return calls;
}

/** The calls of the program that strace started, in all its threads, since it has been that program. */
function ofProgram(calls: readonly Call[]): Call[] {
  const start = calls.findLastIndex(({ name, thread }) => name === "execve" && thread === calls[0]?.thread);
  const threads = new Set([calls[start]?.thread]);
  const starts = calls.filter(({ name, text }) => name.startsWith("clone") && text.includes("CLONE_THREAD"));
  // A thread's first lines may stand before the end of the call that started it, or of the one that started that.
  for (const call of starts.toSorted((a, b) => a.entered - b.entered)) {
    if (threads.has(call.thread)) threads.add(call.result);
  }
  return calls.slice(start + 1).filter(({ thread, name }) => threads.has(thread) && MAPPING.split(",").includes(name));
}

const functionOf = (frame: string) => /\(([^()+]*)[^()]*\)/.exec(frame)?.[1] ?? "";
const isHeaptaps = (frame = "") => frame.includes(`/${basename(libraryPath())}(`);
const isLibrarys = (frame = "") =>
  /^[^(]*\/(libc|libpthread|libdl|ld-linux[^/(]*|ld-musl[^/(]*)[.-][^/(]*so/.test(frame);
const isWrapper = (frame: string) =>
  isLibrarys(frame) && /^_*(mmap|mmap64|munmap|mremap|mprotect|madvise|brk|sbrk)$/.test(functionOf(frame));

function whose({ stack }: Call): Whose {
  const [innermost = ""] = stack;
  if (isHeaptaps(innermost)) return "heaptap";
  if (!isLibrarys(innermost) || functionOf(innermost) === "syscall") return "unseen";
  const beyond = stack.slice(stack.findIndex((frame) => !isWrapper(frame)));
  // The dynamic linker's and malloc's have no wrapper that has a name.
  if (beyond.length === stack.length) return "library";
  return isLibrarys(beyond.find((frame) => !isHeaptaps(frame))) ? "library" : "program";
}

/** A file and shared memory are not told apart here: that is the file system's matter. */
type Kind = "memory" | "reserved" | "shared";

/** How many there were, their bytes, those of them that are mapped at the end, and those that were given back by madvise. */
type Figures = Record<Kind, [count: number, bytes: number, live: number, givenBack: number]>;

const none = (): Figures => ({ memory: [0, 0, 0, 0], reserved: [0, 0, 0, 0], shared: [0, 0, 0, 0] });

interface Range {
  readonly start: number;
  readonly end: number;
  readonly kind: Kind;
  /** Who mapped it; neighbours of one path are one. */
  readonly path: string;
}

/** A change of what is mapped as memory. heaptap has noted it after one line and before another. */
interface Move {
  readonly thread: number;
  readonly change: number;
  readonly after: number;
  readonly before: number;
}

/** Replays calls. What comes out is what the program has mapped. */
class Model {
  readonly figures: Figures = none();
  readonly moves: Move[] = [];
  #ranges: Range[] = [];
  #break = 0;
  #taken = new Map<Call, Range[]>();
  #moved = 0;

  /** What ends a mapping counts from its beginning: as soon as it has come back another thread may have got the same addresses. */
  begin(call: Call, after: number): void {
    const [at = 0, size = 0] = call.args;
    if (call.name === "munmap" || call.name === "mremap") this.#taken.set(call, this.#cut(at, at + pages(size)));
    this.#note(call.thread, after, call.entered);
  }

  end(call: Call, by: Whose, before: number): void {
    const [at = 0, size = 0, third = 0, flags = 0] = call.args;
    const isOwn = by === "program";
    const path = call.stack.join("\n");
    if (call.name === "mmap") {
      this.#cut(call.result, call.result + pages(size));
      const kind = (flags & 0x20) === 0 || (flags & 0xf) !== 2 ? "shared" : third === 0 ? "reserved" : "memory";
      if (isOwn) this.#map(call.result, size, kind, path);
    } else if (call.name === "mremap") {
      this.#cut(call.result, call.result + pages(third));
      const [was] = this.#taken.get(call) ?? [];
      if (isOwn && was) this.#map(call.result, third, was.kind, path);
    } else if (call.name === "brk") {
      const from = pages(this.#break || call.result), to = pages(call.result);
      this.#break = call.result;
      if (isOwn && to > from) this.#map(from, to - from, "memory", path);
      if (to < from) this.#cut(to, from);
    } else if (call.name === "mprotect" && isOwn) {
      this.#protect(at, at + pages(size), third === 0 ? "reserved" : "memory", path);
    } else if (call.name === "madvise" && isOwn && [4, 8, 9].includes(third)) { // DONTNEED, FREE, REMOVE
      for (const range of this.#within(at, at + pages(size))) this.figures[range.kind][3] += range.end - range.start;
    }
    this.#note(call.thread, call.left, before);
  }

  /** A change that has come about. */
  #note(thread: number, after: number, before: number): void {
    const change = this.figures.memory[2] - this.#moved;
    if (change !== 0) this.moves.push({ thread, change, after, before });
    this.#moved += change;
  }

  #map(at: number, size: number, kind: Kind, path: string): void {
    this.figures[kind][0]++;
    this.figures[kind][1] += pages(size);
    this.#put({ start: at, end: at + pages(size), kind, path });
  }

  /** What of the ranges lies in [low, high). */
  #within(low: number, high: number): Range[] {
    return this.#ranges.filter(({ start, end }) => start < high && end > low)
      .map((range) => ({ ...range, start: Math.max(low, range.start), end: Math.min(high, range.end) }));
  }

  #cut(low: number, high: number): Range[] {
    const gone = this.#within(low, high);
    if (gone.length === 0) return gone;
    this.#ranges = [...this.#within(0, low), ...this.#within(high, Infinity)];
    for (const range of gone) this.figures[range.kind][2] -= range.end - range.start;
    return gone;
  }

  #put(range: Range): void {
    this.figures[range.kind][2] += range.end - range.start;
    const isOne = (a: Range, b: Range) => a.end === b.start && a.kind === b.kind && a.path === b.path;
    const before = this.#ranges.find((other) => isOne(other, range));
    const behind = this.#ranges.find((other) => isOne(range, other));
    const others = this.#ranges.filter((other) => other !== before && other !== behind);
    const whole = { ...range, start: before?.start ?? range.start, end: behind?.end ?? range.end };
    this.#ranges = [...others, whole].toSorted((a, b) => a.start - b.start);
  }

  /** Memory is put away and stays whose it was; what was reserved comes into use, and is whoever's asked for that. */
  #protect(low: number, high: number, to: "memory" | "reserved", path: string): void {
    for (const range of this.#within(low, high)) {
      if (range.kind === to || range.kind === "shared") continue;
      this.#cut(range.start, range.end);
      this.#map(range.start, range.end - range.start, to, to === "memory" ? path : range.path);
    }
  }
}

/**
 * Between what figures the highest is. At each step of a thread all its earlier ones have been made and none of its later ones; of
 * each other thread those have been made that had to be by then, and any number of those that could be.
 */
function peaks(moves: readonly Move[]): [least: number, most: number] {
  const threads = [...new Set(moves.map(({ thread }) => thread))].map((thread) =>
    moves.filter((move) => move.thread === thread)
  );
  let least = 0, most = 0;
  for (const own of threads) {
    let sum = 0;
    for (const step of own) {
      sum += step.change;
      let low = sum, high = sum;
      for (const others of threads.filter((thread) => thread !== own)) {
        const sums = others.reduce((all, { change }) => [...all, (all.at(-1) ?? 0) + change], [0]);
        const possible = sums.slice(
          others.filter(({ before }) => before <= step.after).length,
          others.filter(({ after }) => after < step.before).length + 1,
        );
        low += Math.min(...possible);
        high += Math.max(...possible);
      }
      least = Math.max(least, low);
      most = Math.max(most, high);
    }
  }
  return [least, most];
}

/** What strace's log comes to, and how many calls of each sort there were. */
function modelled(log: string): { figures: Figures; moves: Move[]; calls: Record<Whose, number> } {
  const all = ofProgram(read(log)).map((call) => ({ call, by: whose(call) }));
  const calls = { program: 0, unseen: 0, heaptap: 0, library: 0 };
  for (const { by } of all) calls[by]++;
  const model = new Model();
  const steps: [line: number, step: () => void][] = [];
  const last = new Map<number, { left: number; end(before: number): void }>();
  // heaptap's own calls may come between one that it notes and the note.
  for (const { call, by } of all.filter(({ by }) => by === "program" || by === "library")) {
    const previous = last.get(call.thread);
    previous?.end(call.entered);
    steps.push([call.entered, () => model.begin(call, previous?.left ?? 0)]);
    const end = (before: number) => steps.push([call.left, () => model.end(call, by, before)]);
    last.set(call.thread, { left: call.left, end });
  }
  for (const { end } of last.values()) end(Infinity);
  for (const [, step] of steps.toSorted(([a], [b]) => a - b)) step();
  return { figures: model.figures, moves: model.moves, calls };
}

interface Program {
  readonly command: readonly string[];
  /** How many calls of its own it makes at least; none when undefined. */
  readonly calls?: number;
  /** Whether several threads of it map. */
  readonly threads?: true;
  readonly skip?: string | false;
  /** Makes what it reads. */
  readonly prepare?: () => void;
  /** What ends it. */
  readonly signal?: NodeJS.Signals;
}

/** Runs a program under strace with the library preloaded, once, and compares what both say of it. */
function compare(name: string, { command, calls: least = 0, threads, signal }: Program): void {
  const log = join(folder, `${name}.log`), out = join(folder, `${name}.%p.heaptap`);
  const preloaded = ["-E", `LD_PRELOAD=${libraryPath()}`, "-E", `HEAPTAP_OUT=${out}`];
  const traced = spawnSync("strace", [...STRACE, ...TRACED, ...preloaded, "-o", log, "--", ...command], {
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
    cwd: folder,
    env: { ...process.env, HEAPTAP_FOLLOW: "none" },
  });
  assert.equal(traced.status ?? traced.signal, signal ?? 0, traced.stderr);
  const [pid] = readFileSync(log, "utf8").split(" ", 1);
  const { mappings } = Recording.open(out.replace("%p", pid ?? "")).profile();
  assert.ok(mappings);
  const recorded = none();
  for (const path of mappings.paths) {
    const sum = recorded[path.kind === "file" ? "shared" : path.kind];
    [path.count, path.bytes, path.liveBytes, path.givenBack].forEach((n, i) => sum[i]! += n);
  }
  const { figures, moves, calls } = modelled(log);
  const said = `of these calls: ${JSON.stringify(calls)}`;
  assert.ok(least === 0 ? calls.program === 0 : calls.program >= least, said);
  assert.deepEqual(recorded, figures, said);
  assert.equal(mappings.liveBytes, figures.memory[2], said);
  const [lowest, highest] = peaks(moves);
  assert.ok(
    mappings.peakBytes >= lowest && mappings.peakBytes <= highest,
    `${lowest} ${mappings.peakBytes} ${highest}`,
  );
  // With one thread there is one order.
  if (!threads) assert.equal(lowest, highest);
}

/** mmap, mremap, madvise and munmap, in threads too; a database that is mapped; the break. */
const PYTHON = String.raw`
import ctypes, mmap, sqlite3, threading
kept = []
def work():
    for i in range(9):
        m = mmap.mmap(-1, (i + 1) * 5000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        m.resize((i + 1) * 9000)
        m.madvise(mmap.MADV_DONTNEED)
        m.close() if i % 3 else kept.append(m)
work()
threads = [threading.Thread(target=work) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
db = sqlite3.connect("python.db")
db.execute("pragma mmap_size=1000000")
db.execute("pragma journal_mode=wal")
db.execute("create table t(a)")
db.executemany("insert into t values(?)", [("x" * 100,)] * 5000)
db.commit()
assert db.execute("select count(*) from t").fetchone() == (5000,)
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
libc.sbrk(ctypes.c_ssize_t(100000))
libc.sbrk(ctypes.c_ssize_t(-50000))
`;

/** Which Python it is in the end, behind what starts it. */
function python(): string | undefined {
  const asked = spawnSync("python3", ["-c", "import ctypes, sqlite3, sys; print(sys.executable)"], {
    encoding: "utf8",
  });
  return asked.status === 0 ? asked.stdout.trim() : undefined;
}

const repository = join(folder, "repository");

/** A repository with packs, which git maps. */
function commit(): void {
  const git = (...args: string[]) =>
    spawnSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", ...args], { cwd: repository });
  spawnSync("git", ["init", "-q", repository]);
  for (let i = 0; i < 3; i++) {
    writeFileSync(join(repository, "file"), Array.from({ length: 1000 }, (_, line) => `${line * i}\n`).join(""));
    git("add", "file");
    git("commit", "-q", "-m", `commit ${i}`);
  }
  git("gc", "-q");
}

const lines = join(folder, "lines");
writeFileSync(lines, Array.from({ length: 100_000 }, (_, i) => `line ${i * 7919 % 100_003}\n`).join(""));

const cannot = cannotTrace();
const interpreter = cannot ? undefined : python();
const compiler = spawnSync("cc", ["-print-prog-name=cc1"], { encoding: "utf8" }).stdout?.trim() ?? "";
const source = join(folder, "source.i");
const hasPerl = spawnSync("perl", ["-MPerlIO::mmap", "-e", "1"]).status === 0;
/** A cache in memory alone, which is too small in the beginning and grows, by mremap. */
const APT = [
  ...["Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=", "Dir::State::lists=/nonexistent"],
  ...["APT::Cache-Start=50000", "APT::Cache-Grow=50000"],
];
const runtime = (name: string) => findInPath(name) ?? join(ROOT, "node_modules/.bin", name);
const withoutRuntime = (name: string) => existsSync(runtime(name)) ? false : `no ${name}`;

/** Ends at a moment when its threads wait: they close their files as they end, and are killed in between. */
const WAITS = `setTimeout(() => process.kill(process.pid, "SIGKILL"), 700)`;
const IMPORTS = `import process from "node:process";`;

const programs: Record<string, Program> = {
  sort: { command: ["sort", "-S", "64M", "--parallel=2", lines], skip: without("sort") },
  perl: {
    command: ["perl", "-e", `open my $f, "<:mmap", $ARGV[0] or die; 1 while <$f>; $. == 100000 or die`, lines],
    calls: 2,
    skip: hasPerl ? false : "no perl with its mmap layer",
  },
  git: { command: ["git", "-C", repository, "log", "-p"], calls: 2, prepare: commit, skip: without("git") },
  cc1: {
    command: [compiler, "-quiet", source, "-o", "/dev/null"],
    calls: 5,
    prepare: () => void spawnSync("cc", ["-E", join(ROOT, "tests/targets/mapped_random.c"), "-o", source]),
    skip: compiler.startsWith("/") ? false : "no C compiler of GCC's",
  },
  "apt-cache": {
    command: ["apt-cache", ...APT.flatMap((setting) => ["-o", setting]), "stats"],
    calls: 3,
    skip: without("apt-cache"),
  },
  python: {
    command: [interpreter ?? "", "-I", "-S", "-c", PYTHON],
    calls: 100,
    threads: true,
    skip: interpreter ? false : "no Python with ctypes and sqlite3",
  },
  bun: { command: [runtime("bun"), "-e", "console.log(1)"], calls: 10, threads: true, skip: withoutRuntime("bun") },
  deno: {
    command: [runtime("deno"), "eval", IMPORTS + WAITS],
    calls: 100,
    threads: true,
    signal: "SIGKILL",
    skip: withoutRuntime("deno"),
  },
  java: {
    command: ["java", "-Xint", "-XX:+UseSerialGC", "-Xmx64m", "--list-modules"],
    calls: 30,
    threads: true,
    skip: withoutWorking("java"),
  },
};

for (const [name, program] of Object.entries(programs)) {
  test(`what ${name} maps itself is what strace sees`, { skip: cannot || (program.skip ?? false) }, () => {
    program.prepare?.();
    compare(name, program);
  });
}
