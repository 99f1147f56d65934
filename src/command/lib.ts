/** `heaptap lib`: where the library is. */
import process from "node:process";
import { headerFolder, libraryPath } from "../native/build.ts";
import { put } from "./terminal.ts";

/** Prints the library's path, or the folder of its header. */
export async function lib(options: { include?: true | undefined }): Promise<void> {
  await put(`${options.include ? headerFolder() : libraryPath()}\n`, "-", process.stdout);
}
