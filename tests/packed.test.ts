/** Compressed recordings: read as they are, packed without holes, and bounded whatever a file unpacks to. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import {
  isRecording,
  libraryPath,
  packRecording,
  profile,
  readComparable,
  Recording,
  RecordingError,
  unpackRecording,
} from "../mod.ts";
import type { Profile } from "../mod.ts";
import { LAYOUT, SECTION_TABLE, SECTIONS } from "../src/file/layout.ts";
import { CLI, heaptap, random, ROOT, RUNTIME, scratch, target } from "./helpers.ts";

const folder = scratch();
const plain = join(folder, "plain.heaptap");
await profile([target(folder, "threads.c")], { out: plain, stdio: "ignore", sizes: true });
const all = readFileSync(plain);
// Without the moments that are kept of a run that takes longer: sizes below are reckoned from what the header describes.
const whole = all.subarray(0, Number(all.readBigUInt64LE(LAYOUT.header.fields.file_size!.offset)));

/** All that a profile says but for where it was read. */
function contents(read: Profile) {
  return { ...read, path: "", callPaths: read.callPaths.map((path) => ({ ...path, stack: [...path.stack] })) };
}

const packings: readonly (readonly [name: string, make: (path: string) => void])[] = [
  ["packed.heaptap.gz", (path) => packRecording(plain, path)],
  ["packed.heaptap.zst", (path) => packRecording(plain, path)],
  ["by-gzip.gz", (path) => writeFileSync(path, gzipSync(whole))],
  ["by-zstd.zst", (path) => writeFileSync(path, zstdCompressSync(whole))],
  ["no-ending", (path) => writeFileSync(path, gzipSync(whole, { level: 1 }))],
  ["no-other-ending", (path) => writeFileSync(path, zstdCompressSync(whole))],
];

for (const [name, make] of packings) {
  test(`${name} reads as what it was made of`, async () => {
    const path = join(folder, name);
    make(path);
    assert.ok(isRecording(path));
    assert.equal(await unpackRecording(path), true);
    assert.deepEqual(contents(Recording.open(path).profile()), contents(Recording.open(plain).profile()));
    const args = ["report", "--limit", "3"];
    assert.equal(heaptap([...args, path]).stdout, heaptap([...args, plain]).stdout);
    assert.ok(statSync(path).size < 0.02 * whole.length, `${statSync(path).size}`);
  });
}

test("comparing, names, other processes: whatever reads recordings reads packed ones", async () => {
  const path = join(folder, "packed.heaptap.gz");
  assert.deepEqual((await readComparable(path)).totals, (await readComparable(plain)).totals);
  const { stdout } = heaptap(["compare", path, join(folder, "packed.heaptap.zst")]);
  assert.match(stdout, /\n0 call paths differ, /);
  const named = join(folder, "named.heaptap");
  assert.equal(heaptap(["resolve", "-o", named, path]).status, 0);
  packRecording(named, join(folder, "named.heaptap.zst"));
  rmSync(named);
  await unpackRecording(join(folder, "named.heaptap.zst"));
  assert.ok((Recording.open(join(folder, "named.heaptap.zst")).profile().names?.length ?? 0) > 20);
  assert.equal(heaptap(["report", "-o", path, plain]).stderr.includes("it is a recording"), true);
});

test("a packed recording unpacks, by any tool, to one of real size", async () => {
  const { gunzipSync } = await import("node:zlib");
  const bytes = gunzipSync(readFileSync(join(folder, "packed.heaptap.gz")));
  const path = join(folder, "unpacked.heaptap");
  writeFileSync(path, bytes);
  assert.deepEqual(contents(Recording.open(path).profile()), contents(Recording.open(plain).profile()));
  assert.ok(bytes.length < 0.1 * whole.length);
});

