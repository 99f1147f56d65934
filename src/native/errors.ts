/** Why the library cannot make a recording, by the kernel's numbers of errors. */

const ERRORS: Readonly<Record<number, string>> = {
  2: "the folder is not there",
  13: "permission denied",
  12: "there is not enough memory for the recording's table; use fewer buckets",
  17: "a thousand recordings of that name are there",
  20: "a part of the path is not a folder",
  27: "the file size limit (ulimit -f) is below the recording's size; use fewer buckets",
  28: "the file system has no room for the recording",
  30: "the file system is read-only",
  38: "the kernel is too old (MADV_WIPEONFORK came with Linux 4.14)",
};

/** Why, in words. */
export function whyNotMade(error: number): string {
  return ERRORS[error] ?? `error ${error}`;
}
