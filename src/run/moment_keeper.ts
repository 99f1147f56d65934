/**
 * What each call path had live at moments spread over a run: kept while it goes on by whoever looks on, and written behind the
 * recording. At most so many: of more those go that say least, and what changed up to them goes into the next.
 */
import { ftruncateSync, readSync, writeSync } from "node:fs";
import { trailed } from "../file/copy.ts";
import { CONSTANTS, LAYOUT, MOMENT_MAGIC, PAGES_MAGIC, SECTIONS } from "../file/layout.ts";
import { changesBetween, joined, packMoments } from "../file/moments.ts";
import type { KeptMoment } from "../file/moments.ts";
import { readSnapshot, Table } from "../file/reader.ts";
import type { PageUse } from "../memory/pages.ts";
import { packPages } from "../profile/kept_pages.ts";
import { momentSums } from "../profile/path_sums.ts";
import { thinned } from "./thinned.ts";

/** Moments that are kept. */
const MOST = 128;
/** Changed figures of call paths that are kept over all moments: some 100 MB, and less than a tenth of that in the file. */
const MOST_CHANGES = 2_000_000;
/** Milliseconds between two times that they are written, at least, and how many times what that costs. */
const WRITTEN_APART = 2000, WRITE_COST = 200;

/** Keeps the moments of one recording. */
export class MomentKeeper {
  readonly #path: string;
  readonly #fd: number;
  readonly #end: number;
  #moments: KeptMoment[] = [];
  #last = new Float64Array();
  readonly #buffers = { owners: new Uint8Array(), paths: new Uint8Array() };
  #pages: Uint8Array = new Uint8Array();
  #changed = false;
  #writeAfter = WRITTEN_APART;
  #begun = performance.now();

  /**
   * @param fd The recording, open for writing.
   * @param end Where what its header describes ends.
   */
  constructor(path: string, fd: number, end: number) {
    this.#path = path;
    this.#fd = fd;
    this.#end = end;
  }

  /** The last moment that was kept. */
  get last(): KeptMoment | undefined {
    return this.#moments.at(-1);
  }

  /** Keeps this moment. */
  take(of: Omit<KeptMoment, "changes">): void {
    const { header, descriptors } = readSnapshot(this.#path, []);
    const pages = header.number(0, "pages_used");
    const owners = this.#read("owners", descriptors, pages);
    const paths = this.#read("paths", descriptors, pages * CONSTANTS.PAGE_RECORDS);
    const now = momentSums({ header, sections: { owners, paths } });
    this.#moments.push({ ...of, changes: changesBetween(this.#last, now) });
    this.#last = now;
    this.#thin();
    this.#changed = true;
  }

  /** Keeps the heap's pages of a moment, in the place of those of an earlier one. */
  keepPages(pages: PageUse): void {
    this.#pages = trailed(packPages(pages), PAGES_MAGIC);
    this.#changed = true;
  }

  /** Writes them, when that was long ago. */
  writeIfDue(): void {
    if (performance.now() - this.#begun > this.#writeAfter) this.write();
  }

  /** Records of a section, in memory that is used again: there are megabytes of them. */
  #read(name: "owners" | "paths", descriptors: Table, records: number): Table {
    const section = SECTIONS.indexOf(name);
    const length = Math.min(records, descriptors.number(section, "capacity")) * LAYOUT[name].size;
    let buffer = this.#buffers[name];
    if (buffer.length < length) buffer = this.#buffers[name] = new Uint8Array(Math.ceil(1.5 * length / 8) * 8);
    const offset = descriptors.number(section, "offset");
    for (let done = 0; done < length;) {
      const n = readSync(this.#fd, buffer, done, length - done, offset + done);
      if (n === 0) return new Table(name, new Uint8Array());
      done += n;
    }
    return new Table(name, buffer.subarray(0, length));
  }

  #thin(): void {
    const changes = () => this.#moments.reduce((sum, moment) => sum + moment.changes.ids.length, 0);
    while (this.#moments.length >= MOST || (this.#moments.length > 16 && changes() > MOST_CHANGES)) {
      const kept = thinned(this.#moments, this.#moments.length, (m) => m.time, (m) => [m.current, m.resident]);
      if (!kept || kept.length === this.#moments.length) return;
      const stays = new Set(kept);
      let passed: KeptMoment["changes"] | undefined;
      this.#moments = this.#moments.flatMap((moment) => {
        const all = passed ? joined(passed, moment.changes) : moment.changes;
        passed = stays.has(moment) ? undefined : all;
        return stays.has(moment) ? [{ ...moment, changes: all }] : [];
      });
    }
  }

  /** Writes them behind the recording; without room for them there are none. */
  write(): void {
    if (!this.#changed) return;
    const begun = performance.now();
    const moments = trailed(packMoments(this.#moments), MOMENT_MAGIC);
    const bytes = new Uint8Array(moments.length + this.#pages.length);
    bytes.set(moments);
    bytes.set(this.#pages, moments.length);
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#end + done);
      }
      ftruncateSync(this.#fd, this.#end + bytes.length);
      this.#changed = false;
    } catch {
      ftruncateSync(this.#fd, this.#end);
    }
    this.#begun = performance.now();
    this.#writeAfter = Math.max(WRITTEN_APART, WRITE_COST * (this.#begun - begun));
  }
}