test("heaptap pack tells both sizes, and refuses what it cannot do", () => {
  const packed = join(folder, "told.heaptap.zst");
  const { status, stderr } = heaptap(["pack", "-o", packed, plain]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /^heaptap: packed into .*told\.heaptap\.zst: [\d.]+ KB on disk before, [\d.]+ K?B now\n$/);
  assert.equal(heaptap(["pack", plain]).status, 0);
  assert.ok(existsSync(`${plain}.gz`));
  rmSync(`${plain}.gz`);
  const text = join(folder, "text");
  writeFileSync(text, "hello");
  writeFileSync(`${text}.gz`, gzipSync("hello"));
  const refused: [string[], RegExp][] = [
    [[text], /it is not a heaptap recording/],
    [[`${text}.gz`, "-o", join(folder, "x.gz")], /it is not a heaptap recording/],
    [["-o", join(folder, "app.tar"), plain], /Cannot pack into ".*app\.tar": call it \.heaptap\.gz or \.heaptap\.zst/],
    [["-o", packed, packed], /Cannot pack ".*" into itself/],
    [["-o", "/nowhere/app.heaptap.gz", plain], /Cannot write "\/nowhere\/app\.heaptap\.gz": its folder is not there/],
  ];
  for (const [args, message] of refused) {
    const { status, stderr } = heaptap(["pack", ...args]);
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
    assert.equal(stderr.trim().split("\n").length, 1);
  }
});

test("of a program that still runs a consistent moment is packed", async () => {
  const out = join(folder, "runs.heaptap");
  const env = { ...process.env, LD_PRELOAD: libraryPath(), HEAPTAP_OUT: out };
  const child = spawn("sort", [], { env, stdio: ["pipe", "ignore", "ignore"] });
  try {
    for (let i = 0; i < 500 && !isRecording(out); i++) await setTimeout(10);
    await setTimeout(200); // it waits for its input
    const packed = join(folder, "runs.heaptap.gz");
    packRecording(out, packed);
    await unpackRecording(packed);
    const read = Recording.open(packed).profile();
    assert.ok(read.totals.allocations > 0);
    const sum = read.callPaths.reduce((n, path) => n + path.allocations, 0);
    assert.equal(sum, read.totals.allocations);
  } finally {
    child.stdin?.end();
    await once(child, "exit");
  }
});

test("processes of a run that are there packed alone are found, and a packed copy is not counted again", () => {
  const place = join(folder, "family");
  mkdirSync(place);
  const program = target(folder, "growth.c");
  const out = join(place, "run.heaptap");
  heaptap(["run", "--no-report", "-o", out, "--", "sh", "-c", `${program}; ${program}; exit 0`]);
  const all = (path: string) =>
    JSON.parse(heaptap(["report", "--all", "--format", "json", path]).stdout).summary.allocations;
  const before = all(out);
  const others = Recording.open(out).processes().map(({ path }) => path).filter((path) => path !== out);
  assert.ok(others.length > 0);
  packRecording(out, `${out}.gz`);
  assert.equal(all(out), before);
  for (const other of others) {
    packRecording(other, `${other}.zst`);
    rmSync(other);
  }
  assert.equal(all(out), before);
  rmSync(out);
  assert.equal(all(`${out}.gz`), before);
});

async function refuses(name: string, bytes: Uint8Array, message: RegExp): Promise<void> {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const read = async () => {
    await unpackRecording(path);
    return Recording.open(path).profile();
  };
  await assert.rejects(read, (error) => error instanceof RecordingError && message.test(error.message));
  const { status, stderr } = heaptap(["report", path]);
  assert.equal(status, 2, stderr);
  assert.equal(stderr.trim().split("\n").length, 1, stderr);
}

/** Unpacks in a process of its own, and says how much memory that took at most. */
const reader = join(folder, "reader.ts");
writeFileSync(
  reader,
  `import { readFileSync } from "node:fs";
import process from "node:process";
import { Recording, unpackRecording } from ${JSON.stringify(join(ROOT, "mod.ts"))};
try {
  await unpackRecording(process.argv[2]);
  Recording.open(process.argv[2]).profile();
} catch {
  // It is the memory that is asked for.
}
console.log(/VmHWM:\\s*(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
`,
);

function mostMemory(name: string): number {
  const [command = "", ...args] = CLI.slice(0, -1);
  const { stdout, stderr } = spawnSync(command, [...args, reader, join(folder, name)], { encoding: "utf8" });
  assert.match(stdout, /^\d+\n$/, stderr);
  return 1024 * Number(stdout);
}

const zeros = Buffer.alloc(1 << 26);

