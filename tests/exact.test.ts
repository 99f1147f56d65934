/** Figures that a number does not hold: in JSON and text with all their digits, whatever they are sums of. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { profile, Recording } from "../mod.ts";
import { HEADER_SIZE, LAYOUT, SECTION_TABLE, SECTIONS } from "../src/file/layout.ts";
import type { SectionName } from "../src/file/layout.ts";
import { combineCounters } from "../src/profile/figures.ts";
import { heaptap, scratch, target } from "./helpers.ts";

const folder = scratch();
const [plain, large] = [join(folder, "plain.heaptap"), join(folder, "large.heaptap")];
const LIMIT = 2n ** 53n;

/** Where a field of a section's record is in the file. */
function place(bytes: Uint8Array, section: SectionName, record: number, field: string): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const at = SECTION_TABLE + SECTIONS.indexOf(section) * LAYOUT.section.size;
  assert.ok(at < HEADER_SIZE);
  const start = Number(view.getBigUint64(at + LAYOUT.section.fields.offset!.offset, true));
  return start + record * LAYOUT[section].size + LAYOUT[section].fields[field]!.offset;
}

/** Adds to a field of the first records that have something in it. */
function add(bytes: Uint8Array, section: SectionName, records: number, field: string, more: readonly bigint[]): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let next = 0;
  for (let record = 0; record < records && next < more.length; record++) {
    const at = place(bytes, section, record, field);
    const value = view.getBigUint64(at, true);
    if (value > 0n) view.setBigUint64(at, value + (more[next++] ?? 0n), true);
  }
  assert.equal(next, more.length);
}

before(async () => {
  await profile([target(folder, "threads.c")], { out: plain, stdio: "ignore" });
  const bytes = new Uint8Array(readFileSync(plain));
  // Below the limit each, above it together.
  add(bytes, "threads", 20, "bytes", [LIMIT - 1000n, 5001n]);
  add(bytes, "threads", 20, "current", [LIMIT - 1000n, 5001n]);
  add(bytes, "threads", 20, "allocations", [LIMIT + 12345n]);
  add(bytes, "paths", 640, "bytes", [LIMIT + 77n]);
  writeFileSync(large, bytes);
});

/** The digits of a key in JSON, not as a number. */
function digits(json: string, key: string): bigint[] {
  return [...json.matchAll(new RegExp(`"${key}": ?(-?\\d+)`, "g"))].map(([, n]) => BigInt(n ?? 0));
}

test("totals, threads and call paths above 2^53 are exact in JSON", () => {
  const read = (path: string) => heaptap(["report", "--format", "json", path]).stdout;
  const [was, is] = [read(plain), read(large)];
  const total = (json: string, key: string) => digits(json.slice(json.indexOf('"summary"')), key)[0] ?? 0n;
  assert.equal(total(is, "bytes"), total(was, "bytes") + LIMIT + 4001n);
  assert.equal(total(is, "allocations"), total(was, "allocations") + LIMIT + 12345n);
  assert.equal(total(is, "live_bytes"), total(was, "live_bytes") + LIMIT + 4001n);
  assert.equal(total(is, "freed_bytes"), total(was, "freed_bytes"));
  assert.ok(digits(is, "allocations").some((n) => n > LIMIT + 12345n && n % 2n !== 0n));
  const paths = digits(is, "total_bytes").filter((n) => n > LIMIT);
  assert.equal(paths.length, 1);
  assert.ok(digits(was, "total_bytes").includes((paths[0] ?? 0n) - LIMIT - 77n));
  assert.equal(JSON.parse(is).version, 2);
});

test("and in text", () => {
  const [was, is] = [plain, large].map((path) => {
    const [, n] = /allocated +([\d,]+) B/.exec(heaptap(["report", "-v", path]).stdout) ?? [];
    return BigInt(n?.replaceAll(",", "") ?? 0);
  });
  assert.equal(is, (was ?? 0n) + LIMIT + 4001n);
});

test("a profile has the digits beside the numbers, where there are any", () => {
  const { totals, callPaths } = Recording.open(large).profile();
  assert.equal(Number(totals.exact?.bytes), totals.bytes);
  assert.deepEqual(Object.keys(totals.exact ?? {}).sort(), ["allocations", "bytes", "liveBytes", "liveCount"]);
  assert.equal(callPaths.filter(({ exact }) => exact).length, 1);
  const small = Recording.open(plain).profile();
  assert.equal(small.totals.exact, undefined);
  assert.ok(small.callPaths.every((path) => !("exact" in path)));
});

test("sums and differences are exact, also where they come back below the limit", () => {
  const { totals } = Recording.open(plain).profile();
  const most = combineCounters({ ...totals, exact: undefined, bytes: Number.MAX_SAFE_INTEGER }, totals);
  assert.equal(most.exact?.bytes, BigInt(Number.MAX_SAFE_INTEGER) + BigInt(totals.bytes));
  const back = combineCounters(most, totals, -1);
  assert.deepEqual([back.bytes, back.exact], [Number.MAX_SAFE_INTEGER, undefined]);
});
