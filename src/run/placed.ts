/**
 * Files that a process is to find which sees others than this one: in a container, or as another user. They lie in a folder of its
 * own, in a place for what is of the moment, and are taken away again.
 */
import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Attachable } from "./attachable.ts";
import { refuseToAttach } from "./attachable.ts";

/** A folder by both paths. */
export interface PlacedFolder {
  /** As the process finds it. */
  readonly there: string;
  /** As this one does, while the process lives. */
  readonly here: string;
}

const PLACES = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

/** The places that a process may have for such a folder, as this one finds them. */
export function* places({ pid, sharesFiles }: Attachable): Generator<PlacedFolder> {
  for (const there of PLACES) yield { there, here: sharesFiles ? there : join(`/proc/${pid}/root`, there) };
}

/** Makes a folder there that the process may write in, with a copy of the library; undefined where that cannot be. */
export function placeIn(at: PlacedFolder, { uid, gid }: Attachable, library: string): PlacedFolder | undefined {
  let here;
  try {
    here = mkdtempSync(join(at.here, ".heaptap-"));
  } catch {
    return undefined;
  }
  try {
    copyFileSync(library, join(here, LIBRARY));
    chmodSync(join(here, LIBRARY), 0o755);
    chownSync(here, uid, gid);
    return { there: join(at.there, here.slice(here.lastIndexOf("/"))), here };
  } catch {
    rmSync(here, { recursive: true, force: true });
    return undefined;
  }
}

/** What the library is called there. */
export const LIBRARY = "libheaptap.so";

/** Ends with that there is no place. */
export function refusePlace({ pid }: Attachable, why: string): never {
  refuseToAttach(
    pid,
    `it finds no place for the library, of ${PLACES.join(", ")}: ${why || "none can be written, or has room"}`,
  );
}
