/**
 * Looks on while the processes of a run go on, and writes into their recordings what only somebody outside can see without a
 * trace: the resident set over time, and accounts of it. A recording's process writes neither of these sections, and nobody else
 * writes them.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import process from "node:process";
import { writeHeader, writeRecord } from "../file/fields.ts";
import { CONSTANTS, LAYOUT, SECTIONS } from "../file/layout.ts";
import type { SectionName } from "../file/layout.ts";
import { readSnapshot } from "../file/reader.ts";
import { highestResidentSet, MemoryError, residentSet } from "../memory/process_memory.ts";
import { accountWithPages } from "../memory/pages.ts";
import { surveyed } from "../memory/survey.ts";
import type { Account, Surveyed } from "../memory/survey.ts";
import { recordOf, surveyedOf } from "../profile/memory.ts";
import { mappedRecordings } from "../profile/processes.ts";
import { MomentKeeper } from "./moment_keeper.ts";
import { thinned } from "./thinned.ts";

/** Milliseconds between looks: a part of the time so far, within these. */
const [SHORTEST, LONGEST, PART] = [2, 50, 256];
/** A change that is worth a reading, as a part of the highest, and in bytes. */
const CHANGE = 0.01, LEAST = 65536;
/** A change that is worth an account. */
const ACCOUNT_CHANGE = 0.05;
/** Accounts come at least so many times over a run, when the time for them is there. */
const ACCOUNTS_SPREAD = 32;
/**
 * Milliseconds that accounts of all processes may take: at first, as a part of the first seconds, and as a part of the time; what those of
 * a new highest may take beyond that, which is what people ask for; how many times its own cost lies between two at least, and from which
 * part of the highest on a quarter of that.
 */
const ACCOUNT_TIME = 100, ACCOUNT_EARLY = 0.05, ACCOUNT_SHARE = 0.01, EARLY = 4000;
const ACCOUNT_HIGHEST = 400, ACCOUNT_APART = 8, ACCOUNT_NEAR = 0.9;
/** An account of so much less than what is resident tells nothing of that, whether it goes on to rise or not. */
const ACCOUNT_LOW = 0.8;
/** Milliseconds before the first one: what ends before has none. */
const ACCOUNT_FIRST = 40;
/** A change that is worth a moment, and how many moments there are at least when nothing changes. */
const MOMENT_CHANGE = 0.02, MOMENTS_SPREAD = 200;
/** Milliseconds that moments may take, at first and as a part of the time. */
const MOMENT_TIME = 200, MOMENT_SHARE = 0.01;
/** By what factor there has to be more beside what is live for pages to be looked at anew. */
const PAGES_CHANGE = 1.05;
/** Looks without a change after which a level holds. */
const SETTLED = 3;
/** Processes that are looked at. */
const MOST = 64;

type Resident = Readonly<Record<"time" | "resident" | "mapped", number>>;
type Accounted = Readonly<Record<string, number>> & Readonly<Record<"time" | "current" | "resident", number>>;

/** Milliseconds of a processor that this process has had: on a machine that is busy the time that passes is another matter. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** A recording that a process writes, as far as its figures and the driver's sections go. */
class Looked {
  readonly pid: number;
  /** Milliseconds that accounts have taken. */
  accountTime = 0;
  readonly #fd: number;
  readonly #start: number;
  readonly #image: string | undefined;
  readonly #threadsAt: number;
  readonly #residentAt: number;
  readonly #accountsAt: number;
  readonly #target: Surveyed;
  readonly #isAttached: boolean;
  readonly #header = new Uint8Array(LAYOUT.header.size);
  readonly #view = new DataView(this.#header.buffer);
  #readings: Resident[] = [];
  #accounts: Accounted[] = [];
  #highest = 0;
  #mostLive = 0;
  #unchanged = 0;
  #accountedUntil = 0;
  #cost = 0;
  #broken = false;
  readonly #moments: MomentKeeper | undefined;
  readonly #begun = performance.now();
  #momentTime = 0;
  #allocations = 0;
  #beside = 0;
  #mostBeside = LEAST;

