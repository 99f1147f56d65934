/**
 * A server that says what it allocates, while it runs.
 *
 *     deno run -A docs/examples/server.ts 8000       bun docs/examples/server.ts 8000
 *     curl 'localhost:8000/work?blocks=100'
 *     curl 'localhost:8000/heap?limit=5&min-bytes=1000&sort-by=live&mode=short'
 *     curl 'localhost:8000/heap/threads'
 *
 * The work here is ArrayBuffers, which show on Deno; on Bun only what native libraries allocate does.
 *
 * Whoever can reach /heap learns the names of functions and files: serve it on loopback, or behind
 * the guard that your other operator's pages have.
 */
import process from "node:process";
import { backtraceReport, counters, install, threadReport } from "../../mod.ts";
import type { BacktraceMode, SortBy } from "../../mod.ts";

install();

const kept: Uint8Array[] = [];

/** A figure of the query, checked: what comes from outside is not to be trusted. */
function number(query: URLSearchParams, name: string, otherwise: number): number {
  const value = Number(query.get(name) ?? otherwise);
  if (!Number.isInteger(value) || value < 0) throw new RangeError(`${name} takes a whole number, 0 or more`);
  return value;
}

async function heap(query: URLSearchParams): Promise<string> {
  const [limit, minBytes] = [number(query, "limit", 20), number(query, "min-bytes", 0)];
  const report = await backtraceReport({
    limit: Math.min(limit || 1000, 1000),
    mode: (query.get("mode") ?? "short") as BacktraceMode,
    sortBy: (query.get("sort-by") ?? "live") as SortBy,
    // Asked before any name is looked up, so what is left out costs next to nothing.
    filter: (path) => path.bytes >= minBytes,
  });
  return String(report);
}

async function answer(request: Request): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  try {
    switch (pathname) {
      case "/work":
        for (let i = number(searchParams, "blocks", 1); i > 0; i--) kept.push(new Uint8Array(10_000));
        return new Response(`${kept.length} blocks\n`);
      case "/heap":
        return new Response(await heap(searchParams));
      case "/heap/threads":
        return new Response(String(threadReport({ limit: number(searchParams, "limit", 20) })));
      case "/heap/counters":
        return Response.json(counters());
      default:
        return new Response("not found\n", { status: 404 });
    }
  } catch (error) {
    // A mistake in the query is the caller's; the server goes on.
    const wrong = error instanceof RangeError || error instanceof TypeError;
    return new Response(`${(error as Error).message}\n`, { status: wrong ? 400 : 500 });
  }
}

const options = { port: Number(process.argv[2] ?? 8000), hostname: "127.0.0.1" };
if ("Deno" in globalThis) {
  Deno.serve({ ...options, onListen: ({ port }) => console.log(`listening on ${port}`) }, answer);
} else {
  const { port } = Bun.serve({ ...options, fetch: answer });
  console.log(`listening on ${port}`);
}
