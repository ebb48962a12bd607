// Lines over time with a cursor that all plots of a page share; the same numbers stand below as a table.
import uPlot from "../../vendor/uplot.js";
import { axisTime, dateTime, shortTime } from "../format.js";
import { html, useEffect, useMemo, useRef } from "../html.js";
import { useStore } from "../store.js";
import { themeChanges, token } from "../theme.js";

/**
 * @typedef {object} Line
 * @property {string} title
 * @property {string} color a custom property: --line-in
 * @property {(number | null)[]} values
 * @property {number[]} [dash] so that colour is not the only difference
 * @property {boolean} [isFilled]
 */

const TABLE_ROWS = 24;
const WHOLE_STEPS = Array.from({ length: 48 }, (_, step) => [1, 2, 5][step % 3] * 10 ** Math.floor(step / 3));
/** Seconds. Without the steps in between, a narrow plot of a few minutes has no mark at all. */
const TIME_STEPS = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200].concat(
  [1, 2, 3, 5, 7, 10, 15, 30, 60, 90, 180, 365].map((days) => days * 86_400),
);
const BINARY_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

/**
 * @param {object} props
 * @param {string} props.title
 * @param {number[]} props.at seconds since the epoch
 * @param {Line[]} props.lines
 * @param {(value: number | null | undefined) => string} props.unit
 * @param {string} [props.group] plots of one group share their cursor
 * @param {number} [props.height]
 * @param {boolean} [props.isFromZero]
 * @param {boolean} [props.isBytes] its axis goes in steps of 1024
 * @param {boolean} [props.isWhole] its axis has no fractions
 */
export function Plot({ title, at, lines, unit, group, height = 190, isFromZero = true, isBytes = false, isWhole = false }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const key = useRef(/** @type {HTMLUListElement | null} */ (null));
  const theme = useStore(themeChanges);
  const shape = lines.map((line) => line.title).join("\n");
  const latest = useRef({ at, lines, unit });
  latest.current = { at, lines, unit };

  useEffect(() => {
    if (!box.current) return undefined;
    const width = () => Math.max(200, box.current?.clientWidth ?? 600);
    const drawn = new uPlot(options(), [at, ...lines.map((line) => line.values)], box.current);
    plot.current = drawn;
    drawn.root.setAttribute("aria-hidden", "true");
    const watcher = new ResizeObserver(() => drawn.setSize({ width: width(), height }));
    watcher.observe(box.current);
    return () => {
      watcher.disconnect();
      drawn.destroy();
      plot.current = null;
    };

    function options() {
      const ink = token("--ink-2");
      const grid = { stroke: token("--grid"), width: 1 };
      const font = `13px ${token("--font")}`;
      return {
        width: width(),
        height,
        padding: [10, 20, 0, 0],
        legend: { show: false },
        cursor: { sync: group ? { key: group } : undefined, drag: { x: false, y: false }, points: { size: 7 } },
        scales: {
          y: {
            range: (/** @type {any} */ _plot, /** @type {number} */ low, /** @type {number} */ high) =>
              span(low, high, isFromZero),
          },
        },
        axes: [
          {
            stroke: ink,
            grid: { show: false },
            ticks: { ...grid, size: 5 },
            font,
            size: 32,
            space: 70,
            incrs: TIME_STEPS,
            values: (
              /** @type {any} */ _plot,
              /** @type {number[]} */ marks,
              /** @type {any} */ _axis,
              /** @type {any} */ _space,
              /** @type {number} */ step,
            ) => marks.map((mark) => axisTime(mark, step)),
          },
          {
            stroke: ink,
            grid,
            ticks: { show: false },
            font,
            size: 78,
            space: 34,
            incrs: isBytes ? BINARY_STEPS : isWhole ? WHOLE_STEPS : undefined,
            values: (/** @type {any} */ _plot, /** @type {number[]} */ marks) =>
              marks.map((mark) => latest.current.unit(mark)),
          },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            stroke: token(line.color),
            width: 2,
            dash: line.dash,
            spanGaps: false,
            points: { show: false },
            fill: line.isFilled ? token(`${line.color}-fill`) : undefined,
          })),
        ],
        hooks: { setCursor: [(/** @type {any} */ drawn) => tellValues(drawn.cursor.idx)] },
      };
    }
  }, [theme, shape, height, group, isFromZero]);

  useEffect(() => {
    plot.current?.setData([at, ...lines.map((line) => line.values)]);
    tellValues(plot.current?.cursor.idx);
  }, [at, lines]);

  /** The values under the cursor, or the newest ones. @param {number | null | undefined} index */
  function tellValues(index) {
    const { at, lines, unit } = latest.current;
    const number = index ?? lastKnown(lines);
    const fields = key.current?.querySelectorAll(".plot-value") ?? [];
    lines.forEach((line, row) => {
      if (fields[row]) fields[row].textContent = unit(line.values[number]);
    });
    if (fields[lines.length])
      fields[lines.length].textContent = index === null || index === undefined ? "" : dateTime(at[index] * 1000);
  }

  return html`<figure class="plot" aria-label=${title}>
    <figcaption>
      <h3>${title}</h3>
      <ul class="plot-key" ref=${key}>
        ${lines.map((line) => html`<li key=${line.title}><${Swatch} line=${line} />${line.title} <span class="plot-value"></span></li>`)}
        <li><span class="plot-value quiet"></span></li>
      </ul>
    </figcaption>
    <div class="plot-box" ref=${box}></div>
    <${AsTable} title=${title} at=${at} lines=${lines} unit=${unit} />
  </figure>`;
}

