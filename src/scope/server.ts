/** A process's own memory behind addresses of its server: reports, profiles for pprof, marks, metrics. */
import { Buffer } from "node:buffer";
import { exportProfile } from "../export/formats.ts";
import { htmlReport } from "../export/html.ts";
import { METRICS_TYPE } from "../export/metrics_text.ts";
import { isSame } from "../file/secrets.ts";
import { printable } from "../profile/format.ts";
import type { SortBy } from "../profile/select.ts";
import { backtraceReport } from "./backtraces.ts";
import type { BacktraceMode } from "./backtraces.ts";
import { counters } from "./counters.ts";
import { growth } from "./growth.ts";
import { install, own } from "./install.ts";
import { openMetrics } from "./open_metrics.ts";
import { checkOptions } from "./options.ts";
import { profileNow } from "./own_profile.ts";
import type { Session } from "./session.ts";
import { mark } from "./sites.ts";
import type { Mark, SiteOptions } from "./sites.ts";
import { threadReport } from "./threads.ts";

/** Options of {@linkcode heapHandler}. */
export interface HeapHandlerOptions {
  /** The path that everything lies below: `/debug/heap`; `/` when left out. */
  readonly path?: string | undefined;
  /** A secret that each request must bring, as `?token=` or `Authorization: Bearer`. */
  readonly token?: string | undefined;
  /** Whether to answer requests from elsewhere than this machine; take a token then. */
  readonly anywhere?: boolean | undefined;
  /** A session whose operations are in the metrics. */
  readonly session?: Session | undefined;
}

/** Answers a request. What a server passes beside it may tell where it comes from: Deno's `info`, Bun's `server`. */
export type HeapHandler = (request: Request, from?: unknown) => Promise<Response>;

/** A mistake of whoever asks, with what to do about it. */
class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Marks that are kept: each has a figure of every call path. The oldest go. */
const MOST_MARKS = 20;
/** Call paths of a page, and of a profile, when nothing else is said: more would keep the server from its work. */
const [PAGE_PATHS, PROFILE_PATHS] = [1000, 10_000];

const PAGES = [
  ["", "the HTML report of this moment; limit=, since=MARK"],
  [
    "report.txt",
    "call paths; limit=, filter= (a regular expression for functions), module=, sort-by=, mode=, operation=, since=MARK",
  ],
  ["mark/NAME", "keep this moment under a name"],
  ["since/NAME", "what came after it, by what is in use"],
  ["growth", "what grew between all marks, and since"],
  ["pprof/heap", "for go tool pprof: what is in use; limit=, since=MARK"],
  ["pprof/allocs", "the same: what was allocated"],
  ["threads", "threads"],
  ["counters", "figures of the process, as JSON"],
  ["metrics", "figures as OpenMetrics"],
] as const;

/**
 * One handler for `Deno.serve`, `Bun.serve`, Hono and, with {@linkcode nodeListener}, Node's http: the HTML report, reports as text,
 * marks, what grew between them, profiles for `go tool pprof`, OpenMetrics. Answers this machine only unless it is told otherwise.
 * Addresses below its path that it does not have are answered with a list of those that it has.
 *
 * @throws {LibraryError} when the library cannot be installed.
 * @throws {TypeError} when an option is none.
 *
 * @example
 * ```ts
 * import { heapHandler } from "./mod.ts";
 *
 * const heap = heapHandler({ path: "/debug/heap" });
 * // In a server's fetch: if (new URL(request.url).pathname.startsWith("/debug/heap")) return heap(request, info);
 * const response = await heap(new Request("http://localhost/debug/heap/report.txt?limit=3"));
 * console.log(response.status, await response.text());
 * ```
 */
export function heapHandler(options: HeapHandlerOptions = {}): HeapHandler {
  checkOptions("heapHandler", options, ["path", "token", "anywhere", "session"]);
  if (!/^[\w/.~%-]*$/.test(options.path ?? "")) {
    throw new TypeError(`Cannot answer below "${options.path}": a path is letters, digits and / . _ ~ % -`);
  }
  if (options.token === "") throw new TypeError("Cannot take an empty token: it would let everybody in");
  install();
  const base = `/${options.path ?? ""}/`.replace(/\/+/g, "/");
  const marks = new Map<string, Mark>();
  return async (request, from) => {
    try {
      const url = new URL(request.url);
      checkAccess(request, url, from, options);
      const below = `${url.pathname}/`.startsWith(base) ? url.pathname.slice(base.length) : undefined;
      if (below === undefined) throw new Refusal(404, `There is nothing at ${url.pathname}: all lies below ${base}`);
      const response = await answer(below, url.searchParams, request.method, marks, options);
      response.headers.set("cache-control", "no-store");
      return response;
    } catch (error) {
      // A mistake in the query is the caller's; the server goes on.
      const status = error instanceof Refusal
        ? error.status
        : error instanceof RangeError || error instanceof TypeError
        ? 400
        : 500;
      return text(`${(error as Error).message.split("\n").map(printable).join("\n")}\n`, status);
    }
  };
}

