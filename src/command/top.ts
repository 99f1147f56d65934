/** `heaptap top`: a recording while it is written, in a terminal or a line at a time. */
import { execFile } from "node:child_process";
import { constants } from "node:os";
import { basename } from "node:path";
import process from "node:process";
import { lookJson, lookText } from "../live/lines.ts";
import { Names } from "../live/names.ts";
import { rowsOf } from "../live/rows.ts";
import type { Row } from "../live/rows.ts";
import { looked, pressed, START } from "../live/state.ts";
import type { LiveState } from "../live/state.ts";
import { pageOf, shownRows, viewLines } from "../live/view.ts";
import { OutputError } from "../file/output_error.ts";
import type { Recording } from "../profile/recording.ts";
import { followed, nowAndThen, withOthers } from "./followed.ts";
import type { Subject } from "./followed.ts";
import { naming } from "./plan.ts";
import type { NameOptions } from "./plan.ts";
import { heedStreams, written } from "./terminal.ts";

/** How it is looked on. */
export interface TopOptions extends NameOptions {
  /** Milliseconds between looks. */
  readonly interval: number;
  /** Looks, in lines; undefined for as many as there are. */
  readonly count?: number | undefined;
  /** Whether lines are JSON. */
  readonly json?: boolean | undefined;
  /** Call paths of a line of JSON, 0 for all. */
  readonly limit: number;
}

/** Whether there is a terminal to draw on, and lines were not asked for. */
export function hasScreen({ json, count }: Pick<TopOptions, "json" | "count">): boolean {
  return !json && count === undefined && process.stdin.isTTY === true && process.stdout.isTTY === true &&
    process.env.TERM !== "dumb";
}

/** Looks on until there is no more to see, or whoever looks leaves. */
export async function top(subject: Subject, options: TopOptions): Promise<void> {
  heedStreams();
  if (!hasScreen(options)) return await printLines(subject, options);
  try {
    await new View(subject, options).run();
  } finally {
    await written(process.stdout);
  }
}

/** Prints a line for each look. */
async function printLines(subject: Subject, options: TopOptions): Promise<void> {
  const { interval, count = Infinity, json, limit } = options;
  let [state, printed] = [START, 0];
  let names: Names | undefined;
  let shown: Recording | undefined;
  // What was attached to is let go by whoever called; a program that was started gets signals itself.
  const left = new AbortController();
  const end = (signal: NodeJS.Signals) => {
    process.exitCode = 128 + constants.signals[signal];
    left.abort();
  };
  const signals = subject.ended ? [] : ["SIGHUP", "SIGINT", "SIGTERM"] as const;
  for (const name of signals) process.on(name, end);
  let failure: { readonly code?: string; readonly message: string } | undefined;
  const fail = (error: Error) => {
    failure = error;
    left.abort();
  };
  subject.lines.on("error", fail);
  for await (const [recording, look] of followed(subject, interval, left.signal)) {
    if (recording.path !== shown?.path) {
      names?.[Symbol.dispose]();
      [state, names] = [START, undefined];
    }
    // Once more, by whoever waited for its end.
    if (!look.running && state.look?.running === false) break;
    shown = recording;
    names ??= new Names(look, naming(options));
    state = looked(state, look);
    const rows = rowsOf(state, names).slice(0, json ? limit || undefined : 1);
    await names.learn(look, pathsOf(rows));
    const line = json ? lookJson(look, rows, names) : lookText(look, rows, names);
    try {
      subject.lines.write(`${line}\n`);
    } catch (error) {
      fail(error as Error); // Deno throws
    }
    if (++printed >= count || failure) break;
  }
  await written(subject.lines);
  for (const name of signals) process.off(name, end);
  subject.lines.off("error", fail);
  names?.[Symbol.dispose]();
  // A reader that closes our pipe has seen enough.
  if (failure && failure.code !== "EPIPE") throw new OutputError(`Cannot write to stdout: ${failure.message}`);
}

function pathsOf(rows: readonly Row[]): number[] {
  return rows.flatMap(({ path }) => path ?? []);
}

/** A view in a terminal. */
class View {
  readonly #subject: Subject;
  readonly #options: TopOptions;
  #state: LiveState = START;
  #recording: Recording | undefined;
  #names: Names | undefined;
  #screen: import("./screen.ts").Screen | undefined;
  #isInterrupted = false;
  readonly #others: () => readonly Recording[];
  /** The names of which some are looked up. */
  #learning: Names | undefined;
  /** Ends looking at this recording. */
  #turn = new AbortController();
  #leave: (failure?: unknown) => void = () => {};

  constructor(subject: Subject, options: TopOptions) {
    this.#subject = subject;
    this.#others = nowAndThen(() => withOthers(subject.recordings()));
    this.#options = options;
  }

