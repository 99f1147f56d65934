/**
 * A server that says what it allocates, while it runs.
 *
 *     deno run -A docs/examples/server.ts 8000
 *     bun docs/examples/server.ts 8000
 *     node --experimental-ffi docs/examples/server.ts 8000
 *     curl 'localhost:8000/work?blocks=100'
 *     curl 'localhost:8000/heap/'                  the report of this moment, for a browser
 *     curl 'localhost:8000/heap/mark/before'       … some work, then
 *     curl 'localhost:8000/heap/since/before?limit=5'
 *     go tool pprof -top 'http://localhost:8000/heap/pprof/heap'
 *
 * The work here is ArrayBuffers, which show on Deno and Node; on Bun only what native libraries allocate does.
 */
import { createServer } from "node:http";
import process from "node:process";
import { heapHandler, nodeListener, Session } from "../../mod.ts";

const session = new Session();
const work = session.operation("work");
const heap = heapHandler({ path: "/heap", session });
const kept: Uint8Array[] = [];

// deno-lint-ignore require-await -- servers want a promise
async function answer(request: Request, from?: unknown): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname === "/heap" || pathname.startsWith("/heap/")) return heap(request, from);
  if (pathname !== "/work") return new Response("not found\n", { status: 404 });
  using _span = work.measureThread();
  for (let i = Number(searchParams.get("blocks") ?? 1); i > 0; i--) kept.push(new Uint8Array(10_000));
  return new Response(`${kept.length} blocks\n`);
}

const [port, hostname] = [Number(process.argv[2] ?? 8000), "127.0.0.1"];
const told = (port: number) => console.log(`listening on ${port}`);
if ("Deno" in globalThis) {
  Deno.serve({ port, hostname, onListen: ({ port }) => told(port) }, answer);
} else if ("Bun" in globalThis) {
  told(Bun.serve({ port, hostname, fetch: answer }).port ?? port);
} else {
  const server = createServer(nodeListener(answer));
  server.listen(port, hostname, () => told((server.address() as { port: number }).port));
}
