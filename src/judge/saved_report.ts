/** A JSON report of all call paths (`run --save`, `report --format json`) as a run to compare. */
import { readFileSync } from "node:fs";
import { RecordingError } from "../file/reader.ts";
import { isFrameKind } from "../symbols/kinds.ts";
import { readableName } from "../symbols/names.ts";
import { buildsOf, collect, JSON_VERSION } from "./comparable.ts";
import type { Comparable, ComparableFrame } from "./comparable.ts";

/** Anything that JSON may hold. */
type Json = Readonly<Record<string, unknown>> | undefined;

const numberOf = (value: unknown): number => typeof value === "number" && Number.isFinite(value) ? value : 0;
const textOf = (value: unknown): string => typeof value === "string" ? value : "";
const listOf = (value: unknown): Json[] => Array.isArray(value) ? value : [];

function frameOf(saved: Json): ComparableFrame {
  const [module, file] = [textOf(saved?.module), textOf(saved?.file)];
  // Reports of before had names as the symboliser gave them.
  const { name, key } = readableName(textOf(saved?.function));
  const frame = { function: name, module, file, line: numberOf(saved?.line) };
  return {
    ...frame,
    key: textOf(saved?.key) || key,
    kind: isFrameKind(saved?.kind) ? saved.kind : "own",
    address: numberOf(Number(saved?.address)),
    inlined: saved?.inlined === true,
  };
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const { code, message } = cause as { code?: string; message: string };
    const why = code === "ENOENT"
      ? "there is no such file"
      : code === "ERR_STRING_TOO_LONG" || /string longer|Out of memory|string length/i.test(message)
      ? "it is too large; write it with run --save, which has each frame once, or compare the recordings"
      : message;
    throw new RecordingError(`Cannot read "${path}": ${why}`, { cause });
  }
}

/**
 * Reads a saved report.
 *
 * @throws {RecordingError} when it is none, or of another version.
 */
export function readSaved(path: string): Comparable {
  let json: Json;
  try {
    json = JSON.parse(text(path));
  } catch (error) {
    if (error instanceof RecordingError) throw error;
    // No JSON at all: refused below, like JSON of something else.
  }
  const { version, summary, allocations } = json ?? {};
  if (typeof version !== "number" || !summary || !Array.isArray(allocations)) {
    throw new RecordingError(`Cannot read "${path}": it is neither a recording nor a JSON report of heaptap`);
  }
  if (version !== JSON_VERSION) {
    throw new RecordingError(
      `Cannot read "${path}": it is a JSON report of version ${version}, and this heaptap reads ${JSON_VERSION}`,
    );
  }
  const [process, totals, limits] = [json?.process as Json, summary as Json, json?.limits as Json];
  // Each made once, so that equal places are the same object; a report that is not compact has them in each stack.
  const table = listOf(json?.frames).map(frameOf);
  const stackOf = (stack: unknown) =>
    (Array.isArray(stack) ? stack : []).map((frame) =>
      typeof frame === "number" ? table[frame] ?? frameOf(undefined) : frameOf(frame)
    );
  return {
    title: listOf(process?.command).join(" ").trim() || path,
    executable: textOf(process?.executable),
    totals: {
      allocations: numberOf(totals?.allocations),
      bytes: numberOf(totals?.bytes),
      peakBytes: numberOf(totals?.peak_bytes),
      liveBytes: numberOf(totals?.live_bytes),
      temporary: numberOf(totals?.temporary),
    },
    timeline: listOf(json?.timeline).map((s) => ({ seconds: numberOf(s?.seconds), bytes: numberOf(s?.bytes) })),
    builds: buildsOf(
      listOf(json?.modules).map((module) => ({ path: textOf(module?.path), buildId: textOf(module?.build_id) })),
    ),
    limits: {
      mode: limits?.mode === "counters" || limits?.mode === "totals" ? limits.mode : "paths",
      interval: numberOf(limits?.interval_bytes),
    },
    margins: { peakBytes: numberOf(totals?.peak_bytes_margin), liveBytes: numberOf(totals?.live_bytes_margin) },
    paths: collect(
      listOf(allocations).map((saved) => [stackOf(saved?.stack), {
        allocations: numberOf(saved?.count),
        bytes: numberOf(saved?.total_bytes),
        peakBytes: numberOf(saved?.peak_bytes),
        liveBytes: numberOf(saved?.live_bytes),
        temporary: numberOf(saved?.temporary),
      }]),
    ),
  };
}