function text(body: string, status = 200): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  });
}

async function answer(
  path: string,
  query: URLSearchParams,
  method: string,
  marks: Map<string, Mark>,
  { session }: HeapHandlerOptions,
): Promise<Response> {
  const [page = "", name = "", ...rest] = path.split("/").map(decoded);
  checkQuery(query);
  if (method !== "GET" && method !== "HEAD" && !(method === "POST" && page === "mark")) {
    throw new Refusal(405, `Cannot answer ${method}: pages are read with GET`);
  }
  if (rest.length === 0) {
    switch (name === "" ? page : `${page}/${page === "pprof" ? name : "NAME"}`) {
      case "":
        return await htmlPage(query, marks);
      case "report.txt":
        return text(String(await backtraceReport(reportOptions(query, marks))));
      case "mark/NAME":
        setMark(marks, name);
        return text(`marked ${name}: since/${name} says what came after it\n`);
      case "since/NAME":
        query.set("since", name);
        if (!query.has("sort-by")) query.set("sort-by", "live");
        return text(String(await backtraceReport(reportOptions(query, marks))));
      case "growth":
        if (marks.size === 0) {
          throw new Refusal(400, "Nothing is marked: mark/NAME keeps this moment; come back after some work");
        }
        return text(String(await growth([...marks.values()], { limit: number(query, "limit", 20) })));
      case "pprof/heap":
        return await pprof(query, marks, "live");
      case "pprof/allocs":
        return await pprof(query, marks, "size");
      case "threads":
        return text(String(threadReport({ limit: number(query, "limit", 64) })));
      case "counters":
        return Response.json(counters());
      case "metrics":
        return new Response(openMetrics(session), { headers: { "content-type": METRICS_TYPE } });
    }
  }
  const lines = PAGES.map(([page, what]) => `  ${(page || "(this path)").padEnd(14)} ${what}`);
  throw new Refusal(404, `There is no page "${path}"; there are\n${lines.join("\n")}`);
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refusal(400, `Cannot read "${part.slice(0, 100)}": its % signs make no text`);
  }
}

/** What a query may name. */
const QUERY = ["limit", "sort-by", "mode", "filter", "module", "operation", "since", "token"];

function checkQuery(query: URLSearchParams): void {
  for (const name of query.keys()) {
    if (!QUERY.includes(name)) throw new Refusal(400, `Cannot use ${name}=: a page takes ${QUERY.join(", ")}`);
  }
}

/** A figure of the query, checked: what comes from outside is not to be trusted. */
function number(query: URLSearchParams, name: string, otherwise: number): number {
  const value = Number(query.get(name) ?? otherwise);
  if (!Number.isInteger(value) || value < 0) {
    throw new Refusal(400, `Cannot use ${name}=${query.get(name)}: it takes a whole number, 0 for all`);
  }
  return value;
}

function pattern(query: URLSearchParams, name: string): RegExp | undefined {
  const source = query.get(name);
  if (!source) return undefined;
  if (source.length > 200) throw new Refusal(400, `Cannot use ${name}: an expression of more than 200 characters`);
  try {
    return new RegExp(source);
  } catch (error) {
    throw new Refusal(400, `Cannot use ${name}=${source}: ${(error as Error).message}`);
  }
}

function markNamed(marks: ReadonlyMap<string, Mark>, name: string | null): Mark | undefined {
  if (name === null) return undefined;
  const known = marks.get(name);
  if (known) return known;
  const there = marks.size > 0 ? `; there are ${[...marks.keys()].join(", ")}` : "";
  throw new Refusal(404, `There is no mark "${name}"${there}. mark/${name} makes it`);
}

function setMark(marks: Map<string, Mark>, name: string): void {
  if (!/^[\w.-]{1,100}$/.test(name)) {
    throw new Refusal(400, `Cannot name a mark "${name.slice(0, 100)}": it takes letters, digits, "-", "_" and "."`);
  }
  marks.delete(name);
  marks.set(name, mark());
  for (const oldest of marks.keys()) {
    if (marks.size <= MOST_MARKS) break;
    marks.delete(oldest);
  }
}

/** What a query chooses. Names are refused where they are used. */
function siteOptions(query: URLSearchParams, marks: ReadonlyMap<string, Mark>, limit: number): SiteOptions {
  return {
    limit: number(query, "limit", limit),
    sortBy: (query.get("sort-by") ?? "live") as SortBy,
    since: markNamed(marks, query.get("since")),
    operation: query.get("operation") ?? undefined,
    functions: pattern(query, "filter"),
    modules: pattern(query, "module"),
  };
}

function reportOptions(query: URLSearchParams, marks: ReadonlyMap<string, Mark>) {
  return { ...siteOptions(query, marks, 20), mode: (query.get("mode") ?? "short") as BacktraceMode };
}

