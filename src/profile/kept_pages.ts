/** The heap's pages of a moment of a run, as they stand behind a recording: gzipped JSON. */
import { zlib } from "../file/builtin.ts";
import type { PageUse, PinnedPath } from "../memory/pages.ts";

/** Call paths that are kept, those with the largest share. */
const MOST = 1000;
/** Bytes of it, unpacked. */
const LONGEST = 2 ** 24;

/** What is kept of the heap's pages. */
export function packPages(pages: PageUse): Uint8Array {
  return zlib().gzipSync(JSON.stringify({ ...pages, paths: pages.paths.slice(0, MOST) }));
}

const PATH_FIELDS = ["id", "alone", "share", "live", "blocks", "oldBlocks"] as const;

/** Reads them; undefined of what is damaged, or was just being written. */
export function unpackPages(packed: Uint8Array | undefined): PageUse | undefined {
  if (!packed) return undefined;
  try {
    const json = JSON.parse(new TextDecoder().decode(zlib().gunzipSync(packed, { maxOutputLength: LONGEST })));
    const n = (value: unknown): number => {
      if (typeof value !== "number" || !Number.isFinite(value)) throw new TypeError("damaged");
      return value;
    };
    const paths = (json.paths as Record<string, unknown>[]).map((path) =>
      Object.fromEntries(PATH_FIELDS.map((field) => [field, n(path[field])])) as unknown as PinnedPath
    );
    return {
      ...{ pid: n(json.pid), seconds: n(json.seconds), interval: undefined, paths },
      ...{ resident: n(json.resident), inUse: n(json.inUse), beside: n(json.beside), empty: n(json.empty) },
      before: json.before && { inUse: n(json.before.inUse), share: n(json.before.share) },
      trimmable: json.trimmable === undefined ? undefined : n(json.trimmable),
      fullness: (json.fullness as unknown[]).map(n),
      uppermost: json.uppermost && { id: n(json.uppermost.id), emptyBelow: n(json.uppermost.emptyBelow) },
    };
  } catch {
    return undefined;
  }
}
