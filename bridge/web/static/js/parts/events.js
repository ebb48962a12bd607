// What happened, newest first.
import { html } from "../html.js";
import { Icon } from "./icon.js";
import { When } from "./when.js";
import { DeviceText } from "./text.js";

/** @typedef {{id: number, at: string, kind: string, severity: "info" | "warning" | "error", text: string, subject?: string, user?: string}} Event */

/** @param {{events: Event[]}} props */
export const Events = ({ events }) => html`<ol class="events">
  ${events.map(
    (event) => html`<li key=${event.id} data-severity=${event.severity}>
      <${Icon} name=${event.severity === "info" ? "info" : event.severity === "warning" ? "warning" : "error"} size=${18} />
      <span class="hidden">${event.severity === "info" ? "" : `${event.severity}: `}</span>
      <span class="event-text"><${DeviceText} text=${event.text} max=${240} /></span>
      <span class="event-when quiet"><${When} at=${event.at} /></span>
    </li>`,
  )}
</ol>`;
