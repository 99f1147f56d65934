/**
 * A server for whoever started it: on the loopback device, behind a token that chance has made. A page elsewhere that has a name for this
 * machine, or sends its visitors here, is told nothing.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { OutputError } from "../file/output_error.ts";
import { isSame } from "../file/secrets.ts";

/** What is asked for. */
export interface Asked {
  /** `GET`, or `POST` of a page of this server. */
  readonly method: string;
  /** The parts of the path, decoded: of `/a/b` two, of `/a/` two of which the last is "". */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

/** What is answered: a text or bytes, or who goes on answering. */
export type Answer =
  | { readonly type: string; readonly body: string | Uint8Array; readonly headers?: Readonly<Record<string, string>> }
  | ((response: ServerResponse) => void);

/** A server that runs. */
export interface Served {
  /** Where it is, with its token. */
  readonly url: string;
  /** Ends it, and the answers that go on. */
  close(): Promise<void>;
}

/** Why something is not answered, with a status. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Of every answer: nothing is kept, taken for something else, told to others, or shown within a page of others. */
const HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "x-frame-options": "DENY",
} as const;

const TEXT = "text/plain; charset=utf-8";

/** Who may ask. */
class Access {
  readonly token = randomBytes(16).toString("hex");
  readonly #hosts: readonly string[];
  /** Cookies are the same for all ports of a machine. */
  readonly #cookie: string;

  constructor(port: number) {
    this.#hosts = ["127.0.0.1", "localhost"].flatMap((host) =>
      port === 80 ? [host, `${host}:80`] : [`${host}:${port}`]
    );
    this.#cookie = `heaptap-${port}`;
  }

  /** Lets a request in, or says why not; returns the headers that let the next ones in. */
  check({ method, headers }: IncomingMessage, query: URLSearchParams): Record<string, string> {
    const { host = "", origin } = headers;
    if (!this.#hosts.includes(host)) {
      throw new Refusal(403, `Cannot answer ${host || "without a host"}: this is ${this.#hosts[0]}`);
    }
    if (origin !== undefined && origin !== `http://${host}`) {
      throw new Refusal(403, `Cannot answer a page of ${origin}`);
    }
    const given = query.get("token") ?? /^Bearer (.*)$/.exec(headers.authorization ?? "")?.[1];
    const from = headers["sec-fetch-site"] ?? "none";
    // What a page elsewhere has the browser fetch comes with the cookie.
    const kept = from === "none" || from === "same-origin" ? this.#kept(headers.cookie ?? "") : undefined;
    const secret = given ?? kept;
    if (secret === undefined || !isSame(secret, this.token)) {
      throw new Refusal(403, "Cannot answer without the token: take the address that heaptap serve printed");
    }
    if (method === "POST") {
      if (origin === undefined) {
        throw new Refusal(403, "Cannot take this from elsewhere than the page: there is no Origin");
      }
    } else if (method !== "GET") throw new Refusal(405, `Cannot answer ${method}: pages are read with GET`);
    return query.has("token")
      ? { "set-cookie": `${this.#cookie}=${this.token}; Path=/; HttpOnly; SameSite=Strict` }
      : {};
  }

  #kept(cookies: string): string | undefined {
    const own = `${this.#cookie}=`;
    return cookies.split(/; */).find((cookie) => cookie.startsWith(own))?.slice(own.length);
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Refusal(400, `Cannot read "${part.slice(0, 100)}": its % signs make no text`);
  }
}

/** Serves on a port of the loopback device, any that is free where it is 0. */
export async function serve(
  port: number,
  answer: (asked: Asked) => Answer | undefined | Promise<Answer | undefined>,
): Promise<Served> {
  const respond = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(`http://localhost${request.url?.replace(/^\/*/, "/")}`);
    const cookie = access.check(request, searchParams);
    const path = pathname.slice(1).split("/").map(decoded);
    const answered = await answer({ method: request.method ?? "", path, query: searchParams });
    if (!answered) throw new Refusal(404, `There is nothing at ${pathname}`);
    for (const [name, value] of Object.entries({ ...HEADERS, ...cookie })) response.setHeader(name, value);
    if (typeof answered === "function") answered(response);
    else response.writeHead(200, { "content-type": answered.type, ...answered.headers }).end(answered.body);
  };
  const server = createServer((request, response) => {
    respond(request, response).catch((error: Error) => {
      const status = error instanceof Refusal ? error.status : 500;
      if (response.headersSent) return response.destroy();
      response.writeHead(status, { ...HEADERS, "content-type": TEXT });
      response.end(`${error.message.split("\n")[0]}\n`);
    });
  });
  await new Promise<void>((done, fail) => {
    server.once("error", (cause: Error & { code?: string }) => {
      const why = cause.code === "EADDRINUSE"
        ? "something else listens there; leave --port out for one that is free"
        : cause.message;
      fail(new OutputError(`Cannot serve on port ${port}: ${why}`, { cause }));
    });
    server.listen(port, "127.0.0.1", done);
  });
  const address = server.address();
  const taken = typeof address === "object" && address ? address.port : port;
  const access = new Access(taken);
  return {
    url: `http://127.0.0.1:${taken}/?token=${access.token}`,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}
