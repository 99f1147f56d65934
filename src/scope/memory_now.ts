/** Where the memory of this process is. */
import { readMemory } from "../file/reader.ts";
import { accountNow } from "../profile/memory.ts";
import type { MomentAccount } from "../profile/memory.ts";
import { readOwnMoment } from "../profile/read.ts";
import { own } from "./install.ts";

/**
 * The account of this process's resident memory at this moment: what of it is live blocks of native code, free in the allocator, with the
 * runtime's blocks from before `install()`, stacks, files; what the runtime has for JavaScript, and other memory that is mapped past malloc, is `other`. It reads `/proc/self` for some tens of
 * milliseconds, for which the event loop waits.
 *
 * @throws {LibraryError} when the library cannot be installed.
 * @throws {MemoryError} when this process may not look at itself; Deno wants `--allow-all` for files of `/proc`.
 *
 * @example
 * ```ts
 * import { install, memoryNow } from "./mod.ts";
 *
 * install();
 * const { resident, live, allocatorFree, other } = memoryNow();
 * console.log(`${resident} bytes: ${live} live, ${allocatorFree} free in the allocator, ${other} JavaScript's and others'`);
 * ```
 */
export function memoryNow(): MomentAccount {
  return own(({ memory }) => accountNow(readMemory(memory, ["strings"]), readOwnMoment(memory).totals.liveBytes));
}
