// Two charts over the same ten minutes: calls with errors, and durations. One cursor for both, by pointer or slider.
import { $, drawn, element, mark, put } from "./dom.js";
import { duration, moment, rate } from "./words.js";

const WIDTH = 600;
const HEIGHT = 150;
const SPAN = 600;
const STEP = 10;

const CHARTS = [
  { title: "Calls per second", series: [["rate", "calls", "calls area"], ["errors", "errors", "errors area"]], format: (value) => `${rate(value)}/s`, floor: 1 },
  { title: "Durations", series: [["p50", "p50", "p50"], ["p95", "p95", "p95"], ["p99", "p99", "p99"]], format: duration, floor: 0.01 },
];

function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 5, 8, 10].map((step) => step * power).find((step) => step >= value * 1.02) || 10 * power;
}

export class Charts {
  constructor() {
    this.moments = [];
    this.charts = CHARTS.map((kind) => this.chart(kind));
    this.slider = element("input", null, { type: "range", min: "0", max: "0", value: "0", class: "slider", "aria-label": "Moment shown in both charts" });
    this.slider.addEventListener("input", () => this.choose(Number(this.slider.value)));
    const ends = ["ten minutes ago", "five", "now"].map((text) => element("span", text));
    $("charts").append(...this.charts.map(({ figure }) => figure),
      element("div", null, { class: "scale" }, this.slider, element("p", null, { class: "ends", "aria-hidden": "true" }, ...ends)));
    this.chosen = null;
  }

  chart(kind) {
    const readout = element("span", "", { class: "readout" });
    const keys = kind.series.map(([, name, style]) => {
      const value = element("b", "–");
      return { value, node: element("span", null, { class: `key ${style}` }, element("i", null, { "aria-hidden": "true" }), `${name} `, value) };
    });
    const paths = kind.series.map(([, , style]) => drawn("path", { class: style }));
    const cursor = drawn("line", { class: "cursor", y1: "0", y2: String(HEIGHT), visibility: "hidden" });
    const grid = [0.25, 0.5, 0.75].map((share) => drawn("line", { class: "grid", x1: "0", x2: String(WIDTH), y1: String(HEIGHT * share), y2: String(HEIGHT * share) }));
    const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" }, ...grid, ...paths, cursor);
    const top = element("span", "", { class: "top", "aria-hidden": "true" });
    const half = element("span", "", { class: "half", "aria-hidden": "true" });
    const caption = element("figcaption", null, {}, element("span", kind.title, { class: "title" }), readout,
      element("span", null, { class: "keys" }, ...keys.map(({ node }) => node)));
    const figure = element("figure", null, {}, caption, element("div", null, { class: "plot" }, svg, top, half));
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      this.point((event.clientX - box.left) / box.width);
    });
    svg.addEventListener("pointerleave", () => this.choose(null));
    return { kind, figure, svg, paths, cursor, top, half, keys, readout };
  }

  point(share) {
    if (!this.moments.length) return;
    const wanted = this.end - SPAN + share * SPAN;
    const distances = this.moments.map((at) => Math.abs(at + STEP / 2 - wanted));
    this.choose(distances.indexOf(Math.min(...distances)));
  }

  choose(index) {
    this.chosen = index === null || index >= this.moments.length - 1 ? null : this.moments[index];
    this.read();
  }

  show({ history, at }) {
    this.history = history;
    this.at = at;
    this.moments = Object.keys(history).map(Number).sort((a, b) => a - b);
    this.end = this.moments.length ? this.moments[this.moments.length - 1] + STEP : at;
    for (const chart of this.charts) this.draw(chart);
    mark(this.slider, "max", String(Math.max(0, this.moments.length - 1)));
    if (this.chosen === null) this.slider.value = String(this.moments.length - 1);
    this.read();
  }

  x(moment) {
    return ((moment + STEP - this.end + SPAN) / SPAN) * WIDTH;
  }

  draw({ kind, svg, paths, top, half }) {
    const largest = Math.max(kind.floor, ...this.moments.flatMap((key) => kind.series.map(([name]) => this.history[key][name] || 0)));
    const high = ceiling(largest);
    put(top, kind.format(high));
    put(half, kind.format(high / 2));
    kind.series.forEach(([name, , style], index) => {
      let path = "";
      let before = null;
      let start = null;
      const close = () => { if (style.includes("area") && start !== null) path += `V${HEIGHT}H${start}Z`; };
      for (const key of this.moments) {
        const value = this.history[key][name];
        // Without calls there are no durations: a gap, and no line across it.
        if (value === undefined || (before !== null && key - before > 1.5 * STEP)) { close(); before = null; start = null; }
        if (value === undefined) continue;
        const x = this.x(key).toFixed(1);
        const y = (HEIGHT - (value / high) * HEIGHT).toFixed(1);
        if (before === null) { start = x; path += `M${x} ${style.includes("area") ? HEIGHT : y}`; }
        path += `L${x} ${y}`;
        before = key;
      }
      close();
      mark(paths[index], "d", path || "M0 0");
    });
    const now = this.history[this.moments[this.moments.length - 1]] || {};
    const told = kind.series.map(([name, title]) => `${title} ${now[name] === undefined ? "none" : kind.format(now[name])}`);
    mark(svg, "aria-label", `${kind.title}, last ten minutes; now ${told.join(", ")}; scale to ${kind.format(high)}`);
  }

  read() {
    const key = this.chosen !== null && this.chosen in this.history ? this.chosen : this.moments[this.moments.length - 1];
    const point = this.history[key] || {};
    const isNow = key === this.moments[this.moments.length - 1];
    const told = [];
    for (const { kind, cursor, keys, readout } of this.charts) {
      put(readout, isNow ? "now" : `at ${moment(key, this.at)}`);
      kind.series.forEach(([name, title], index) => {
        const text = point[name] === undefined ? "–" : kind.format(point[name]);
        put(keys[index].value, text);
        told.push(`${title} ${text}`);
      });
      mark(cursor, "visibility", isNow ? "hidden" : "visible");
      mark(cursor, "x1", this.x(key).toFixed(1));
      mark(cursor, "x2", this.x(key).toFixed(1));
    }
    mark(this.slider, "aria-valuetext", `${isNow ? "now" : moment(key, this.at)}: ${told.join(", ")}`);
  }
}