test("bombs are refused: of zeros, of data, and of what is said to be in use", async () => {
  // Members of a gzip file, and frames of a zstd file, follow each other.
  await refuses(
    "zeros.gz",
    Buffer.concat([gzipSync(whole), ...Array(9).fill(gzipSync(zeros))]),
    /more than \d+ bytes/,
  );
  const frames = Array(9).fill(zstdCompressSync(zeros));
  await refuses("zeros.zst", Buffer.concat([zstdCompressSync(whole), ...frames]), /more than \d+ bytes/);
  const ones = Buffer.concat([gzipSync(whole), ...Array(5).fill(gzipSync(Buffer.alloc(1 << 26, 1)))]);
  await refuses("ones.gz", ones, /it is no recording: more than \d+ bytes come out of it/);

  const claims = Buffer.from(whole);
  const size = 1 << 30;
  claims.writeBigUInt64LE(BigInt(size + whole.length), LAYOUT.header.fields.file_size!.offset);
  const at = SECTION_TABLE + SECTIONS.indexOf("paths") * LAYOUT.section.size;
  claims.writeUInt32LE(Math.floor(size / LAYOUT.paths.size), at + LAYOUT.section.fields.capacity!.offset);
  claims.writeUInt32LE(2 ** 31, LAYOUT.header.fields.pages_used!.offset);
  const inUse = Buffer.concat([gzipSync(claims), ...Array(17).fill(gzipSync(zeros))]);
  await refuses("claims.gz", inUse, /more of it is said to be in use than can have been packed/);

  const sound = mostMemory("packed.heaptap.gz");
  // What was read and is not collected yet comes on top; the files unpack to 600 MB and more.
  for (const name of ["zeros.gz", "zeros.zst", "claims.gz"]) {
    const most = mostMemory(name);
    assert.ok(most < sound + 300e6, `${name}: ${most} where a sound one takes ${sound}`);
  }
});

test("several frames of zstd are all read, or refused where a runtime reads the first alone", async () => {
  // As kept moments make it: no whole number of pages.
  const odd = Buffer.concat([whole, Buffer.alloc(69)]);
  const frames = Buffer.concat([zstdCompressSync(odd), zstdCompressSync(Buffer.alloc(1000))]);
  if (RUNTIME === "Deno") {
    await refuses("frames.zst", frames, /it has several frames, .* unpack it with zstd -d/);
    return;
  }
  const path = join(folder, "frames.heaptap.zst");
  writeFileSync(path, frames);
  await unpackRecording(path);
  assert.deepEqual(Recording.open(path).profile().totals, Recording.open(plain).profile().totals);
});

test("damaged data are refused in one line", async () => {
  const gz = gzipSync(whole);
  await refuses("short.gz", gz.subarray(0, gz.length / 2), /it is truncated: its compressed data end too early/);
  await refuses("short.zst", zstdCompressSync(whole).subarray(0, -1000), /it is (truncated|damaged)/);
  // Where a block begins, 0xff asks for a kind that there is none of; elsewhere it may be data as well as any, and a bomb.
  const half = gzipSync(whole.subarray(0, whole.length / 2), { finishFlush: constants.Z_SYNC_FLUSH });
  const damaged = Buffer.concat([half, Buffer.alloc(100, 0xff), gz.subarray(half.length + 100)]);
  await refuses("damaged.gz", damaged, /it is damaged/);
  await refuses("other.gz", gzipSync("hello"), /it is not a heaptap recording/);
  await refuses("two-bytes", Buffer.from([0x1f, 0x8b]), /it is not a heaptap recording/);
});

test("random damage never hangs or crashes the reader", async () => {
  const seed = Date.now() % 1e6;
  const pick = random(seed);
  for (const pack of [gzipSync, zstdCompressSync]) {
    const good = pack(whole);
    for (let round = 0; round < 40; round++) {
      const bytes = Buffer.from(good);
      for (let i = 0; i < 1 + pick(8); i++) bytes[pick(bytes.length)] = pick(256);
      const path = join(folder, `fuzz-${seed}-${round}`);
      writeFileSync(path, bytes);
      try {
        isRecording(path);
        await unpackRecording(path);
        Recording.open(path).profile();
      } catch (error) {
        assert.ok(error instanceof RecordingError, `seed ${seed} round ${round}: ${error}`);
      }
      rmSync(path);
    }
  }
});

test("another file under the name of one that was unpacked is read anew", async () => {
  const path = join(folder, "replaced.heaptap.gz");
  packRecording(plain, path);
  await unpackRecording(path);
  const other = join(folder, "other.heaptap");
  await profile([target(folder, "growth.c")], { out: other, stdio: "ignore" });
  packRecording(other, `${path}.gz`);
  renameSync(`${path}.gz`, path);
  assert.throws(() => Recording.open(path).profile(), /await unpackRecording\(\) first/);
  await unpackRecording(path);
  assert.equal(Recording.open(path).profile().totals.allocations, 18);
});
