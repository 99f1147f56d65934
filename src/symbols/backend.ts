/**
 * The tools that turn addresses into names: one interface, three implementations that keep a process
 * up and talk to it in batches, and the symbol tables for when there is none.
 */
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { findInPath } from "../native/build.ts";
import { readElf, symbolAt } from "./elf.ts";
import type { ElfSymbol } from "./elf.ts";

/** One name for an address; an address inside inlined code has several, innermost first. */
export interface Name {
  /** Demangled, "" when unknown. */
  readonly function: string;
  /** Source file, "" when unknown. */
  readonly file: string;
  /** Line, 0 when unknown. */
  readonly line: number;
  /** Whether this function's body was inlined into the next one. */
  readonly inlined: boolean;
}

/** Turns addresses of one ELF file into names. */
export interface Backend {
  /** What does the work, for `heaptap doctor`. */
  readonly name: string;
  /** Names of each address, in order; an unknown one gives an empty list. Rejects when the tool fails. */
  lookup(file: string, addresses: readonly number[]): Promise<Name[][]>;
  /** Ends the processes. */
  close(): void;
}

/** Addresses that are sent before their answers are read, so that no pipe fills up. */
const BATCH = 256;

/** A tool that answers lines with lines. */
class LineTool {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, LD_PRELOAD: "" } });
    // A tool that dies makes the next read fail; that is the one place where it is told.
    this.#child.on("error", () => this.#end());
    this.#child.stdin.on("error", () => this.#end());
    const reader = createInterface({ input: this.#child.stdout });
    reader.on("line", (line: string) => {
      this.#lines.push(line);
      this.#wake?.();
    });
    reader.on("close", () => this.#end());
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  send(text: string): void {
    if (!this.#ended) this.#child.stdin.write(text);
  }

  async line(): Promise<string> {
    while (this.#lines.length === 0) {
      if (this.#ended) throw new Error("the symboliser ended before it had answered");
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = undefined;
    }
    return this.#lines.shift() as string;
  }

  close(): void {
    this.#child.stdin.end();
    this.#child.kill();
  }
}

function* batches(addresses: readonly number[]): Generator<readonly number[]> {
  for (let i = 0; i < addresses.length; i += BATCH) yield addresses.slice(i, i + BATCH);
}

interface LlvmAnswer {
  readonly Symbol?: readonly { FunctionName: string; FileName: string; Line: number }[];
}

/** llvm-symbolizer: one process for all files. */
class LlvmSymbolizer implements Backend {
  readonly name: string;
  readonly #tool: LineTool;

  constructor(command: string) {
    this.name = command;
    this.#tool = new LineTool(command, ["--output-style=JSON", "--inlines", "--demangle"]);
  }

  async lookup(file: string, addresses: readonly number[]): Promise<Name[][]> {
    // Quotes and line ends would end the name; no such file is asked for.
    if (/["\n\r]/.test(file)) return addresses.map(() => []);
    const found: Name[][] = [];
    for (const batch of batches(addresses)) {
      this.#tool.send(batch.map((a) => `CODE "${file}" 0x${a.toString(16)}\n`).join(""));
      for (let i = 0; i < batch.length; i++) {
        const answer = JSON.parse(await this.#tool.line()) as LlvmAnswer;
        const symbols = (answer.Symbol ?? []).filter((s) => s.FunctionName || s.FileName);
        found.push(symbols.map((s, j) => ({
          function: s.FunctionName,
          file: s.FileName,
          line: s.Line,
          inlined: j < symbols.length - 1,
        })));
      }
    }
    return found;
  }

  close(): void {
    this.#tool.close();
  }
}

/** addr2line of binutils or elfutils: one process a file. */
class AddressToLine implements Backend {
  readonly name: string;
  readonly #tools = new Map<string, LineTool>();

  constructor(command: string) {
    this.name = command;
  }

  async lookup(file: string, addresses: readonly number[]): Promise<Name[][]> {
    let tool = this.#tools.get(file);
    if (!tool) this.#tools.set(file, tool = new LineTool(this.name, ["-a", "-i", "-f", "-C", "-e", file]));
    const found: Name[][] = [];
    for (const batch of batches(addresses)) {
      // An answer ends where the next one's address stands; a last address of no function ends the last.
      tool.send([...batch, 0].map((a) => `0x${a.toString(16)}\n`).join(""));
      let line = await tool.line();
      for (const _ of batch) {
        const names: Name[] = [];
        line = await tool.line();
        while (!line.startsWith("0x")) {
          names.push(parseAddressToLine(line, await tool.line()));
          line = await tool.line();
        }
        const known = names.filter((n) => n.function || n.file);
        found.push(known.map((n, i) => ({ ...n, inlined: i < known.length - 1 })));
      }
      // The rest of the last address' answer: one function, one place.
      await tool.line();
      await tool.line();
    }
    return found;
  }

  close(): void {
    for (const tool of this.#tools.values()) tool.close();
  }
}

function parseAddressToLine(name: string, place: string): Name {
  const [, file = "", line = "0"] = place.match(/^(.*?):(\d+|\?)(?::\d+)?(?: .*)?$/) ?? [];
  const unknown = file === "" || file === "??";
  return {
    // eu-addr2line says "f inlined at file:line in caller".
    function: name === "??" ? "" : name.replace(/ inlined at .*$/, ""),
    file: unknown ? "" : file,
    line: unknown ? 0 : Number(line) || 0,
    inlined: false,
  };
}

/** The ELF symbol tables alone: functions, no lines, no inlining. */
export class SymbolTables implements Backend {
  readonly name = "the ELF symbol tables";
  readonly #tables = new Map<string, ElfSymbol[]>();

  #symbols(file: string): ElfSymbol[] {
    let symbols = this.#tables.get(file);
    if (symbols) return symbols;
    try {
      symbols = readElf(file)?.symbols() ?? [];
    } catch {
      symbols = []; // gone or unreadable: its frames stay addresses
    }
    this.#tables.set(file, symbols);
    return symbols;
  }

  lookup(file: string, addresses: readonly number[]): Promise<Name[][]> {
    const symbols = this.#symbols(file);
    return Promise.resolve(addresses.map((address) => {
      const symbol = symbolAt(symbols, address);
      return symbol ? [{ function: symbol.name, file: "", line: 0, inlined: false }] : [];
    }));
  }

  close(): void {}
}

/** The tools in order of preference. Any LLVM version will do; Debian numbers them. */
const TOOLS: readonly [name: string, make: (command: string) => Backend][] = [
  ...["llvm-symbolizer", ...Array.from({ length: 12 }, (_, i) => `llvm-symbolizer-${24 - i}`)].map((name) =>
    [name, (command: string): Backend => new LlvmSymbolizer(command)] as [string, (command: string) => Backend]
  ),
  ["eu-addr2line", (command) => new AddressToLine(command)],
  ["addr2line", (command) => new AddressToLine(command)],
];

/** Path of the symboliser that would be used; undefined when there are only symbol tables. */
export function findSymboliser(): string | undefined {
  for (const [name] of TOOLS) {
    const command = findInPath(name);
    if (command) return command;
  }
  return undefined;
}

/** Starts the best symboliser that is there; `wanted` names one (for tests and `--symboliser`). */
export function openBackend(wanted?: string): Backend {
  for (const [name, make] of TOOLS) {
    if (wanted !== undefined && wanted !== name) continue;
    const command = findInPath(name);
    if (command) return make(command);
  }
  return new SymbolTables();
}