/** @param {Line[]} lines */
function lastKnown(lines) {
  let last = (lines[0]?.values.length ?? 0) - 1;
  while (last > 0 && lines.every((line) => line.values[last] === null)) last -= 1;
  return last;
}

/** @param {number} low @param {number} high @param {boolean} isFromZero @returns {[number, number]} */
function span(low, high, isFromZero) {
  if (low === null || high === null || !Number.isFinite(low)) return [0, 1];
  if (isFromZero && low >= 0) return [0, high > 0 ? high * 1.1 : 1];
  const room = (high - low || Math.abs(high) || 1) * 0.1;
  return [low - room, high + room];
}

/** @param {{line: Line}} props */
const Swatch = ({ line }) => html`<svg width="22" height="8" aria-hidden="true" focusable="false">
  <line x1="0" y1="4" x2="22" y2="4" style=${{ stroke: `var(${line.color})` }} stroke-width="3" stroke-dasharray=${line.dash?.join(" ")} />
</svg>`;

/** @param {{title: string, at: number[], lines: Line[], unit: (value: number | null | undefined) => string}} props */
function AsTable({ title, at, lines, unit }) {
  const open = useRef(/** @type {HTMLDetailsElement | null} */ (null));
  const rows = useMemo(() => {
    const step = Math.max(1, Math.ceil(at.length / TABLE_ROWS));
    return at
      .map((_, row) => row)
      .filter((row) => (at.length - 1 - row) % step === 0)
      .reverse();
  }, [at]);
  const now_ms = (at.at(-1) ?? 0) * 1000;
  return html`<details ref=${open}>
    <summary>As a table<span class="hidden">: ${title}</span></summary>
    <div class="scroll" tabindex="0" role="region" aria-label="${title}, as a table">
      <table>
        <caption class="hidden">${title}, the newest first</caption>
        <thead><tr><th scope="col">Time</th>${lines.map((line) => html`<th scope="col" class="number">${line.title}</th>`)}</tr></thead>
        <tbody>
          ${rows.map(
            (row) => html`<tr key=${at[row]}>
              <th scope="row">${shortTime(at[row] * 1000, now_ms)}</th>
              ${lines.map((line) => html`<td class="number">${unit(line.values[row])}</td>`)}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </details>`;
}
