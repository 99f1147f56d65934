/** `heaptap lib`: where the library is. */
import { headerFolder, libraryPath } from "../native/build.ts";
import { put } from "./terminal.ts";

/** Prints the library's path, or the folder of its header. */
export function lib(options: { include?: true | undefined }): void {
  put(`${options.include ? headerFolder() : libraryPath()}\n`, "-", 1);
}
