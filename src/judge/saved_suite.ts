/** What tests allocated, as JSON: written to be compared with, and read for that. */
import { readFileSync } from "node:fs";
import { RecordingError } from "../file/reader.ts";
import type { Suite } from "./suite.ts";

/** Version of the JSON's shape; counts up when a key changes its meaning or goes away. */
const SUITE_VERSION = 1;

type Saved = Readonly<Record<string, unknown>> | undefined;

const text = (value: unknown) => typeof value === "string" ? value : "";
const number = (value: unknown) => typeof value === "number" && Number.isFinite(value) ? value : 0;

/** A suite as JSON. */
export function suiteJson({ title, tests, notes }: Suite): string {
  const saved = tests.map((test) => ({
    name: test.name,
    file: test.file,
    threw: test.threw,
    allocations: test.allocations,
    bytes: test.bytes,
    peak_bytes: test.peakBytes,
    live_bytes: test.liveBytes,
    live_count: test.liveCount,
    beside: test.beside,
    apart: test.apart,
  }));
  return JSON.stringify({ version: SUITE_VERSION, title, tests: saved, notes }, null, 2) + "\n";
}

/**
 * Reads what {@linkcode suiteJson} wrote.
 *
 * @throws {RecordingError} when it is something else.
 */
export function readSuite(path: string): Suite {
  let json: Saved;
  try {
    json = JSON.parse(readFileSync(path, "utf8")) as Saved;
  } catch (cause) {
    const why = cause instanceof SyntaxError ? "it is no JSON" : (cause as Error).message;
    throw new RecordingError(`Cannot read "${path}": ${why}; heaptap test --save writes such a file`);
  }
  if (!Array.isArray(json?.tests)) {
    throw new RecordingError(`Cannot read "${path}": it is no report of tests; heaptap test --save writes one`);
  }
  if (json.version !== SUITE_VERSION) {
    throw new RecordingError(
      `Cannot read "${path}": it is a report of tests of version ${json.version}, and this heaptap reads ${SUITE_VERSION}`,
    );
  }
  const tests = (json.tests as Saved[]).map((test) => ({
    name: text(test?.name),
    file: text(test?.file),
    pid: 0,
    operation: "",
    threw: test?.threw === true,
    allocations: number(test?.allocations),
    bytes: number(test?.bytes),
    peakBytes: typeof test?.peak_bytes === "number" ? test.peak_bytes : null,
    liveBytes: number(test?.live_bytes),
    liveCount: number(test?.live_count),
    beside: number(test?.beside),
    apart: test?.apart !== false,
    kept: [],
  }));
  return { title: text(json.title), tests, notes: [] };
}
