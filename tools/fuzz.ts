/**
 * Hostile recordings: the corpus (tests/corpus), changed at random in its header, section table, counts, offsets, node
 * parents, strings. Each must give a profile and reports, or one RecordingError, soon, with bounded memory and without a
 * control character on the terminal. fuzz.ts [ROUNDS] [SEED]; what breaks is kept in tests/corpus, gzipped.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { gunzipSync, gzipSync } from "node:zlib";
import { exportBlocks, FORMAT_NAMES, Recording, RecordingError, shownPaths, Symbols, textReport } from "../mod.ts";
import { HEADER_SIZE, LAYOUT, SECTION_TABLE, SECTIONS } from "../src/file/layout.ts";
import { random, ROOT } from "../tests/helpers.ts";

const rounds = Number(process.argv[2] ?? 100_000);
const seed = Number(process.argv[3] ?? Date.now() % 1e6);
const corpus = join(ROOT, "tests/corpus");
const work = mkdtempSync(join(tmpdir(), "heaptap-fuzz-"));
const pick = random(seed);
const seeds = readdirSync(corpus).filter((name) => name.endsWith(".gz")).sort()
  .map((name) => new Uint8Array(gunzipSync(readFileSync(join(corpus, name)))));
/** How much all of it may take, KiB; three thousand took 177 MiB. */
const MEMORY = 512 * 1024;
/** Numbers that hurt: limits, signs, places just outside. */
const NUMBERS = [0, 1, 2, 7, 8, 63, 64, 255, 65535, 65536, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const TEXTS = [
  "\x1b[31m\x1b]0;x\x07",
  "</script><script>alert(1)</script>",
  "/bin/sh\n-c\nid",
  "$(id)`id`;id",
  "\u202e\0\xff",
];

function change(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer);
  const place = (section: number) => Number(view.getBigUint64(SECTION_TABLE + section * LAYOUT.section.size, true));
  for (let i = 0; i < 1 + pick(8); i++) {
    const value = pick(3) ? NUMBERS[pick(NUMBERS.length)] ?? 0 : pick(2 ** 31);
    const section = pick(SECTIONS.length);
    const name = SECTIONS[section] ?? "nodes";
    const start = place(section);
    switch (pick(6)) {
      case 0: // the header
        view.setUint32(pick(HEADER_SIZE / 4) * 4, value, true);
        break;
      case 1: // the section table
        view.setUint32(SECTION_TABLE + pick(SECTIONS.length * 4) * 4, value, true);
        break;
      case 2: // a field of a record
      case 3: {
        const at = start + pick(40) * LAYOUT[name].size + pick(Math.max(1, LAYOUT[name].size >> 2)) * 4;
        if (at + 4 <= bytes.length) view.setUint32(at, value, true);
        break;
      }
      case 4: // a text
        bytes.set(
          new TextEncoder().encode(TEXTS[pick(TEXTS.length)]).subarray(0, 200),
          Math.min(place(0) + pick(500), bytes.length - 200),
        );
        break;
      default: {
        const at = pick(bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
      }
    }
  }
}

/** What is wrong with how a file is read; undefined when nothing is. */
async function wrong(path: string, everything: boolean): Promise<string | undefined> {
  const begun = performance.now();
  try {
    const profile = Recording.open(path).profile();
    using symbols = new Symbols(profile, { cache: false });
    if (everything) await symbols.resolve(shownPaths(profile, 5));
    const text = textReport(profile, symbols, { limit: 5, verbosity: 3, width: 100, color: false });
    // deno-lint-ignore no-control-regex
    if (/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(text)) return "a control character in the report";
    if (everything) {
      for (const format of FORMAT_NAMES) {
        for (const block of exportBlocks(profile, symbols, format, { limit: 100 })) {
          if (format === "html" && new TextDecoder().decode(block).includes("<script>alert")) {
            return "a script in the page";
          }
        }
      }
    }
  } catch (error) {
    if (!(error instanceof RecordingError)) return (error as Error).stack ?? String(error);
  }
  const took = performance.now() - begun;
  if (took > 5000) return `took ${took.toFixed()} ms`;
  const highest = process.resourceUsage().maxRSS;
  return highest > MEMORY ? `the resident set came to ${highest} KiB` : undefined;
}

let failed = 0;
for (let round = 0; round < rounds && failed < 5; round++) {
  const bytes = new Uint8Array(seeds[round % seeds.length] ?? []);
  // The corpus first as it is: what broke once.
  if (round >= seeds.length) change(bytes);
  const path = join(work, "a.heaptap");
  writeFileSync(path, bytes);
  const why = await wrong(path, round % 20 === 0);
  if (why) {
    failed++;
    const kept = join(corpus, `broke-${seed}-${round}.gz`);
    writeFileSync(kept, gzipSync(bytes));
    console.log(`seed ${seed} round ${round}: ${why}; kept in ${kept}`);
  }
}
rmSync(work, { recursive: true, force: true });
console.log(`${rounds} recordings, seed ${seed}`);
console.log(`${failed ? 0 : 1} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
