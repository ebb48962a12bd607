// A question before what can't be taken back: it names what will happen, and the way out comes first.
import { returnTo, whereabouts } from "../focus.js";
import { html, useEffect, useId, useRef, useState } from "../html.js";

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {any} text
 * @property {any} [field] what has to be chosen or written before the answer is yes; it stands below the text
 * @property {string} action the verb on the button
 * @property {boolean} [isDangerous]
 */

/**
 * The dialog to put on the page, and how to ask: `await ask({…})` is true when the answer was yes.
 * @returns {[any, (question: Question) => Promise<boolean>]}
 */
export function useQuestion() {
  const [asked, setAsked] = useState(/** @type {{question: Question, answer: (yes: boolean) => void} | null} */ (null));
  const ask = (/** @type {Question} */ question) =>
    new Promise((/** @type {(yes: boolean) => void} */ answer) => setAsked({ question, answer }));
  const answered = (/** @type {boolean} */ yes) => {
    asked?.answer(yes);
    setAsked(null);
  };
  return [asked && html`<${Dialog} question=${asked.question} onAnswer=${answered} />`, ask];
}

/** @param {{question: Question, onAnswer: (yes: boolean) => void}} props */
function Dialog({ question, onAnswer }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  const accept = () => {
    /** @type {HTMLSelectElement | HTMLInputElement | null | undefined} */
    const field = dialog.current?.querySelector("select, input");
    if (!field || field.reportValidity()) onAnswer(true);
  };
  useEffect(() => {
    const before = whereabouts();
    const shown = dialog.current;
    shown?.showModal();
    return () => {
      shown?.close(); // while it is open, nothing behind it can have the focus
      returnTo(before);
    };
  }, []);
  return html`<dialog ref=${dialog} aria-labelledby="${id}-title" aria-describedby="${id}-text" onCancel=${(
    /** @type {Event} */ event,
  ) => {
    event.preventDefault();
    onAnswer(false);
  }}>
    <h2 id="${id}-title">${question.title}</h2>
    <div id="${id}-text">${question.text}</div>
    ${question.field}
    <div class="dialog-actions">
      <button type="button" autofocus=${!question.field} onClick=${() => onAnswer(false)}>Cancel</button>
      <button type="button" class=${question.isDangerous ? "danger" : "primary"} onClick=${accept}>${question.action}</button>
    </div>
  </dialog>`;
}
