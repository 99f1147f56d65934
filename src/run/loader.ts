/** Programs that are started by the dynamic linker itself: `ld-linux-x86-64.so.2 [options] PROGRAM [args…]`. */

/** Its options that take a value. */
const VALUES = new Set([
  "--library-path",
  "--inhibit-rpath",
  "--audit",
  "--preload",
  "--argv0",
  "--glibc-hwcaps-mask",
  "--glibc-hwcaps-prepend",
]);

/** Its options that start nothing. */
const ONLY_TELLS = new Set([
  "--list",
  "--verify",
  "--help",
  "--version",
  "--list-tunables",
  "--list-diagnostics",
]);

/** What the dynamic linker was told to do. */
export interface LoaderCall {
  /** The program, undefined where there is none. */
  readonly program: string | undefined;
  /** The option that only tells something, where there is one: nothing is started then. */
  readonly tells: string | undefined;
  /** Folders that it looks for libraries in first. */
  readonly folders: readonly string[];
}

/** Reads the dynamic linker's arguments. */
export function readLoaderCall(args: readonly string[]): LoaderCall {
  let tells: string | undefined;
  let folders: string[] = [];
  let at = 0;
  for (; at < args.length && args[at]?.startsWith("--"); at++) {
    const [option = "", value = args[at + 1] ?? ""] = args[at]?.split(/=(.*)/s) ?? [];
    if (ONLY_TELLS.has(option)) tells = option;
    if (option === "--library-path") folders = value.split(":");
    if (VALUES.has(option) && !args[at]?.includes("=")) at++;
  }
  return { program: args[at], tells, folders };
}
