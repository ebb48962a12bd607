// Asking and telling: JSON over fetch, errors as sentences.
import { heardSession, session } from "./session.js";

/** A question that has no answer by then gets none: the program hangs, or the network drops what it sends. */
const MOST_MS = 15_000;

/** An answer that is not what was asked for; its message is a sentence for people. */
export class Problem extends Error {
  /** @param {number} status 0: nobody answered @param {string} message @param {any} [body] */
  constructor(status, message, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** The Problem that an answer tells of. @param {Response} answer */
export async function problemOf(answer) {
  let body;
  try {
    body = await answer.json();
  } catch {
    body = undefined;
  }
  const message = body?.error?.message ?? `The gateway answered with status ${answer.status}.`;
  if (answer.status === 401) void refreshSession();
  return new Problem(answer.status, message, body);
}

/** @param {string} path @param {RequestInit} [options] */
async function answerOf(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "Nobody answers: the program has stopped, or the network to it is down.");
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer.status === 204 ? null : answer.json();
}

/** Raises Problem. @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function get(path, signal) {
  const asked = new AbortController();
  let isLate = false;
  const leave = () => asked.abort();
  const timer = setTimeout(() => {
    isLate = true;
    leave();
  }, MOST_MS);
  signal?.addEventListener("abort", leave);
  if (signal?.aborted) leave();
  try {
    return await answerOf(path, { signal: asked.signal });
  } catch (error) {
    if (isLate) throw new Problem(0, `There was no answer within ${MOST_MS / 1000} s: the program hangs, or the network does.`);
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", leave);
  }
}

/** Raises Problem. @param {"POST" | "DELETE"} method @param {string} path @param {unknown} [body] @returns {Promise<any>} */
export async function send(method, path, body = {}) {
  const token = session.value?.csrf_token;
  try {
    return await sendWith(token, method, path, body);
  } catch (error) {
    // Each start of the gateway has tokens of its own: nothing was done, and with the new one it is.
    if (!(error instanceof Problem && error.status === 403)) throw error;
    await refreshSession();
    if (session.value?.csrf_token === token) throw error;
    return sendWith(session.value?.csrf_token, method, path, body);
  }
}

/** @param {string | null | undefined} token @param {string} method @param {string} path @param {unknown} body */
function sendWith(token, method, path, body) {
  /** @type {Record<string, string>} */
  const headers = { "Content-Type": "application/json" };
  if (token) headers["X-CSRF-Token"] = token;
  return answerOf(path, { method, headers, body: JSON.stringify(body) });
}

/** Ask again who looks. Raises Problem. */
export async function refreshSession() {
  heardSession(await get("/api/v1/session"));
}

/** Raises Problem. @param {string} user @param {string} password */
export async function logIn(user, password) {
  heardSession(await send("POST", "/api/v1/session", { user, password }));
}

/** Raises Problem. */
export async function logOut() {
  await send("DELETE", "/api/v1/session");
  await refreshSession();
}

/** A query string of what is not empty. @param {Record<string, string | number | null | undefined>} values */
export function query(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs.map(([key, value]) => [key, String(value)]))}` : "";
}
