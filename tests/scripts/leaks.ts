/** A server with a leak: of three operations one keeps what it allocates; one fills a cache and stays there, one frees all. leaks.ts LIBRARY */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { heapHandler, install, nodeListener, Session } from "../../mod.ts";
import { openBlocks } from "../blocks.ts";

install({ jsNames: true });
const blocks = openBlocks(process.argv[2] ?? "");
const session = new Session();
const heap = heapHandler({ path: "/heap", session });
const [upload, lookup, render] = ["upload", "lookup", "render"].map((name) => session.operation(name));
let cached = 0;

function keepUpload(): void {
  blocks.keep(1, 3000);
}
function fillCache(): void {
  if (cached++ < 20) blocks.keep(1, 50_000);
}
function renderPage(): void {
  blocks.pairs(10, 100_000);
}

// deno-lint-ignore require-await -- servers want a promise
async function answer(request: Request, from?: unknown): Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname.startsWith("/heap")) return heap(request, from);
  if (pathname === "/upload") upload?.run(keepUpload);
  if (pathname === "/lookup") lookup?.run(fillCache);
  if (pathname === "/render") render?.run(renderPage);
  return new Response("done\n");
}

const server = createServer(nodeListener(answer));
server.listen(0, "127.0.0.1", () => console.log(`listening on ${(server.address() as AddressInfo).port}`));
