/**
 * heaptap, the allocation profiler you script: runs any dynamically linked Linux program with its
 * allocation functions intercepted and reads what it recorded, or puts the same hooks into the Deno or
 * Bun process that a script runs in.
 *
 * @example Fail when a program's peak grows
 * ```ts
 * import { profile } from "./mod.ts";
 *
 * const { recording } = await profile(["sort", "-n", "numbers.txt"], { stdio: "ignore" });
 * const peak = recording?.profile().totals.peakBytes ?? 0;
 * if (peak > 100e6) throw new Error(`sort needs ${peak} bytes`);
 * ```
 *
 * @example See what an operation of this script allocates
 * ```ts
 * import { Session } from "./mod.ts";
 *
 * const session = new Session();
 * const parse = session.operation("parse");
 * for (let round = 0; round < 100; round++) {
 *   using _span = parse.measureThread();
 *   JSON.parse("[1, 2, 3]");
 * }
 * session.toReport().print();
 * ```
 *
 * @module
 */
export { headerFolder, LibraryError, libraryPath } from "./src/native/build.ts";
export type { LibraryKind } from "./src/native/build.ts";
export { notInherited } from "./src/run/inherited.ts";
export type { InterpreterOptions } from "./src/run/interpreters.ts";
export { meantCommand } from "./src/run/meant.ts";
export { inspectProgram } from "./src/run/program.ts";
export { ProgramError } from "./src/run/recordable.ts";
export type { Program } from "./src/run/program.ts";
export { OutputError } from "./src/file/output_error.ts";
export { profile } from "./src/run/profile.ts";
export type { ProfileOptions, ProfileResult } from "./src/run/profile.ts";
export type { Escaped } from "./src/run/watch.ts";
export { attach, Attachment, letGo } from "./src/run/attach.ts";
export type { AttachOptions } from "./src/run/attach.ts";
export { AttachError } from "./src/run/attachable.ts";
export { examine } from "./src/run/doctor.ts";
export { whyNoRecording } from "./src/run/no_recording.ts";
export type { Diagnosis } from "./src/run/doctor.ts";
export { checkVariables, isPathPattern } from "./src/native/variables.ts";
export type { RecordOptions } from "./src/native/variables.ts";
export { install, pause, resume } from "./src/scope/install.ts";
export { MemoryError } from "./src/memory/process_memory.ts";
export { notes } from "./src/scope/notes.ts";
export type { Through } from "./src/scope/through.ts";
export type { Installation, InstallOptions } from "./src/scope/install.ts";
export { counters, Profiler, threadCounters } from "./src/scope/counters.ts";
export type { ProfilerOptions } from "./src/scope/counters.ts";
export type { Figures } from "./src/scope/meter.ts";
export { Operation, Session, Span, SpanError } from "./src/scope/session.ts";
export type { SpanFigures, SpanOptions } from "./src/scope/session.ts";
export type { RuntimeMemory, SpanMemory } from "./src/scope/runtime_memory.ts";
export { SessionReport } from "./src/scope/session_report.ts";
export type { OperationReport, SessionReportJson } from "./src/scope/session_report.ts";
export type { Spread, TallyData } from "./src/scope/statistics.ts";
export { callSites, Mark, mark } from "./src/scope/sites.ts";
export type { CallSite, SiteOptions } from "./src/scope/sites.ts";
export { BacktraceReport, backtraceReport } from "./src/scope/backtraces.ts";
export type { BacktraceMode, BacktraceOptions, BacktraceRow } from "./src/scope/backtraces.ts";
export { ThreadReport, threadReport } from "./src/scope/threads.ts";
export type { ThreadOptions, ThreadRow } from "./src/scope/threads.ts";
export * from "./src/entry/report.ts";
export * from "./src/entry/test.ts";
export * from "./src/entry/server.ts";
