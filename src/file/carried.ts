/**
 * The files of heaptap that a program of one file has in it (`tools/compile.ts`). This process reads them where they are; for others they are
 * written into the cache folder, and held against those in the program whenever they are asked for: nothing that lies there is believed.
 */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cacheFolder, makeFolder } from "./folder.ts";
import { writeWhole } from "./whole_file.ts";

/** What a program has in it. */
export interface Carried {
  /** Says which files these are: others have another. */
  readonly key: string;
  /** The folder that this process alone can read them in. */
  readonly folder: string;
}

/** Which of its folders has what is compiled. */
const COMPILED = "library";

let carried: Carried | undefined;

/** Says that this program has heaptap's files in it; before anything asks for them. */
export function carryFiles(files: Carried): void {
  carried = files;
}

/** A folder of them for this process to read; undefined in other programs, as of the others here. */
export function carriedFolder(path: string): string | undefined {
  return carried && join(carried.folder, path);
}

/** Where a folder of them is for other processes, once it has been asked for. */
export function sharedPlace(path: string): string | undefined {
  return carried && join(cacheFolder(), `carried-${carried.key}`, path);
}

/** A folder of them for other processes to read. Throws what the file system throws. */
export function sharedFolder(path: string): string | undefined {
  const [from, to] = [carriedFolder(path), sharedPlace(path)];
  if (from === undefined || to === undefined) return undefined;
  for (const name of readdirSync(from, { recursive: true, encoding: "utf8" })) {
    const [source, target] = [join(from, name), join(to, name)];
    if (!statSync(source).isFile()) continue;
    const content = readFileSync(source);
    if (existsSync(target) && content.equals(readFileSync(target))) continue;
    makeFolder(dirname(target));
    writeWhole(target, (fd) => writeFileSync(fd, content), { mode: path === COMPILED ? 0o755 : 0o644, isOurs: true });
  }
  return to;
}
