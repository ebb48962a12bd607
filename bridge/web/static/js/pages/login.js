// The door: a name and a password, and afterwards the page one wanted to see.
import { logIn } from "../api.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Mark } from "../parts/icon.js";
import { session } from "../session.js";
import { useStore } from "../store.js";

export function LoginPage() {
  const who = useStore(session);
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const user = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    document.title = `Log in · ${who?.name ?? ""} · Fieldgate`;
    user.current?.focus();
  }, []);
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
    setBusy(true);
    setProblem("");
    try {
      await logIn(String(form.get("user")), String(form.get("password")));
    } catch (error) {
      setBusy(false);
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  return html`<main class="door">
    <div class="door-card">
      <p class="door-brand"><${Mark} /> Fieldgate</p>
      <h1>Log in to <bdi>${who?.name}</bdi></h1>
      <form onSubmit=${submit}>
        <label>User <input ref=${user} name="user" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="256" /></label>
        <label>Password <input name="password" type="password" autocomplete="current-password" required maxlength="1024" /></label>
        <div role="alert">${problem && html`<p class="field-problem">${problem}</p>`}</div>
        <button type="submit" class="primary" disabled=${isBusy}>${isBusy ? "Looking …" : "Log in"}</button>
      </form>
      <p class="quiet">Users are made with <code>fieldgate passwd</code>, and stand in the file that <code>api.password_file</code> names.</p>
    </div>
  </main>`;
}
