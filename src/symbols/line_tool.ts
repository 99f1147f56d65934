/** A process that answers lines with lines. */
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import process from "node:process";
import type { Readable, Writable } from "node:stream";

/** A tool did not do what it is there for: it ended, was silent for too long, or said what makes no sense. */
export class ToolError extends Error {
  override name = "ToolError";
}

/** See the file's head. */
export class LineTool {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: string[] = [];
  #next = 0;
  #wake: (() => void) | undefined;
  #ended = false;
  #error: Error = new ToolError("it ended before it had answered");

  constructor(command: string, args: readonly string[]) {
    const env: NodeJS.ProcessEnv = { ...process.env, LD_PRELOAD: "" };
    // What is fetched, from where and for how long, is decided here and not by each tool.
    delete env.DEBUGINFOD_URLS;
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"], env });
    // A tool that dies makes the next read fail; that is the one place where it is told.
    this.#child.on("error", (error) => {
      this.#error = error;
      this.#end();
    });
    this.#child.stdin.on("error", () => this.#end());
    let begun = "";
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = text.split(/\r?\n/);
      lines[0] = begun + lines[0];
      begun = lines.pop() ?? "";
      this.#lines.push(...lines);
      if (lines.length > 0) this.#wake?.();
    });
    this.#child.stdout.on("close", () => {
      if (begun) this.#lines.push(begun);
      this.#end();
    });
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  send(text: string): void {
    if (!this.#ended) this.#child.stdin.write(text);
  }

  /** The next line; one that does not come within so many milliseconds will not come. */
  async line(patience: number): Promise<string> {
    if (this.#next === this.#lines.length) {
      this.#lines.length = this.#next = 0;
      if (this.#ended) throw this.#error;
      const timedOut = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(true), patience);
        this.#wake = () => (clearTimeout(timer), resolve(false));
      });
      this.#wake = undefined;
      if (timedOut) throw new ToolError(`it gave no answer for ${Math.round(patience / 1000)} s`);
      return await this.line(patience);
    }
    return this.#lines[this.#next++] as string;
  }

  close(): void {
    this.#child.stdin.end();
    // One that hangs may not hear anything milder.
    this.#child.kill("SIGKILL");
  }
}
