/**
 * How processes end that are not this one's children: the kernel tells it by a descriptor that was opened while they
 * lived, after their parent has been told (Linux 6.15). Nothing of the processes changes by it.
 */
import { mayOpenLibraries, openLibrary } from "./ffi.ts";

const SYS_PIDFD_OPEN = 434;
const PIDFD_GET_INFO = 0xc040ff0b;
const INFO_SIZE = 64;
const INFO_EXIT = 8;
const STATUS_AT = 60;

/** Descriptors that are kept at most: a build has more processes than anyone asks about. */
const MOST = 500;

/** How a process ended. */
export interface Ending {
  readonly code: number;
  readonly signal: number;
}

const SIGNATURES = {
  syscall: [["u32", "u32", "u32"], "i32"],
  ioctl: [["u32", "u32", "buffer"], "i32"],
  close: [["u32"], "i32"],
} as const;

function openC() {
  try {
    return mayOpenLibraries() ? openLibrary("libc.so.6", SIGNATURES).functions : undefined;
  } catch {
    return undefined;
  }
}

/** Waits for the ends of processes without being their parent. */
export class Endings {
  /** Opened when it is needed: a short program has ended by then. */
  #c: ReturnType<typeof openC> | null = null;
  readonly #open = new Map<number, number>();

  /** Begins to wait for a process that lives. */
  watch(pid: number): void {
    if (this.#open.has(pid) || this.#open.size >= MOST) return;
    if (this.#c === null) this.#c = openC();
    if (!this.#c) return;
    const fd = Number(this.#c.syscall(SYS_PIDFD_OPEN, pid, 0));
    if (fd >= 0) this.#open.set(pid, fd);
  }

  /** How those ended that have, and whose parents know it; closes the descriptors. */
  take(): Map<number, Ending> {
    const found = new Map<number, Ending>();
    for (const [pid, fd] of this.#open) {
      const info = new DataView(new ArrayBuffer(INFO_SIZE));
      info.setUint32(0, INFO_EXIT, true);
      // An older kernel says nothing here, and sets no bit.
      const told = Number(this.#c?.ioctl(fd, PIDFD_GET_INFO, new Uint8Array(info.buffer))) === 0;
      const status = info.getUint32(STATUS_AT, true);
      if (told && (info.getUint32(0, true) & INFO_EXIT) !== 0) {
        found.set(pid, { code: (status >>> 8) & 0xff, signal: status & 0x7f });
      }
      this.#c?.close(fd);
    }
    this.#open.clear();
    return found;
  }
}