async function htmlPage(query: URLSearchParams, marks: ReadonlyMap<string, Mark>): Promise<Response> {
  const { profile, symbols } = await profileNow(siteOptions(query, marks, PAGE_PATHS));
  const page = own(() => htmlReport(profile, symbols, { view: "live" }));
  return new Response(page, {
    headers: { "content-type": "text/html; charset=utf-8", "x-content-type-options": "nosniff" },
  });
}

async function pprof(query: URLSearchParams, marks: ReadonlyMap<string, Mark>, sortBy: SortBy): Promise<Response> {
  const options = { ...siteOptions(query, marks, PROFILE_PATHS), sortBy };
  const { profile, symbols } = await profileNow(options);
  const view = sortBy === "live" ? "live" : "allocated";
  const body = own(() => exportProfile(profile, symbols, "pprof", { view }));
  return new Response(body as Uint8Array<ArrayBuffer>, {
    headers: { "content-type": "application/octet-stream", "content-disposition": `attachment; filename="heap.pb.gz"` },
  });
}

/** Names under which a machine knows itself. */
function isLoopback(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || host === "::1" || host === "[::1]" ||
    /^(?:::ffff:)?127\.\d+\.\d+\.\d+$/.test(host);
}

/** Where a request comes from, as far as the server tells: Deno's info, Bun's server, a Node socket. */
function addressOf(request: Request, from: unknown): string | undefined {
  const { remoteAddr, requestIP, remoteAddress } = (from ?? {}) as {
    remoteAddr?: { hostname?: string };
    requestIP?: (request: Request) => { address: string } | null;
    remoteAddress?: string;
  };
  if (typeof requestIP === "function") return requestIP.call(from, request)?.address;
  return remoteAddr?.hostname ?? remoteAddress;
}

/** Lets a request in, or says why not. A page elsewhere may have a name that leads to this machine: the name is looked at too. */
function checkAccess(request: Request, url: URL, from: unknown, { token, anywhere }: HeapHandlerOptions): void {
  if (token !== undefined) {
    const given = url.searchParams.get("token") ??
      /^Bearer (.*)$/.exec(request.headers.get("authorization") ?? "")?.[1];
    if (given === undefined || !isSame(given, token)) {
      throw new Refusal(401, "Cannot answer without the token: ?token=… or Authorization: Bearer …");
    }
  }
  if (!anywhere) {
    const address = addressOf(request, from);
    const isPassedOn = ["forwarded", "x-forwarded-for", "x-real-ip", "via"].some((name) => request.headers.has(name));
    if (isPassedOn || !isLoopback(url.hostname) || (address !== undefined && !isLoopback(address))) {
      throw new Refusal(
        403,
        "Cannot answer: this is for requests from the machine itself; heapHandler({ anywhere: true, token }) takes others",
      );
    }
  }
  const origin = request.headers.get("origin");
  if (origin !== null && origin !== url.origin) throw new Refusal(403, `Cannot answer a page of ${origin}`);
}

/** What is used of Node's `IncomingMessage`. */
export interface NodeRequest {
  /** GET or another. */
  readonly method?: string | undefined;
  /** Path and query. */
  readonly url?: string | undefined;
  /** Headers, by names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The connection. */
  readonly socket: { readonly remoteAddress?: string | undefined };
}
/** What is used of Node's `ServerResponse`. */
export interface NodeResponse {
  /** Begins the answer. */
  writeHead(status: number, headers: Record<string, string>): unknown;
  /** Ends it. */
  end(body: Uint8Array): unknown;
}

/**
 * A handler as Node's http wants it.
 *
 * @example
 * ```ts
 * import { createServer } from "node:http";
 * import { heapHandler, nodeListener } from "./mod.ts";
 *
 * const server = createServer(nodeListener(heapHandler()));
 * console.log(typeof server.listen); // server.listen(6060, "127.0.0.1")
 * ```
 */
export function nodeListener(handler: HeapHandler): (request: NodeRequest, response: NodeResponse) => Promise<void> {
  return async ({ method = "GET", url = "/", headers, socket }, response) => {
    const host = /^[\w.:[\]-]+$/.test(String(headers.host)) ? headers.host : "unknown";
    const asked = new Request(`http://${host}${url}`, {
      method,
      headers: Object.entries(headers).flatMap(([name, value]) =>
        typeof value === "string" ? [[name, value] as [string, string]] : []
      ),
    });
    let status = 500;
    let answered: readonly [headers: Record<string, string>, body: Uint8Array] = [
      {},
      Buffer.from("Internal Server Error\n"),
    ];
    try {
      const answer = await handler(asked, socket);
      const body = Buffer.from(await answer.arrayBuffer());
      [status, answered] = [answer.status, [Object.fromEntries(answer.headers), body]];
    } catch (error) {
      // As other servers do: a mistake in one answer does not end the others.
      console.error(`${method} ${url}: ${error instanceof Error ? error.message : String(error)}`);
    }
    response.writeHead(status, answered[0]);
    response.end(answered[1]);
  };
}
