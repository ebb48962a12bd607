// Icons as inline drawings: no requests, and in the colour of the text beside them. Each stands with a word.
import { html } from "../html.js";

/** @type {any} */
const PATHS = {
  __proto__: null,
  overview: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
  streams: "M4 7h10a3 3 0 0 1 3 3v7M4 12h6a3 3 0 0 1 3 3v2M4 17h3M14 15l3 3 3-3",
  devices: "M7 7h10v10H7zM10 3v4M14 3v4M10 17v4M14 17v4M3 10h4M3 14h4M17 10h4M17 14h4",
  topics: "M5 4v14a2 2 0 0 0 2 2h3M5 11h5M5 4h0M13 9h7v4h-7zM13 18h7v4h-7z",
  "dead-letters": "M3 7h18v12H3zM3 8l9 6 9-6M9 3l6 0",
  configuration: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  receiver: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
  "set-aside": "M3 7h18v12H3zM3 8l9 6 9-6",
  ok: "M12 2.8l8 3v6c0 4.600-3.300 8-8 9.400-4.700-1.400-8-4.800-8-9.400v-6zM8.200 12l2.700 2.700 5-5.400",
  warning: "M12 3.500l9.500 16.500h-19zM12 10v4.500M12 17.200v.3",
  critical: "M8.200 3h7.600L21 8.200v7.600L15.800 21H8.200L3 15.800V8.200zM12 7.500v5.500M12 16.200v.3",
  unknown:
    "M12 3a9 9 0 1 1 0 18a9 9 0 1 1 0-18zM9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.4-1 .9-1 1.700M12 16.600v.3",
  online: "M5 12.500l4.500 4.500L19 7.500",
  connecting: "M12 4a8 8 0 1 1-8 8M4 12l-2-2.500M4 12l2.500-2",
  backing_off: "M12 3a9 9 0 1 1 0 18a9 9 0 1 1 0-18zM12 7v5.300l3.500 2",
  paused: "M8.500 5v14M15.500 5v14",
  stopped: "M6 6h12v12H6z",
  absent: "M12 5a7 7 0 1 1 0 14a7 7 0 1 1 0-14zM7 17L17 7",
  sun: "M12 8a4 4 0 1 1 0 8a4 4 0 1 1 0-8zM12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M5 5l1.700 1.700M17.300 17.300L19 19M5 19l1.700-1.700M17.300 6.700L19 5",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  system: "M3 5h18v11H3zM9 20h6M12 16v4",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  chevron: "M9 5l7 7-7 7",
  info: "M12 3a9 9 0 1 1 0 18a9 9 0 1 1 0-18zM12 11v5.500M12 7.500v.3",
  error: "M12 3a9 9 0 1 1 0 18a9 9 0 1 1 0-18zM9 9l6 6M15 9l-6 6",
  user: "M12 4a4 4 0 1 1 0 8a4 4 0 1 1 0-8zM4.500 20.500c1-4 4-5.500 7.500-5.500s6.500 1.500 7.500 5.500",
  arrow: "M4 12h15M13 6l6 6-6 6",
};

/** @param {{name: string, size?: number}} props */
export function Icon({ name, size = 20 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path d=${PATHS[name] ?? PATHS.unknown} />
  </svg>`;
}

/** The gate: two posts, and what passes between them. */
export const Mark =
  () => html`<svg class="mark" viewBox="0 0 32 32" width="30" height="30" aria-hidden="true" focusable="false">
  <rect width="32" height="32" rx="7" />
  <path class="posts" d="M9 7v18M23 7v18" />
  <path class="bars" d="M9 12h8M9 20h14" />
</svg>`;
