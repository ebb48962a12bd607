// Where it begins: who looks, which program this is, which page the address names.
import { refreshSession } from "./api.js";
import { keepFocus } from "./focus.js";
import { html, render, useEffect, useErrorBoundary, useLayoutEffect, useRef, useState } from "./html.js";
import { stopped, useLive } from "./live.js";
import { GATEWAY_PAGES, pageFor, RECEIVER_PAGES } from "./pages/pages.js";
import { LoginPage } from "./pages/login.js";
import { receiverVerdict } from "./pages/receiver_verdict.js";
import { Empty, Loading } from "./parts/empty.js";
import { Shell } from "./parts/shell.js";
import { Verdict } from "./parts/verdict.js";
import { go, usePlace } from "./router.js";
import { isStranger, session } from "./session.js";
import { useStore } from "./store.js";

const SESSION_PAUSE_MS = 3_000;

function App() {
  const who = useStore(session);
  const { path, query } = usePlace();
  const trouble = useSession();
  const isLogin = path === "/login";
  const isOut = who !== null && isStranger(who);
  useLayoutEffect(() => {
    // Log in where one is, and go on there; who is in has nothing to do at the door.
    if (isOut && !isLogin)
      go(`/login?${new URLSearchParams({ next: location.pathname + location.search })}`, { replace: true });
    if (who && !isOut && isLogin) go(safeNext(query.get("next")), { replace: true });
  }, [isOut, isLogin, who]);
  if (who === null)
    return html`<div class="door">${trouble ? html`<${Empty} title=${trouble}><p>Trying again every few seconds.</p><//>` : html`<${Loading} />`}</div>`;
  if (isOut) return html`<${LoginPage} />`;
  if (isLogin) return null;
  return who.program === "receiver" ? html`<${Receiver} />` : html`<${Gateway} />`;
}

/** Only an address of this program may be gone to. @param {string | null} next */
function safeNext(next) {
  if (!next) return "/";
  const address = new URL(next, location.origin);
  return address.origin === location.origin && address.pathname !== "/login" ? address.pathname + address.search : "/";
}

/** Ask who looks until there is an answer; the sentence that says why there is none. */
function useSession() {
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    const ask = () =>
      refreshSession().catch((error) => {
        setTrouble(error.message);
        timer = setTimeout(ask, SESSION_PAUSE_MS);
      });
    ask();
    return () => clearTimeout(timer);
  }, []);
  return trouble;
}

function Gateway() {
  const overview = useLive("/api/v1/overview");
  const entries = GATEWAY_PAGES.map((page) =>
    page.path === "/dead-letters" ? { ...page, badge: overview.body?.dead_letters } : page,
  );
  return html`<${Program} entries=${entries} summary=${overview} verdict=${overview.body?.verdict} />`;
}

function Receiver() {
  const receiver = useLive("/api/v1/receiver");
  const entries = RECEIVER_PAGES.map((page) =>
    page.path === "/set-aside" ? { ...page, badge: receiver.body?.set_aside } : page,
  );
  return html`<${Program} entries=${entries} summary=${receiver} verdict=${receiver.body && receiverVerdict(receiver.body)} />`;
}

/** @param {{entries: any[], summary: import("./live.js").Live, verdict: any}} props */
function Program({ entries, summary, verdict }) {
  const { path } = usePlace();
  const isOld = useStore(stopped) !== null;
  const page = pageFor(entries, path);
  const shown = html`<${Verdict} verdict=${verdict} isOld=${isOld} isLarge=${path === "/"} />`;
  return html`<${Shell} entries=${entries} strip=${path === "/" ? null : shown}>
    <${Changes} word=${verdict && (isOld ? `Not live any more. Last known: ${verdict.word}` : verdict.word)} />
    <${Guarded} key=${path}>${page ? html`<${page.component} path=${path} summary=${summary} verdict=${shown} />` : html`<${NotFound} />`}<//>
  <//>`;
}

/** Reads the verdict's word out when it changes, and only then: a sentence with numbers changes each second.
 * @param {{word: string | undefined}} props */
function Changes({ word }) {
  const first = useRef(word);
  first.current ??= word;
  return html`<p class="hidden" aria-live="polite">${word === first.current ? null : word}</p>`;
}

/** A page that fails says so, and the rest goes on. @param {{children: any}} props */
function Guarded({ children }) {
  const [error, reset] = useErrorBoundary((failure) => console.error(failure));
  if (!error) return children;
  return html`<${Empty} title="This page could not be drawn.">
    <p>That is a mistake in the dashboard, not in the gateway: ${error instanceof Error ? error.message : String(error)}</p>
    <p><button type="button" onClick=${reset}>Try again</button></p>
  <//>`;
}

const NotFound = () =>
  html`<${Empty} title="There is no page at this address."><p><a href="/">To the first page</a></p><//>`;

const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
keepFocus();
