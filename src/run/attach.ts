/** Records a process that runs already, until it is let go again. */
import { closeSync, constants, existsSync, fstatSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { copyRecording } from "../file/copy.ts";
import { CONSTANTS } from "../file/layout.ts";
import { hasMagic } from "../file/packed.ts";
import { ownPath, sharedPath } from "../file/paths.ts";
import { readSnapshot } from "../file/reader.ts";
import { handBackRecording } from "../file/sudo.ts";
import { writeWhole } from "../file/whole_file.ts";
import { libraryPath } from "../native/build.ts";
import { whyNotMade } from "../native/errors.ts";
import { isMusl } from "../native/musl.ts";
import { Endings } from "../native/pidfd.ts";
import { checkTogether } from "../native/variables.ts";
import type { RecordOptions } from "../native/variables.ts";
import { residentSet } from "../memory/process_memory.ts";
import { notCounted } from "../profile/facts.ts";
import { readLinked } from "../profile/linked.ts";
import { look, mappedRecordings, newRun } from "../profile/processes.ts";
import { noteExit, Recording } from "../profile/recording.ts";
import { attachable, AttachError, refuseRecorded, refuseToAttach } from "./attachable.ts";
import type { Attachable } from "./attachable.ts";
import { callIn, OpenError } from "./attacher.ts";
import type { Called, PlacedLibrary } from "./attacher.ts";
import { Onlooker } from "./onlooker.ts";
import { prepareOutput } from "./output.ts";
import { inSomePlace, LIBRARY } from "./placed.ts";
import type { PlacedFolder } from "./placed.ts";
import { variablesOf } from "./variables.ts";

/** Options of {@linkcode attach}. */
export interface AttachOptions extends RecordOptions {
  /** File for the recording; `%p` becomes the process's number. `heaptap.PROGRAM.%p.heaptap` when left out, with another number where there is one already. */
  readonly out?: string | undefined;
  /** Whether children that it forks from now on record too. */
  readonly children?: boolean | undefined;
  /** The run that the recording belongs to, to put those of several processes together; one of its own when left out. */
  readonly run?: number | undefined;
}

/** What `heaptap_attach` gives (`ffi/attached.c`, `ffi/api.c`). */
const [ATTACHED, JOINED, SWITCHED_OFF, FOREIGN, LETTING_GO, NOT_ATTACHED] = [0, 1, 2, 3, 4, 5];

/** Lines, and what each may have of a path, that the library has room for. */
const LINKED_MOST = 8, PATH_MOST = 400;
/** Milliseconds between looks whether a process has ended. */
const LOOK = 50;

/** Where the recording of a process lies while it is made. */
interface Made {
  readonly called: Called;
  /** As this process reads it, and keeps it when the other one has ended. */
  readonly path: string;
  /** What is to be taken away at the end. */
  readonly folder: PlacedFolder | undefined;
  readonly fd: number | undefined;
}

/** Has the library begin in a process, from where that finds it. */
async function begin(of: Attachable, library: PlacedLibrary, texts: readonly string[], out: string): Promise<Called> {
  let called = await callIn(of.pid, library, "heaptap_attach", { texts });
  if (called.result === LETTING_GO) {
    await callIn(of.pid, library, "heaptap_linked", { poke: "out" });
    await callIn(of.pid, library, "heaptap_release", { mustBeThere: true, outside: true });
    called = await callIn(of.pid, library, "heaptap_attach", { texts });
  }
  if (called.result === ATTACHED || (called.again && called.result === JOINED)) return called;
  if (called.result === JOINED) refuseRecorded(of.pid, readFileSync(`/proc/${of.pid}/maps`, "utf8"), of.sharesFiles);
  const why = called.result < 0 ? `the recording "${out}" cannot be made: ${whyNotMade(-called.result)}` : {
    [JOINED]: "it is recorded already, in memory alone (install in a script of its own)",
    [SWITCHED_OFF]: "it was started with heaptap preloaded and is not to be recorded",
    [FOREIGN]: "its C library is neither glibc nor musl",
    [LETTING_GO]: "a thread of it has not come out of the library since it was let go; try again",
  }[called.result];
  return refuseToAttach(of.pid, why ?? `the library says ${called.result}`);
}

/** What there is to say when the recording that has begun is not to be found. */
const GONE = "it ended, or its recording was taken away";

/**
 * Leads allocators that are linked into what a process runs to the hooks. Where that cannot be, the recording says that they are not seen, as it has from the
 * beginning; what the library knows better than their files it says then. Microseconds for which all threads did not go on.
 */
async function leadLinked(of: Attachable, library: PlacedLibrary, run: number): Promise<number> {
  if (!of.linked.some(({ isNamed }) => isNamed)) return 0;
  try {
    const { microseconds } = await callIn(of.pid, library, "heaptap_linked", { poke: "in" });
    const said = await callIn(of.pid, library, "heaptap_linked", { texts: [String(run)], mustBeThere: true });
    // Somebody has let it go meanwhile.
    if (said.result !== ATTACHED) await callIn(of.pid, library, "heaptap_linked", { poke: "out" });
    return microseconds;
  } catch (error) {
    if (!(error instanceof AttachError)) throw error;
    return 0;
  }
}

/** What came of a call, and of what was done after it. */
function held(called: Called, more: number): Called {
  return { ...called, microseconds: called.microseconds + more };
}

/** The recording that a process has by now, by the path that it has there. */
function recordingOf({ pid }: Attachable, run: number): string {
  const found = mappedRecordings(readFileSync(`/proc/${pid}/maps`, "utf8"), "");
  return found.find((path) => look(path)?.run === run) ?? refuseToAttach(pid, GONE);
}

/** Opens what a name stands for, whatever that is, and nothing of it: O_PATH, which the runtimes have no name for. */
const LOOK_ONLY = 0o10000000 | constants.O_NOFOLLOW;

/**
 * The recording that a process has made in a folder, open. Whoever may write there may have put anything else there: a device, which to open may
 * do something.
 */
function openedIn(folder: PlacedFolder, { pid, uid }: Attachable, run: number): number {
  for (const name of readdirSync(folder.here).filter((name) => name.endsWith(".heaptap"))) {
    let looked: number | undefined, fd: number | undefined;
    try {
      looked = openSync(join(folder.here, name), LOOK_ONLY);
      const stat = fstatSync(looked);
      if (!stat.isFile() || stat.uid !== uid) continue;
      fd = openSync(`/proc/${process.pid}/fd/${looked}`, constants.O_RDWR);
      if (look(`/proc/${process.pid}/fd/${fd}`)?.run === run) return fd;
      closeSync(fd);
    } catch {
      if (fd !== undefined) closeSync(fd);
    } finally {
      if (looked !== undefined) closeSync(looked);
    }
  }
  return refuseToAttach(pid, GONE);
}

/** The library that a process can open. */
function libraryFor(pid: number): string {
  let maps: string;
  try {
    maps = readFileSync(`/proc/${pid}/maps`, "utf8");
  } catch (cause) {
    refuseToAttach(pid, "this user may not look at it: it is another's, or has more rights (sudo)", { cause });
  }
  return libraryPath(isMusl(maps) ? "late" : "early");
}

/** Records into a file that the process itself makes at its place. */
async function recordHere(of: Attachable, texts: (out: string) => string[], out: string, run: number): Promise<Made> {
  const library = libraryFor(of.pid);
  const placed = { there: library, here: library };
  const called = await begin(of, placed, texts(sharedPath(out)), out);
  const more = await leadLinked(of, placed, run);
  return { called: held(called, more), path: recordingOf(of, run), folder: undefined, fd: undefined };
}

/** Records into a file in a place that the process has, too. */
function recordThere(of: Attachable, texts: (out: string) => string[], out: string, run: number): Promise<Made> {
  const library = libraryFor(of.pid);
  return inSomePlace(of, library, async (folder) => {
    let called: Called;
    try {
      called = await begin(
        of,
        { there: join(folder.there, LIBRARY), here: library },
        texts(join(folder.there, `${of.name.replaceAll("/", "_")}.%p.heaptap`)),
        out,
      );
    } catch (error) {
      if (error instanceof OpenError) return error.message.replace(/^.*cannot open the library: /, "");
      throw error;
    }
    folder.forgetLibrary();
    const more = await leadLinked(of, { there: library, here: library }, run);
    const fd = openedIn(folder, of, run);
    return { called: held(called, more), path: `/proc/${process.pid}/fd/${fd}`, folder, fd };
  });
}

/**
 * A process that is recorded since {@linkcode attach}. It is let go by {@linkcode Attachment.detach}, or at the end of an `await using`.
 *
 * @example
 * ```ts
 * import { attach, Attachment } from "./mod.ts";
 * import { spawn } from "node:child_process";
 *
 * const child = spawn("sleep", ["10"]);
 * await new Promise((done) => setTimeout(done, 200));
 * {
 *   await using attachment = await attach(child.pid!, { out: "sleep.heaptap" });
 *   console.log(attachment instanceof Attachment, attachment.recording.liveBytes()); // true 0
 * }
 * child.kill();
 * ```
 */
export class Attachment implements AsyncDisposable {
  /** The process. */
  readonly pid: number;
  /** Its program's name. */
  readonly name: string;
  /** Milliseconds for which one of its threads did not go on, as seen from here. */
  readonly stopped: number;
  /** Its recording, which grows. */
  readonly recording: Recording;
  readonly #made: Made;
  readonly #out: string;
  readonly #run: number;
  /** Once it was seen: what it is read from may be closed then. */
  #left = false;
  readonly #settle: () => void;
  readonly #onlooker: Onlooker;
  readonly #endings = new Endings();
  readonly #image: string | undefined;
  readonly #notes: string[];
  #last: Promise<Recording> | undefined;

  /** @internal */
  constructor(of: Attachable, made: Made, out: string, run: number, settle: () => void) {
    this.pid = of.pid;
    this.name = of.name;
    const unseen = readLinked(readSnapshot(made.path, ["strings"])).filter(({ why }) => why);
    this.#notes = [...new Set([...of.notes, ...unseen.map(notCounted)])];
    this.stopped = made.called.microseconds / 1000;
    this.recording = Recording.open(made.path);
    this.#made = made;
    this.#out = out;
    this.#run = run;
    this.#settle = settle;
    this.#image = residentSet(of.pid)?.image;
    this.#endings.watch(of.pid);
    this.#onlooker = new Onlooker(run);
    this.#onlooker.addRecording(of.pid, made.path);
  }

  /** What will be missing, and what stayed in it when it was let go, a line each. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  /** Whether it runs, and the same program still. */
  get running(): boolean {
    const now = residentSet(this.pid);
    return now !== undefined && now.image === this.#image;
  }

  /** Whether it was let go, here or by somebody else: then its recording is what it will be. */
  get left(): boolean {
    return this.#left ||= readSnapshot(this.#made.path, []).header.number(0, "attached") ===
      CONSTANTS.ATTACHED_AND_LEFT;
  }

  /** Resolves when it has ended, or was let go. */
  async ended(signal?: AbortSignal): Promise<void> {
    while (this.running && !this.left && !signal?.aborted) await new Promise((done) => setTimeout(done, LOOK));
  }

  /**
   * Lets it go: all of its calls go to the allocator as before, and what the recording had in its memory is given back. The library stays
   * in it, unused.
   *
   * @returns The recording, where it was to be.
   * @throws {AttachError} when it cannot be stopped now; then the recording goes on, and it can be tried again.
   */
  detach(): Promise<Recording> {
    this.#last ??= this.#detach().catch((error) => {
      this.#last = undefined;
      throw error;
    });
    return this.#last;
  }

  async #detach(): Promise<Recording> {
    this.#onlooker.look();
    if (this.running) {
      const left = await letGoOf(this.pid, this.#run).catch((error) => this.running ? Promise.reject(error) : []);
      this.#notes.push(...left ?? []);
      this.#left = true;
    }
    this.#onlooker.stop();
    const { path, folder, fd } = this.#made;
    const ending = this.#endings.take().get(this.pid);
    if (ending) noteExit(path, ending);
    if (folder !== undefined && fd !== undefined) {
      writeWhole(this.#out, (to) => copyRecording(path, to), { mode: 0o600, isOurs: true });
      folder[Symbol.dispose]();
      closeSync(fd);
    }
    const out = folder === undefined ? path : this.#out;
    handBackRecording(out, hasMagic);
    this.#settle();
    return Recording.open(out);
  }

  /** The same as {@linkcode Attachment.detach}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.detach();
  }
}

/**
 * Lets a process go that somebody has attached to. Gives what stays in it, a line each: nothing but where a thread does not come
 * out of a call.
 *
 * @throws {AttachError} when nobody has, or it cannot be stopped.
 *
 * @example
 * ```ts
 * import { AttachError, letGo } from "./mod.ts";
 *
 * try {
 *   await letGo(process.ppid);
 * } catch (error) {
 *   console.log(error instanceof AttachError); // true: nobody has attached to it
 * }
 * ```
 */
export async function letGo(pid: number): Promise<string[]> {
  const refuse = (why: string): never => {
    throw new AttachError(`Cannot detach from process ${pid}: ${why}`);
  };
  if (!existsSync(`/proc/${pid}`)) refuse("there is none of that number");
  try {
    return await letGoOf(pid) ?? refuse("nobody has attached to it");
  } catch (error) {
    if (!(error instanceof AttachError)) throw error;
    return refuse(error.message.replace(/^Cannot \w+ \w+ process \d+: /, ""));
  }
}

/** The same, of what is recorded for one run alone: another recording may have begun since. Undefined when it is not recorded for that. */
async function letGoOf(pid: number, run?: number): Promise<string[] | undefined> {
  const library = libraryFor(pid);
  const placed = { there: library, here: library };
  const texts = run === undefined ? [] : [String(run)];
  const { result, again } = await callIn(pid, placed, "heaptap_detach", { texts, mustBeThere: true });
  if (result === NOT_ATTACHED && !again) return undefined;
  const notes: string[] = [];
  try {
    await callIn(pid, placed, "heaptap_linked", { mustBeThere: true, poke: "out" });
  } catch (error) {
    if (!(error instanceof AttachError)) throw error;
    notes.push(`the code of an allocator in process ${pid} leads through the library still, which passes its calls on`);
  }
  try {
    const given = await callIn(pid, placed, "heaptap_release", { texts, mustBeThere: true, outside: true });
    if (given.result === ATTACHED || given.again) return notes;
  } catch (error) {
    if (!(error instanceof AttachError)) throw error;
  }
  const why = notes.length > 0 ? [] : [`a thread of process ${pid} is in a call from before`];
  return [...notes, ...why, "what the recording had in its memory stays there"];
}

/** Allocators that are linked in, none of them seen yet, as the library notes those that it finds itself (`ffi/linked.c`). */
function linkedLines({ linked }: Attachable): string {
  return linked.slice(0, LINKED_MOST).map(({ family, path, isNamed }) => {
    // Too long a path is told by its end.
    const name = path.replace(/[\t\n]/g, "?").slice(-PATH_MOST);
    return `${family}\t\t0\t${isNamed ? CONSTANTS.LINKED_RUNS : CONSTANTS.LINKED_NAMELESS}\t\t${name}\n`;
  }).join("");
}

/** A name for the recording: that of an earlier look at the same process stays. */
function freeName(program: string, pid: number): string {
  const named = (n: number) => `heaptap.${program}.${pid}${n > 1 ? `-${n}` : ""}.heaptap`;
  let n = 1;
  while (existsSync(ownPath(named(n)))) n++;
  return named(n);
}

/**
 * Attaches to a process that runs, and records what it allocates from now on, by the same hooks as `heaptap run`. One of its threads is stopped for
 * about a millisecond. Blocks from before are unknown: frees of them are counted apart.
 *
 * @throws {AttachError} when it cannot be attached to: it is then as it was.
 * @throws {LibraryError} when the library cannot be had.
 * @throws {OutputError} when the recording cannot be written.
 *
 * @example
 * ```ts
 * import { attach, AttachError } from "./mod.ts";
 *
 * try {
 *   const attachment = await attach(4242);
 *   await new Promise((done) => setTimeout(done, 10_000));
 *   console.log((await attachment.detach()).profile().totals.liveBytes);
 * } catch (error) {
 *   if (!(error instanceof AttachError)) throw error;
 *   console.log(error.message);
 * }
 * ```
 */
export async function attach(pid: number, options: AttachOptions = {}): Promise<Attachment> {
  checkTogether(options);
  const of = attachable(pid);
  const out = ownPath(options.out?.replaceAll("%p", String(pid)) ?? freeName(of.name.replaceAll("/", "_"), pid));
  const settle = prepareOutput(out);
  const run = options.run ?? newRun(process.pid);
  const texts = (to: string) =>
    Object.entries({
      ...variablesOf(options),
      HEAPTAP_OUT: to,
      HEAPTAP_RUN: String(run),
      HEAPTAP_FOLLOW: options.children ? "all" : "none",
      HEAPTAP_LINKED: linkedLines(of),
    }).map(([name, value]) => `${name}=${value}`);
  const record = of.sharesFiles && of.uid === process.getuid?.() ? recordHere : recordThere;
  try {
    return new Attachment(of, await record(of, texts, out, run), out, run, settle);
  } catch (error) {
    // It may have begun before something else failed here.
    await letGoOf(pid, run).catch(() => {});
    settle();
    throw error;
  }
}
