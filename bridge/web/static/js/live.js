// Live bodies: one stream of server-sent events a path, shared by all who show it.
//
// Read with fetch and not with EventSource, which hides what an operator has to know: the status of a refusal, and the
// server's ": ping" every few seconds, without which a dead connection looks like a quiet one. A stream that fails, ends or
// falls silent is opened again, with growing pauses. A page that nobody sees follows nothing: a browser opens six
// connections to a host at most, and forgotten tabs would use them up.
import { Problem, problemOf, refreshSession } from "./api.js";
import { heardTime } from "./clock.js";
import { useEffect, useState } from "./html.js";
import { Store } from "./store.js";

/** Two signs of life have failed to come: the gateway hangs, or the way to it is cut. */
const SILENT_MS = 8_000;
/** More than this between two events is no body of ours. */
const MOST_CHARACTERS = 32 * 1024 * 1024;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 10_000;

/**
 * @typedef {object} Stop why nothing comes any more
 * @property {string} message
 * @property {number} since_ms when the last was heard, by the browser's clock
 * @property {number} retry_ms when the next try is
 */

/** The stop to tell the reader of, or null while all is live. @type {Store<Stop | null>} */
export const stopped = new Store(/** @type {Stop | null} */ (null));

/** @type {Map<string, LiveStream>} */
const streams = new Map();

/** @typedef {{body: any, problem: Problem | null}} Live */

class LiveStream {
  /** @param {string} path */
  constructor(path) {
    this.path = path;
    /** @type {Store<Live>} */
    this.live = new Store(/** @type {Live} */ ({ body: null, problem: null }));
    /** @type {Stop | null} */
    this.stop = null;
    this.heard_ms = Date.now();
    this.pause_ms = FIRST_PAUSE_MS;
    /** @type {AbortController | null} */
    this.opened = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.isWanted = true;
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.opened?.abort();
    if (!this.isWanted || document.hidden) return;
    const opened = new AbortController();
    this.opened = opened;
    this.follow(opened).catch((error) => this.ended(opened, error));
  }

  close() {
    this.isWanted = false;
    clearTimeout(this.timer);
    this.opened?.abort();
    this.stop = null;
    tellOfStops();
  }

  /** @param {AbortController} opened */
  async follow(opened) {
    this.watch(opened);
    const answer = await fetch(this.path, {
      headers: { Accept: "text/event-stream" },
      signal: opened.signal,
      cache: "no-store",
      credentials: "same-origin",
    });
    if (!answer.ok) throw await problemOf(answer);
    if (!answer.body) throw new Problem(0, "The stream of events has no body.");
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Problem(0, "The stream of events has ended.");
      this.watch(opened);
      const messages = (rest + value).split("\n\n");
      rest = messages.pop() ?? "";
      if (rest.length > MOST_CHARACTERS) throw new Problem(0, "The stream of events makes no sense.");
      // Only the newest is drawn, however many came in one piece.
      const newest = messages.filter((message) => dataOf(message) !== "").pop();
      if (newest === undefined) this.alive();
      else if (newest.includes("event: problem")) this.refused(JSON.parse(dataOf(newest)));
      else this.heard(JSON.parse(dataOf(newest)));
    }
  }

  /** Cut the stream when nothing comes, not even a ping. @param {AbortController} opened */
  watch(opened) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.ended(opened, new Problem(0, "The gateway hangs, or the network to it is cut: it has said nothing more."));
      opened.abort();
    }, SILENT_MS);
  }

  alive() {
    this.heard_ms = Date.now();
    this.pause_ms = FIRST_PAUSE_MS;
    if (this.stop !== null) {
      this.stop = null;
      tellOfStops();
    }
  }

  /** @param {any} body */
  heard(body) {
    heardTime(body?.at);
    this.live.set({ body, problem: null });
    this.alive();
  }

  /** The stream lives, and there is no body now. @param {any} body */
  refused(body) {
    this.live.set({ body: null, problem: new Problem(body.error.status, body.error.message, body) });
    this.alive();
  }

  /** @param {AbortController} opened @param {unknown} error */
  ended(opened, error) {
    if (this.opened !== opened || opened.signal.aborted || !this.isWanted) return;
    clearTimeout(this.timer);
    const problem =
      error instanceof Problem
        ? error
        : new Problem(0, "Nobody answers: the program has stopped, or the network to it is down.");
    const retry_ms = Date.now() + this.pause_ms;
    this.timer = setTimeout(() => this.open(), this.pause_ms);
    this.pause_ms = Math.min(this.pause_ms * 2, LONGEST_PAUSE_MS);
    if (problem.status >= 400 && problem.status < 500) {
      // Refused for what it asks (there is no such device, say): for the page to tell, not a stream that stopped.
      this.live.set({ body: null, problem });
      this.stop = null;
    } else {
      this.live.set({ ...this.live.value, problem });
      this.stop = { message: problem.message, since_ms: this.heard_ms, retry_ms };
    }
    tellOfStops();
  }
}

/** What stands behind `data:` in one message; "" for a comment. @param {string} message */
const dataOf = (message) =>
  message
    .split("\n")
    .filter((line) => line.startsWith("data:"))
    .map((line) => line.slice(5).trimStart())
    .join("\n");

function tellOfStops() {
  const stops = [...streams.values()].flatMap((stream) => stream.stop ?? []);
  stops.sort((one, other) => one.since_ms - other.since_ms);
  const isBack = stopped.value !== null && stops.length === 0;
  stopped.set(stops[0] ?? null);
  if (isBack) askWhoAnswers();
}

/** Another start of the program, perhaps of another version, perhaps one that knows no login of before. */
const askWhoAnswers = () => void refreshSession().catch(() => {}); // the streams tell when nobody answers

/** Open again at once whatever has stopped. */
export function retryNow() {
  for (const stream of streams.values()) if (stream.stop !== null) stream.open();
}

document.addEventListener("visibilitychange", () => {
  for (const stream of streams.values()) {
    if (document.hidden) {
      clearTimeout(stream.timer);
      stream.opened?.abort();
    } else stream.open();
  }
  if (!document.hidden) askWhoAnswers();
});

/**
 * The newest body of a live path, and the problem when it is refused or has stopped. A null path follows nothing.
 * While the path changes, the body of the path before stays, so that a page does not flicker.
 * @param {string | null} path
 * @returns {Live}
 */
export function useLive(path) {
  const [live, setLive] = useState(/** @type {Live} */ ({ body: null, problem: null }));
  useEffect(() => {
    if (path === null) return undefined;
    const stream = streams.get(path) ?? new LiveStream(path);
    streams.set(path, stream);
    const show = (/** @type {Live} */ next) => {
      if (next.body !== null || next.problem !== null) setLive(next);
    };
    show(stream.live.value);
    const leave = stream.live.follow(show);
    return () => {
      leave();
      if (stream.live.followers.size === 0) {
        streams.delete(path);
        stream.close();
      }
    };
  }, [path]);
  return live;
}
