/** The program that attaches (`ffi/attach/attach.c`), run: it calls a function of the library in a process that runs. */
import { spawn } from "node:child_process";
import process from "node:process";
import { attacherPath } from "../native/build.ts";
import { AttachError, refuseToAttach } from "./attachable.ts";

/** How a process finds the library, and how this one does. */
export interface PlacedLibrary {
  readonly there: string;
  readonly here: string;
}

/** What came of a call. */
export interface Called {
  /** Whether an earlier one may have done it, of which it was not seen what it gave. */
  readonly again?: boolean | undefined;
  /** What the function gave. */
  readonly result: number;
  /** The thread that was stopped, and how it was found: waiting, running, or the whole process stopped; 0 where all were. */
  readonly thread: number;
  readonly how: "waiting" | "running" | "stopped" | "all";
  /** Microseconds for which that thread did not go on. */
  readonly microseconds: number;
}

/** The library could not be opened there: another place may do. */
export class OpenError extends AttachError {
  /** The class's name. */
  override name = "OpenError";
}

/** Milliseconds for which a moment is looked for; and for one that all threads have to come to. */
const LIMIT = 3000, LONG_LIMIT = 20000;

const WHY: Readonly<Record<string, string>> = {
  gone: "it has ended",
  permission: "this user may not trace it: sudo heaptap attach",
  memory: "there is no memory for it",
  libc: "its C library is none that heaptap knows: it takes glibc 2.17 or later, or musl",
  room: "none of its code has room for what puts the library in; start it with heaptap run",
  bits: "it runs 32-bit code, and heaptap is for x86-64",
  busy: "somebody else is attaching to it; try again",
  moment: `in ${LIMIT / 1000} s no thread of it was seen where the library can be put in; try again`,
  waits: "the call waits in it for another thread, and goes on when it can: look with heaptap attach again",
  inside: `in ${
    LONG_LIMIT / 1000
  } s not all threads were seen outside the library: what the recording has in memory stays`,
  stop: "its thread could not be stopped",
  filters:
    "it has filters of system calls (seccomp) that this user may not read, and they may end it: sudo heaptap attach",
  strict: "a thread of it may make no system calls any more (seccomp, strict); start it with heaptap run",
  unseen: "it took too long to see what came of it; heaptap attach again tells",
  absent: "nobody has attached to it",
};

/** How a function is called. */
interface CallOptions {
  readonly texts?: readonly string[];
  readonly mustBeThere?: boolean;
  readonly outside?: boolean;
  /** No call: what the library has planned for code that runs is put in, or taken out, while all threads are stopped. */
  readonly poke?: "in" | "out";
}

/**
 * Calls a function of the library in a process. `mustBeThere`: only where that is loaded already; `outside`: once all threads have been seen outside the library.
 *
 * @throws {AttachError} when that cannot be done; the process is as it was.
 */
export async function callIn(
  pid: number,
  library: PlacedLibrary,
  name: string,
  options: CallOptions = {},
): Promise<Called> {
  for (let tries = 0;; tries++) {
    try {
      const called = await callOnce(pid, library, name, options);
      return tries > 0 ? { ...called, again: true } : called;
    } catch (error) {
      if (!(error instanceof UnseenError) || tries === 3) throw error;
    }
  }
}

/** It was not seen what the function gave, on a machine that is very busy. */
class UnseenError extends AttachError {}

async function callOnce(
  pid: number,
  library: PlacedLibrary,
  name: string,
  { texts = [], mustBeThere = false, outside = false, poke }: CallOptions,
): Promise<Called> {
  const args = [
    String(pid),
    library.there,
    name,
    String(mustBeThere || poke ? LONG_LIMIT : LIMIT),
    library.here,
    ...poke ? [poke] : outside ? ["outside"] : mustBeThere ? ["there"] : [],
  ];
  const child = spawn(attacherPath(), args, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {}); // it has refused before it read
  child.stdin.end([...texts, "", ""].join("\0"));
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part) => text += part);
  await new Promise((done, fail) => child.on("error", fail).on("close", done));
  const said = text ? JSON.parse(text) as Called | { failed: string; detail: string } : { failed: "cut", detail: "" };
  if (!("failed" in said)) return said;
  const { failed, detail } = said;
  if (failed === "open") throw new OpenError(`Cannot attach to process ${pid}: it cannot open the library: ${detail}`);
  if (failed === "unseen") throw new UnseenError(`Cannot attach to process ${pid}: ${WHY.unseen}`);
  if (failed === "version") refuseToAttach(pid, `"${detail}" in it is of another version of heaptap`);
  if (failed === "forbidden") {
    refuseToAttach(
      pid,
      `its filters of system calls (seccomp) forbid number ${detail}, which the library needs; start it with heaptap run`,
    );
  }
  if (failed === "permission" && process.getuid?.() === 0) refuseToAttach(pid, "not even root may trace it here");
  if (failed === "library") refuseToAttach(pid, `the library "${detail}" is damaged`);
  refuseToAttach(pid, WHY[failed] ?? "what attaches was ended");
}
