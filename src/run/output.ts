/** The place of a recording: whether one can be made there, and what stands there already. */
import { Buffer } from "node:buffer";
import { closeSync, existsSync, lstatSync, openSync, renameSync, statSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { OutputError } from "../file/output_error.ts";
import { isRecording } from "../file/reader.ts";
import { missingPermission } from "../native/build.ts";

/** What file systems take for a name, bytes; the library adds numbers to those of further processes. */
const NAME_MAX = 255 - ".1234567.99".length;

/** Why nothing can be written into a folder, by what the system says. */
const WHY: Readonly<Record<string, string>> = {
  EROFS: "is on a file system that is read-only",
  ENOSPC: "is on a file system that is full",
  EDQUOT: "has no room left for this user",
};

/** Makes way for a recording; what puts back the one that was there. */
export function prepareOutput(out: string): () => void {
  const folder = dirname(out);
  if (Buffer.byteLength(basename(out)) > NAME_MAX) {
    throw new OutputError(`Cannot write "${out}": its name is too long; choose one of up to ${NAME_MAX} bytes with -o`);
  }
  try {
    if (statSync(folder).nlink === 0) throw new Error("removed");
    // Rights alone do not say it: the file system may be read-only, or have no room for a name.
    const tried = join(folder, `.heaptap-${crypto.randomUUID()}`);
    closeSync(openSync(tried, "wx", 0o600));
    unlinkSync(tried);
  } catch (error) {
    const words = WHY[(error as { code?: string }).code ?? ""] ?? "is not there or cannot be written";
    const why = missingPermission(error) ?? `the folder "${folder}" ${words}; choose another with -o`;
    throw new OutputError(`Cannot write "${out}": ${why}`);
  }
  let stat;
  try {
    stat = lstatSync(out);
  } catch {
    return () => {};
  }
  if (!stat.isFile() || (stat.size > 0 && !isRecording(out))) {
    throw new OutputError(`Cannot write "${out}": it is there and is not a recording; choose another name with -o`);
  }
  // Out of sight: a run may take hours. Short, as the name itself may be as long as names can be.
  const kept = join(folder, `.heaptap-${crypto.randomUUID()}.heaptap`);
  renameSync(out, kept);
  return () => existsSync(out) ? unlinkSync(kept) : renameSync(kept, out);
}
