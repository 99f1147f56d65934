/** Which C library a process has, from its mappings (`/proc/PID/maps`). */

/** Whether it is musl: its one file is the dynamic linker, or a link to the C library that has no version in its name. */
export function isMusl(maps: string): boolean {
  return /\/(?:ld-musl-[^/\n]*|libc\.musl-[^/\n]*|libc\.so)(?: \(deleted\))?$/m.test(maps);
}
