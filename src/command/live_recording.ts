/** A recording that is served: its page, what looks tell pages that are open, and what other tools read of it. */
import type { ServerResponse } from "node:http";
import { exportProfile } from "../export/formats.ts";
import { METRICS_TYPE } from "../export/metrics_text.ts";
import { RecordingError } from "../file/reader.ts";
import { Feed } from "../live/feed.ts";
import { lookMetrics } from "../live/metrics.ts";
import type { Look } from "../profile/looks.ts";
import { asCallPath } from "../profile/memory.ts";
import type { Recording } from "../profile/recording.ts";
import { selectPaths } from "../profile/select.ts";
import type { SymbolOptions } from "../symbols/symbols.ts";
import { followed } from "./followed.ts";
import type { Followed } from "./followed.ts";
import { Refusal } from "./serve.ts";
import type { Answer, Asked } from "./serve.ts";

const [HTML, JSON_TYPE, BYTES] = ["text/html; charset=utf-8", "application/json", "application/octet-stream"];

function event(data: unknown, name = "message"): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** One recording, and those that its process goes on with. It is looked at while somebody wants to know, and not else. */
export class LiveRecording {
  readonly #looks: AsyncGenerator<readonly [Recording, Look]>;
  readonly #interval: number;
  readonly #naming: SymbolOptions;
  readonly #left = new AbortController();
  readonly #pages = new Set<ServerResponse>();
  #feed: Feed | undefined;
  #recording: Recording | undefined;
  #look: Look | undefined;
  #lookedAt = 0;
  #next: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #isOver = false;
  #failure: Error | undefined;

  constructor(subject: Followed, interval: number, naming: SymbolOptions) {
    this.#looks = followed(subject, interval, this.#left.signal);
    this.#interval = interval;
    this.#naming = naming;
  }

  /** Answers what is asked below its address. */
  async answer({ method, path: [page = "", ...rest], query }: Asked): Promise<Answer | undefined> {
    const name = [page, ...rest].join("/");
    if (method === "POST" && name === "mark") return this.#mark(query.get("name") ?? "");
    if (method === "POST") return undefined;
    if (name === "looks") {
      await this.#now();
      return (response) => this.#open(response, query.get("known") ?? "");
    }
    switch (name) {
      case "": {
        const { feed, recording } = await this.#now();
        return { type: HTML, body: feed.page(recording.packedMoments()) };
      }
      case "metrics":
        return { type: METRICS_TYPE, body: lookMetrics((await this.#now()).look) };
      case "pprof/heap":
        return await this.#export("pprof", "live", BYTES);
      case "pprof/allocs":
        return await this.#export("pprof", "allocated", BYTES);
      case "report.json":
        return await this.#export("json", "live", JSON_TYPE);
    }
    return undefined;
  }

  async #export(format: "pprof" | "json", view: "live" | "allocated", type: string): Promise<Answer> {
    const { feed } = await this.#now();
    const profile = feed.profile();
    await feed.symbols.resolve([...profile.callPaths, ...(profile.mappings?.paths ?? []).map(asCallPath)]);
    const ordered = { ...profile, callPaths: selectPaths(profile, {}) };
    return { type, body: exportProfile(ordered, feed.symbols, format, { view }) };
  }

  /** Looks once more; whoever wants that meanwhile waits for the same look. */
  #step(): Promise<void> {
    return this.#next ??= this.#take().catch((error) => {
      [this.#failure, this.#isOver] = [error, true];
    }).finally(() => this.#next = undefined);
  }

  async #take(): Promise<void> {
    const { value, done } = await this.#looks.next();
    if (done) {
      this.#isOver = true;
      return;
    }
    const [recording, look] = value;
    const isNew = recording.path !== this.#recording?.path;
    const feed = isNew || !this.#feed ? new Feed((this.#feed?.recording ?? 0) + 1, look, this.#naming) : this.#feed;
    const marks = isNew ? recording.marks() : undefined;
    await feed.learn(look);
    // From here on all at once: a page that is opened has all, or is told what comes.
    if (isNew) this.#feed?.[Symbol.dispose]();
    [this.#feed, this.#recording, this.#look, this.#lookedAt] = [feed, recording, look, performance.now()];
    this.#tell(event(feed.tell(look, marks)));
  }

  /** The last look, where that was just now; else another. */
  async #now(): Promise<{ readonly feed: Feed; readonly recording: Recording; readonly look: Look }> {
    if (!this.#isOver && !(performance.now() - this.#lookedAt < this.#interval && this.#look)) await this.#step();
    if (this.#failure) throw this.#failure;
    const [feed, recording, look] = [this.#feed, this.#recording, this.#look];
    if (!feed || !recording || !look) throw new RecordingError("Cannot show anything: nothing was recorded");
    return { feed, recording, look };
  }

  #open(response: ServerResponse, known: string): void {
    if (this.#left.signal.aborted) return void response.destroy();
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(event(this.#feed?.whole(known)));
    response.on("close", () => this.#pages.delete(response));
    this.#pages.add(response);
    this.#run();
  }

  /** Goes on looking while there is a page; it has been told the end where there is one. */
  #run(): Promise<void> {
    return this.#running ??= this.#lookOn().finally(() => this.#running = undefined);
  }

  async #lookOn(): Promise<void> {
    while (this.#pages.size > 0 && !this.#isOver) await this.#step();
    if (!this.#isOver) return;
    this.#tell(event(this.#failure?.message ?? "", "end"));
    for (const page of this.#pages) page.end();
    this.#pages.clear();
  }

  #tell(text: string): void {
    for (const page of this.#pages) {
      // One that does not keep up comes again by itself.
      if (page.writableNeedDrain) page.destroy();
      else page.write(text);
    }
  }

  async #mark(name: string): Promise<Answer> {
    const { feed, recording, look } = await this.#now();
    try {
      recording.mark(name);
    } catch (error) {
      if (error instanceof TypeError) throw new Refusal(400, error.message);
      throw error;
    }
    const marks = recording.marks();
    this.#tell(event(feed.tell(look, marks)));
    return { type: JSON_TYPE, body: JSON.stringify({ marks }) };
  }

  /** Goes on to the last look, where there are pages to tell it. */
  async finish(): Promise<void> {
    await this.#run();
  }

  /** Ends looking; a look that is under way has nobody to tell any more. */
  close(): void {
    this.#left.abort();
    for (const page of this.#pages) page.end();
    this.#pages.clear();
    this.#feed?.[Symbol.dispose]();
  }
}
