/** Function names as people read them, and as runs are compared by. */

/** A function's name to read, and what it is known by in another build of the program. */
export interface ReadableName {
  /** To read. */
  readonly name: string;
  /** To compare by: the same for two builds of one source. */
  readonly key: string;
}

/** What becomes of a name that a symboliser gave, demangled or not. */
export function readableName(raw: string): ReadableName {
  return { name: raw, key: raw.replace(/\.(isra|part|constprop|cold|lto_priv)(\.\d+)?/g, "") };
}
