import assert from "node:assert/strict";
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { packRecording, profile, Recording, RecordingError } from "../mod.ts";
import { HEADER_SIZE, headerSize, LAYOUT, SECTION_TABLE, sectionCount, SECTIONS } from "../src/file/layout.ts";
import { heaptap, random, scratch, target } from "./helpers.ts";

const folder = scratch();
const good = join(folder, "good.heaptap");

before(async () => {
  await profile([target(folder, "threads.c")], { out: good, buckets: 64, stdio: "ignore" });
});

function refused(bytes: Uint8Array | string, message: RegExp): void {
  const path = join(folder, "bad.heaptap");
  writeFileSync(path, bytes);
  assert.throws(() => Recording.open(path), (error) => error instanceof RecordingError && message.test(error.message));
}

test("what is no recording is refused with one line", () => {
  refused("", /it is empty/);
  refused("hello", /not a heaptap recording/);
  refused("x".repeat(10000), /not a heaptap recording/);
  refused(new Uint8Array(100000), /it is empty; the program ended before its first allocation/);
  assert.throws(() => Recording.open(join(folder, "none")), /there is no such file/);
  assert.throws(() => Recording.open(folder), /not a regular file|it is a folder/);
  const { status, stderr } = heaptap(["report", join(folder, "none")]);
  assert.equal(status, 2);
  assert.equal(stderr.trim().split("\n").length, 1);
});

test("another version and a truncated file are refused, with both figures", () => {
  const bytes = readFileSync(good);
  const versioned = new Uint8Array(bytes);
  versioned[LAYOUT.header.fields.version!.offset] = 99;
  refused(versioned, /version 99 .* versions 2 to 4/);
  const path = join(folder, "short.heaptap");
  copyFileSync(good, path);
  truncateSync(path, bytes.length - 65536);
  assert.throws(() => Recording.open(path), /truncated: \d+ of \d+ bytes/);
});

test("recordings of the versions before are read, copied and packed", () => {
  for (const version of [2, 3]) {
    const older = new Uint8Array(readFileSync(good));
    const view = new DataView(older.buffer);
    const { fields } = LAYOUT.header;
    older[fields.version!.offset] = version;
    view.setUint32(fields.header_size!.offset, headerSize(version), true);
    view.setUint32(fields.section_count!.offset, sectionCount(version), true);
    // Those had other things there, or nothing: what is read of it would be wrong.
    older.fill(0xee, headerSize(version), headerSize(4));
    for (const field of ["shadow", "mappings", "mapped_used", "accounts_used", "resident_used"]) {
      older.fill(0xee, fields[field]!.offset, fields[field]!.offset + fields[field]!.size);
    }
    const path = join(folder, `older${version}.heaptap`);
    writeFileSync(path, older);
    const [profile, now] = [Recording.open(path).profile(), Recording.open(good).profile()];
    assert.deepEqual(profile.totals, now.totals);
    assert.deepEqual([profile.memory, profile.mappings], [undefined, undefined]);
    // What stands there is no level; the peak may lie behind the last sample.
    const { peakBytes } = profile.totals;
    assert.ok(profile.timeline.every(({ highest, bytes }) => highest === bytes || highest === peakBytes));
    Recording.open(path).mark("copied");
    assert.equal(Recording.open(path).profile({ since: "copied" }).totals.allocations, 0);
    packRecording(path, `${path}.gz`);
    assert.ok(readFileSync(`${path}.gz`).length > 0);
  }
});

test("a record size or section that does not fit is refused", () => {
  const bytes = readFileSync(good);
  for (let i = 0; i < SECTIONS.length; i++) {
    const at = SECTION_TABLE + i * LAYOUT.section.size;
    const changed = new Uint8Array(bytes);
    const view = new DataView(changed.buffer);
    view.setUint32(at + LAYOUT.section.fields.record_size!.offset, 5, true);
    refused(changed, /records have 5 bytes where version 4 has/);
    view.setUint32(at + LAYOUT.section.fields.record_size!.offset, LAYOUT[SECTIONS[i]!].size, true);
    view.setBigUint64(at + LAYOUT.section.fields.offset!.offset, 2n ** 60n, true);
    refused(changed, /lies outside the file/);
  }
});

/** Reads a file that may be anything: it must give a profile or a RecordingError, soon. */
function survives(bytes: Uint8Array, what: string): void {
  const path = join(folder, "fuzz.heaptap");
  writeFileSync(path, bytes);
  const begun = performance.now();
  try {
    const read = Recording.open(path).profile();
    assert.ok(read.callPaths.every((c) => c.stack.length <= 4096));
  } catch (error) {
    assert.ok(error instanceof RecordingError, `${what}: ${error}`);
  }
  const took = performance.now() - begun;
  assert.ok(took < 10_000, `${what} took ${took} ms`);
}

test("bit flips never hang or crash the reader", () => {
  const seed = Date.now() % 1e6;
  const pick = random(seed);
  const bytes = readFileSync(good);
  const used = bytes.length;
  for (let round = 0; round < 150; round++) {
    const changed = new Uint8Array(bytes);
    for (let i = 0; i < 1 + pick(20); i++) {
      // Most flips in the header and the small sections, where they hurt.
      const at = pick(2) ? pick(HEADER_SIZE) : pick(used);
      changed[at] = (changed[at] ?? 0) ^ (1 << pick(8));
    }
    survives(changed, `seed ${seed} round ${round}`);
  }
});

test("random bytes behind a good header never hang or crash the reader", () => {
  const seed = Date.now() % 1e6;
  const pick = random(seed);
  const bytes = readFileSync(good);
  for (let round = 0; round < 10; round++) {
    const changed = new Uint8Array(bytes);
    for (let i = round % 2 ? SECTION_TABLE : HEADER_SIZE; i < changed.length; i++) changed[i] = pick(256);
    if (round % 2) changed.set(bytes.subarray(SECTION_TABLE, HEADER_SIZE), SECTION_TABLE);
    survives(changed, `seed ${seed} round ${round}`);
  }
});