  constructor(pid: number, path: string) {
    this.pid = pid;
    const snapshot = readSnapshot(path, ["strings"]);
    const h = (field: string) => snapshot.header.number(0, field);
    const at = (name: SectionName) => snapshot.descriptors.number(SECTIONS.indexOf(name), "offset");
    [this.#threadsAt, this.#residentAt, this.#accountsAt] = [at("threads"), at("resident"), at("accounts")];
    this.#start = h("start_time") / 1e6;
    this.#image = residentSet(pid)?.image;
    // In a container it knows itself by another number.
    this.#target = surveyedOf(snapshot, 0, pid);
    this.#isAttached = h("attached") > 0;
    this.#fd = openSync(path, "r+");
    this.#moments = h("mode") === CONSTANTS.MODE_PATHS ? new MomentKeeper(path, this.#fd, h("file_size")) : undefined;
  }

  /** Milliseconds since the recording began. */
  get age(): number {
    return performance.timeOrigin + performance.now() - this.#start;
  }

  #number(field: string): number {
    const placed = LAYOUT.header.fields[field];
    if (!placed) throw new TypeError(`No field ${field}`);
    return placed.size === 4
      ? this.#view.getUint32(placed.offset, true)
      : Number(this.#view.getBigInt64(placed.offset, true));
  }

  /** Live bytes now: the sum over the threads; that of their allocations is noted. */
  #current(): number {
    const { size, fields } = LAYOUT.threads;
    const records = new Uint8Array(size * this.#number("threads_used"));
    readSync(this.#fd, records, 0, records.length, this.#threadsAt);
    const view = new DataView(records.buffer);
    let sum = 0;
    this.#allocations = 0;
    for (let i = 0; i < records.length; i += size) {
      sum += Number(view.getBigInt64(i + (fields.current?.offset ?? 0), true));
      this.#allocations += Number(view.getBigInt64(i + (fields.allocations?.offset ?? 0), true));
    }
    return sum;
  }

  /** Takes a reading, and an account that costs `left` milliseconds at most, where it is worth one; false when the process is gone, or was let go. */
  look(left: number): boolean {
    const now = residentSet(this.pid);
    // One that has become another program has another recording.
    if (now === undefined || now.image !== this.#image) return false;
    const { resident } = now;
    const time = Math.round(this.age * 1e6);
    readSync(this.#fd, this.#header, 0, this.#header.length, 0);
    // From then on what is live is not known, and its table is about to be taken away.
    if (this.#number("attached") === CONSTANTS.ATTACHED_AND_LEFT) return false;
    const mapped = this.#target.mappings ? this.#number("mapped_current") : CONSTANTS.UNKNOWN;
    const last = this.#readings.at(-1);
    const step = Math.max(LEAST, CHANGE * this.#highest);
    if (!last || Math.abs(resident - last.resident) >= step || Math.abs(mapped - last.mapped) >= step) {
      this.#put({ time, resident, mapped });
      this.#unchanged = 0;
    } else {
      this.#unchanged++;
    }
    const current = this.#current();
    this.#mostLive = Math.max(this.#mostLive, current);
    this.#momentIfDue(time, current, resident);
    if (this.age >= ACCOUNT_FIRST) this.#accountIfDue(time, current, resident, left);
    return true;
  }

  #momentIfDue(time: number, current: number, resident: number): void {
    if (!this.#moments || this.#momentTime > MOMENT_TIME + MOMENT_SHARE * (performance.now() - this.#begun)) return;
    const { last } = this.#moments;
    const moved = !last || time - last.time > time / MOMENTS_SPREAD ||
      Math.abs(current - last.current) > Math.max(LEAST, MOMENT_CHANGE * this.#mostLive) ||
      Math.abs(resident - last.resident) > Math.max(LEAST, MOMENT_CHANGE * this.#highest);
    if (!moved) return;
    const begun = cpuTime();
    this.#moments.take({ time, current, resident, allocations: this.#allocations });
    this.#momentTime += cpuTime() - begun;
    this.#moments.writeIfDue();
  }

  /** Whether so much stands beside what is live as never before, and pages may tell of it: not where most blocks are from before, and nobody knows which. */
  #isMoreBeside(beside: number): boolean {
    const { shadow, mayWalk } = this.#target;
    if (!this.#moments || shadow === 0 || (this.#isAttached && !mayWalk)) return false;
    return beside > PAGES_CHANGE * this.#mostBeside;
  }

  /** Whether it stands where it never stood before, or has so much beside what is live as never before, and no account tells of that. */
  #isNewHighest(resident: number, current: number): boolean {
    const told = this.#accounts.reduce((most, account) => Math.max(most, account.resident), 0);
    if (this.#accounts.length > 0 && told < ACCOUNT_LOW * resident) return true;
    if (this.#unchanged < SETTLED) return false;
    if (this.#isMoreBeside(resident - current)) return true;
    return resident >= (1 - CHANGE) * this.#highest && told < (1 - ACCOUNT_CHANGE) * resident;
  }

  #put(reading: Resident): void {
    const { resident } = reading;
    if (resident > this.#highest) {
      this.#highest = Math.max(resident, highestResidentSet(this.pid) ?? 0);
      this.#write(() => writeHeader(this.#fd, { highest_resident: this.#highest }));
    }
    const kept = thinned(this.#readings, CONSTANTS.TIMELINE, (r) => r.time, (r) => [r.resident, Math.max(0, r.mapped)]);
    this.#readings = [...kept ?? this.#readings, reading];
    this.#append("resident", this.#residentAt, kept, this.#readings);
  }

  #accountIfDue(time: number, current: number, resident: number, left: number): void {
    const isHighest = this.#isNewHighest(resident, current);
    if (this.#cost > left + (isHighest ? ACCOUNT_HIGHEST : 0)) return;
    const apart = resident >= ACCOUNT_NEAR * this.#highest ? ACCOUNT_APART / 4 : ACCOUNT_APART;
    if (!isHighest && this.age < this.#accountedUntil + apart * this.#cost) return;
    const last = this.#accounts.at(-1);
    const moved = !last || Math.abs(resident - last.resident) > Math.max(LEAST, ACCOUNT_CHANGE * this.#highest) ||
      Math.abs(current - last.current) > Math.max(LEAST, ACCOUNT_CHANGE * this.#mostLive) ||
      time - last.time > time / ACCOUNTS_SPREAD;
    if (!moved && !isHighest) return;
    this.#beside = resident - current;
    const begun = cpuTime();
    try {
      const account = this.#survey(time, { ...this.#target, liveBytes: current });
      this.#account({ time, current, ...recordOf(account) });
    } catch (error) {
      // It has ended meanwhile, or may not be looked into: then there is no account.
      if (!(error instanceof MemoryError)) throw error;
    }
    // The first one is slow: nothing has been compiled.
    const cost = cpuTime() - begun;
    this.accountTime += cost;
    this.#cost = this.#accounts.length > 1 ? cost : cost / 2;
    this.#accountedUntil = this.age;
  }

  /** An account, with the heap's pages where so much stands beside what is live as never before: after the end nobody can tell any more. */
  #survey(time: number, target: Surveyed): Account {
    if (!this.#isMoreBeside(this.#beside)) return surveyed(target, (survey, memory) => survey.account(memory));
    const { account, pages } = accountWithPages(target);
    this.#mostBeside = this.#beside;
    // Where most blocks are from before pages tell nothing without these.
    if (pages.before || !this.#isAttached) this.#moments?.keepPages({ ...pages, seconds: time / 1e9 });
    return account;
  }

  #account(account: Accounted): void {
    const kept = thinned(this.#accounts, CONSTANTS.ACCOUNTS, (a) => a.time, (a) => [a.resident, a.current]);
    this.#accounts = [...kept ?? this.#accounts, account];
    this.#append("accounts", this.#accountsAt, kept, this.#accounts);
  }

  /** Writes something. Without room for it there are no more readings. */
  #write(what: () => void): void {
    if (this.#broken) return;
    try {
      what();
    } catch (error) {
      if (error instanceof TypeError) throw error;
      this.#broken = true;
    }
  }

  /** Puts a record behind those that are there, thinned where they were too many, and says how many there are. */
  #append<T extends Readonly<Record<string, number>>>(
    name: "resident" | "accounts",
    at: number,
    kept: readonly T[] | undefined,
    all: readonly T[],
  ): void {
    this.#write(() => {
      const from = kept ? 0 : all.length - 1;
      for (let i = from; i < all.length; i++) writeRecord(this.#fd, at + i * LAYOUT[name].size, name, all[i] as T);
      writeHeader(this.#fd, { [`${name}_used`]: all.length });
    });
  }

  close(): void {
    this.#moments?.write();
    closeSync(this.#fd);
  }
}

/** The recording that a process has mapped; undefined when it has none of this run. */
function recordingOf(maps: string, pid: number, run: number): string | undefined {
  return mappedRecordings(maps).find((path) => {
    try {
      const { header } = readSnapshot(path, []);
      return header.number(0, "pid") === pid && header.number(0, "run") === run && header.number(0, "version") >= 4;
    } catch {
      return false; // one that this heaptap does not write
    }
  });
}

/** Looks on. */
export class Onlooker {
  readonly #run: number;
  readonly #looked = new Map<string, Looked>();
  readonly #begun = performance.now();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #spent = 0;

  /** @param run The number of the run whose recordings are written into. */
  constructor(run: number) {
    this.#run = run;
  }

  /** Begins to look at a process, when it records by now; whether it does. */
  add(pid: number, maps: string): boolean {
    const path = recordingOf(maps, pid, this.#run);
    if (path === undefined || this.#looked.has(path) || this.#looked.size >= MOST) return path !== undefined;
    try {
      this.#looked.set(path, new Looked(pid, path));
    } catch {
      return false; // somebody has taken it away
    }
    this.#next();
    return true;
  }

  /** Begins to look at a process whose recording is known. */
  addRecording(pid: number, path: string): void {
    this.#looked.set(path, new Looked(pid, path));
    this.#next();
  }

  /** Looks at all of them now: what comes afterwards is not of interest. */
  look(): void {
    for (const looked of this.#looked.values()) this.#look(looked, ACCOUNT_HIGHEST);
  }

  /** Tries to find the recording of a process that has just been started, until it is there. */
  expect(pid: number): void {
    const attempt = (left: number) => {
      let maps = "";
      try {
        maps = readFileSync(`/proc/${pid}/maps`, "utf8");
      } catch {
        return;
      }
      if (!this.add(pid, maps) && left > 0) setTimeout(() => attempt(left - 1), 3).unref?.();
    };
    setTimeout(() => attempt(8), 1).unref?.();
  }

  #next(): void {
    if (this.#timer !== undefined) return;
    const pause = Math.min(LONGEST, Math.max(SHORTEST, (performance.now() - this.#begun) / PART));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      for (const [path, looked] of this.#looked) {
        const begun = performance.now();
        const time = begun - this.#begun;
        const early = (ACCOUNT_EARLY - ACCOUNT_SHARE) * Math.min(EARLY, time);
        const left = ACCOUNT_TIME + early + ACCOUNT_SHARE * time - this.#spent;
        const before = looked.accountTime;
        if (!this.#look(looked, left)) {
          looked.close();
          this.#looked.delete(path);
        }
        this.#spent += looked.accountTime - before;
      }
      if (this.#looked.size > 0) this.#next();
    }, pause);
    // The end of the program must not wait for the next look.
    this.#timer.unref?.();
  }

  #look(looked: Looked, left: number): boolean {
    try {
      return looked.look(left);
    } catch {
      return false; // a process that is about to end
    }
  }

  /** Ends it. */
  stop(): void {
    clearTimeout(this.#timer);
    for (const looked of this.#looked.values()) looked.close();
    this.#looked.clear();
  }
}
