/** Files that root makes for whoever called sudo: they are to be that user's, who is to read them. */
import * as fs from "node:fs";
import process from "node:process";

/** Who called sudo; undefined where nobody did. */
export function sudoUser(): { readonly uid: number; readonly gid: number; readonly name: string } | undefined {
  const { SUDO_UID = "", SUDO_GID = "", SUDO_USER = "" } = process.env;
  if (process.getuid?.() !== 0 || !/^\d{1,10}$/.test(SUDO_UID) || Number(SUDO_UID) === 0) return undefined;
  const [uid, gid] = [Number(SUDO_UID), Number(/^\d{1,10}$/.test(SUDO_GID) ? SUDO_GID : SUDO_UID)];
  return { uid, gid, name: SUDO_USER || SUDO_UID };
}

/** Gives an open file that this process has just made to that user. By its descriptor: a path may lead elsewhere by now. */
export function handBack(fd: number): void {
  const user = sudoUser();
  // Older Denos have no such function; the file stays root's.
  const { fchownSync } = fs as Partial<typeof fs>;
  if (!user || !fchownSync) return;
  try {
    fchownSync(fd, user.uid, user.gid);
  } catch {
    // A file system without owners.
  }
}

/** The same of a recording that a program of root's has made; whether it is that user's now. Nothing else than a recording is given away. */
export function handBackRecording(path: string, isRecording: (head: Uint8Array) => boolean): boolean {
  if (!sudoUser()) return false;
  let fd: number;
  try {
    fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  } catch {
    return false;
  }
  try {
    const head = new Uint8Array(16);
    fs.readSync(fd, head, 0, head.length, 0);
    const stat = fs.fstatSync(fd);
    if (!stat.isFile() || stat.nlink !== 1 || stat.uid !== 0 || !isRecording(head)) return false;
    handBack(fd);
    return fs.fstatSync(fd).uid !== 0;
  } finally {
    fs.closeSync(fd);
  }
}
