/** A folder of this user's own, for files that other tools are to read under a plain name. It goes away with the process. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** What a tool's line protocol cannot carry in a file's name, and what would be read as an option. */
const AWKWARD = /["\\\p{Cc}]|^-/u;

/** The shell's own way to write any byte. */
function octal(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
}

/** See the file's head. */
export class PrivateFolder {
  readonly #links = new Map<string, string>();
  readonly #remove = () => this[Symbol.dispose]();
  #path: string | undefined;
  #used = 0;

  /** A path in the folder that nothing stands at yet. */
  place(name: string): string {
    if (this.#path === undefined) {
      this.#path = mkdtempSync(join(tmpdir(), "heaptap-names-"));
      process.once("exit", this.#remove);
    }
    return join(this.#path, `${this.#used++}-${name.replace(/[^\w.+-]/g, "_")}`);
  }

  /**
   * The path, or, when it has characters that tools trip over, a link to it that has none. `bytes` is the path as the
   * system has it where it is not UTF-8, which neither runtime can open. Throws what the file system throws.
   */
  plain(path: string, bytes?: Uint8Array): string {
    if (!bytes && !AWKWARD.test(path)) return path;
    const key = bytes ? octal(bytes) : path;
    let link = this.#links.get(key);
    if (link !== undefined) return link;
    link = this.place(path.replace(/^.*\//s, ""));
    if (bytes) linkBytes(key, link);
    else symlinkSync(path, link);
    if (!existsSync(link)) throw Object.assign(new Error(`ENOENT: "${path}" is not there`), { code: "ENOENT" });
    // Split debug information in one package lies beside its program.
    if (!bytes && existsSync(`${path}.dwp`)) symlinkSync(`${path}.dwp`, `${link}.dwp`);
    this.#links.set(key, link);
    return link;
  }

  /** Removes it. */
  [Symbol.dispose](): void {
    process.off("exit", this.#remove);
    if (this.#path !== undefined) rmSync(this.#path, { recursive: true, force: true });
    this.#path = undefined;
    this.#links.clear();
  }
}

/** Arguments of a process are text here; the shell makes bytes of digits. */
function linkBytes(digits: string, link: string): void {
  const script = `path=$(printf '%b.' "$1") && ln -s -- "\${path%.}" "$2"`;
  const made = spawnSync("sh", ["-c", script, "sh", digits, link], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, LC_ALL: "C" },
  });
  if (made.status !== 0) throw made.error ?? new Error(made.stderr?.trim() || "no shell could make a link to it");
}
