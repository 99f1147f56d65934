/**
 * Files that a process is to find which sees others than this one: in a container, or as another user. They lie in a folder of its
 * own, in a place for what is of the moment, and are taken away again.
 *
 * The place is held open from the first: who is root in a container may change what a path there leads to, and when its last process has ended
 * there is no path any more.
 */
import * as fs from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { writeWhole } from "../file/whole_file.ts";
import { refuseToAttach } from "./attachable.ts";
import type { Attachable } from "./attachable.ts";

const PLACES = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

/** What the library is called there. */
export const LIBRARY = "libheaptap.so";

const FOLDER = fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW;
const pathOf = (fd: number) => `/proc/${process.pid}/fd/${fd}`;

/** A folder that the process may write in, with a copy of the library. */
export class PlacedFolder implements Disposable {
  /** As the process finds it. */
  readonly there: string;
  /** As this one does. */
  readonly here: string;
  readonly #place: number;
  readonly #folder: number;

  private constructor(there: string, place: number, folder: number) {
    this.there = there;
    this.#place = place;
    this.#folder = folder;
    this.here = pathOf(folder);
  }

  /** Makes one in a place; undefined where that cannot be. */
  static make(place: string, { pid, uid, gid, sharesFiles }: Attachable, library: string): PlacedFolder | undefined {
    let at: number | undefined, name: string | undefined, folder: number | undefined;
    try {
      at = fs.openSync(sharesFiles ? place : join(`/proc/${pid}/root`, place), FOLDER);
      name = basename(fs.mkdtempSync(join(pathOf(at), ".heaptap-")));
      folder = fs.openSync(join(pathOf(at), name), FOLDER);
      const content = fs.readFileSync(library);
      writeWhole(join(pathOf(folder), LIBRARY), (fd) => fs.writeFileSync(fd, content), { mode: 0o755, isOurs: true });
      giveTo(folder, uid, gid);
      return new PlacedFolder(join(place, name), at, folder);
    } catch {
      if (at !== undefined && name !== undefined) fs.rmSync(join(pathOf(at), name), { recursive: true, force: true });
      for (const fd of [folder, at]) if (fd !== undefined) fs.closeSync(fd);
      return undefined;
    }
  }

  /** Takes the library away: the process has it open. */
  forgetLibrary(): void {
    fs.rmSync(join(this.here, LIBRARY), { force: true });
  }

  /** Takes all of it away. */
  [Symbol.dispose](): void {
    fs.rmSync(join(pathOf(this.#place), basename(this.there)), { recursive: true, force: true });
    for (const fd of [this.#folder, this.#place]) fs.closeSync(fd);
  }
}

/** Gives an open folder to a user. */
function giveTo(fd: number, uid: number, gid: number): void {
  // Older Denos have no such function.
  const { fchownSync } = fs as Partial<typeof fs>;
  if (fchownSync) fchownSync(fd, uid, gid);
  else fs.chownSync(pathOf(fd), uid, gid);
}

/** Makes a folder in the first place where that can be, and has it used; in the next when what is done there gives undefined. */
export async function inSomePlace<T>(
  of: Attachable,
  library: string,
  use: (folder: PlacedFolder) => Promise<T | string>,
): Promise<T> {
  let why = "none can be written, or has room";
  for (const place of PLACES) {
    const folder = PlacedFolder.make(place, of, library);
    if (!folder) continue;
    try {
      const made = await use(folder);
      if (typeof made !== "string") return made;
      why = made;
    } catch (error) {
      folder[Symbol.dispose]();
      throw error;
    }
    folder[Symbol.dispose]();
  }
  return refuseToAttach(of.pid, `it finds no place for the library, of ${PLACES.join(", ")}: ${why}`);
}