  async run(): Promise<void> {
    const { Screen } = await import("./screen.ts");
    const left = new Promise<void>((done, fail) => {
      this.#leave = (failure) => failure === undefined ? done() : fail(failure);
    });
    this.#screen = new Screen((key) => this.#guarded(() => this.#press(key)));
    const redraw = () => this.#guarded(() => this.#redraw());
    const resume = () => {
      this.#screen?.open();
      redraw();
    };
    const end = (signal: NodeJS.Signals) => {
      process.exitCode = 128 + constants.signals[signal];
      this.#leave();
    };
    const handlers = [
      ...[["SIGWINCH", redraw], ["SIGCONT", resume]] as const,
      // A program that was started gets them too.
      ...(["SIGHUP", "SIGINT", "SIGTERM"] as const).map((name) => [name, end] as const),
    ];
    for (const [name, handler] of handlers) process.on(name, handler);
    // Not every runtime comes to the end of a process that fails.
    process.on("uncaughtException", this.#leave);
    this.#draw();
    this.#look();
    try {
      await left;
    } finally {
      this.#turn.abort();
      this.#screen.close();
      for (const [name, handler] of handlers) process.off(name, handler);
      process.off("uncaughtException", this.#leave);
      this.#names?.[Symbol.dispose]();
    }
  }

  /** What fails between two looks ends the view, and is told when the terminal is as it was. */
  #guarded(part: () => void): void {
    try {
      part();
    } catch (error) {
      this.#leave(error);
    }
  }

  /** Looks at a recording, and at those that follow it. */
  async #follow(signal: AbortSignal, from: Recording | undefined): Promise<void> {
    for await (const [recording, look] of followed(this.#subject, this.#options.interval, signal, from)) {
      if (recording.path !== this.#recording?.path) {
        this.#names?.[Symbol.dispose]();
        this.#names = undefined;
        const { view, sort, message } = this.#state;
        this.#state = { ...START, view, sort, message };
        this.#recording = recording;
      }
      this.#names ??= new Names(look, naming(this.#options));
      this.#state = looked(this.#state, look);
      this.#draw();
      if (this.#isInterrupted && !look.running) break;
    }
    // Whoever ended the program has seen enough, and of one that recorded nothing there is nothing to see.
    if (!this.#recording || this.#isInterrupted) this.#leave();
  }

  #look(from?: Recording): void {
    this.#turn.abort();
    this.#turn = new AbortController();
    this.#follow(this.#turn.signal, from).catch(this.#leave);
  }

  #rows(): Row[] {
    return this.#names ? rowsOf(this.#state, this.#names) : [];
  }

  #draw(): void {
    const [screen, names, { look }] = [this.#screen, this.#names, this.#state];
    if (!screen) return;
    const { size } = screen;
    const rows = this.#rows();
    // A folder may have many recordings: the first rows do not wait for that.
    const others = this.#state.past.length > 1 ? this.#others().length - 1 : 0;
    screen.draw(viewLines(this.#state, rows, names, size, {
      beside: others > 0 ? `${others} more recorded: n` : "",
      keys: others > 0 ? "n next process  " : "",
    }));
    if (!look || !names || this.#learning === names) return;
    const { view, pattern, open } = this.#state;
    const shown = pathsOf(shownRows(this.#state, rows, size)).concat(open ?? []);
    const all = pattern !== undefined || view === "functions" || view === "modules" ? look.used : [];
    this.#learning = names;
    names.learn(look, shown, all).then((learnt) => {
      if (names !== this.#names) return;
      this.#learning = undefined;
      if (learnt) this.#draw();
    }).catch((error) => {
      if (names === this.#names) this.#leave(error);
    });
  }

  #redraw(): void {
    this.#screen?.forget();
    this.#draw();
  }

  #press(key: string): void {
    const { look, open } = this.#state;
    const page = pageOf(this.#screen?.size ?? { columns: 80, rows: 24 });
    const depth = look && open !== undefined ? this.#names?.stack(look.path(open)).length ?? 0 : 0;
    this.#state = pressed(this.#state, key, { rows: this.#rows(), page, depth });
    const { wish } = this.#state;
    if (wish === "quit") return this.#leave();
    if (wish === "interrupt") {
      if (!this.#subject.interrupt || !look?.running) return this.#leave();
      this.#subject.interrupt();
      this.#isInterrupted = true;
    }
    if (wish === "suspend") {
      this.#screen?.close();
      // With the program that it started, as a terminal does.
      return void process.kill(0, "SIGTSTP");
    }
    if (wish === "redraw") this.#screen?.forget();
    if (wish === "next") this.#next();
    if (wish === "save") this.#save();
    this.#draw();
  }

  #tell(message: string): void {
    this.#state = { ...this.#state, message };
    this.#draw();
  }

  #next(): void {
    const all = this.#others();
    const at = all.findIndex(({ path }) => path === this.#recording?.path);
    const next = all[(at + 1) % all.length];
    if (!next || next.path === this.#recording?.path) return this.#tell("no other process of this is recorded");
    this.#look(next);
  }

  /** By another process: while names are looked up and the page is made the view goes on. */
  #save(): void {
    const [recording, { look }] = [this.#recording, this.#state];
    if (!recording || !look) return;
    const { executable, pid } = look.profile.process;
    const path = `heaptap.${basename(executable).slice(0, 50)}.${pid}.${Math.round(look.seconds)}s.html`;
    this.#tell(`saving ${path}`);
    const [runtime = "", ...args] = ownCommand();
    execFile(runtime, [...args, "report", "--format", "html", "-o", path, recording.path], (error, _, said) => {
      this.#tell(error ? said.trim() || error.message : `saved ${path}`);
    });
  }
}

/** How this command line was started. */
function ownCommand(): string[] {
  const runtime = "Deno" in globalThis ? ["run", "-A"] : process.execArgv;
  return [process.execPath, ...runtime, process.argv[1] ?? ""];
}
