// Domains and servers, the worst first. A row's cells are made once and changed in place.
import { $, drawn, element, mark, put, stateMark } from "./dom.js";
import { about, duration, percent, rate, stateOf } from "./words.js";

const SPARK = 30;

function spark(values) {
  const top = Math.max(...values, 0.1);
  const at = (value, index) => `${(SPARK - values.length + index) * 4},${(23 - (value / top) * 21).toFixed(1)}`;
  const points = values.map(at).join(" ");
  const first = (SPARK - values.length) * 4;
  return { line: points, area: values.length ? `${first},24 ${points} ${(SPARK - 1) * 4},24` : "" };
}

const COLUMNS = {
  servers: [["Server"], ["State"], ["Since"], ["Five minutes"], ["Calls/s", "n"], ["Errors", "n"], ["p50", "n"], ["p95", "n"], ["p99", "n"], ["In flight", "n"]],
  domains: [["Domain"], ["Five minutes"], ["Calls/s", "n"], ["Errors", "n"], ["p50", "n"], ["p95", "n"], ["p99", "n"], ["In flight", "n"]],
};

export class Rows {
  constructor(kind, caption, none) {
    this.kind = kind;
    this.known = new Map();
    this.body = element("tbody", null, { role: "rowgroup" });
    const head = COLUMNS[kind].map(([name, type = ""]) => element("th", name, { scope: "col", role: "columnheader", class: type }));
    this.table = element("table", null, { role: "table", class: kind },
      element("caption", caption, { class: "hidden" }),
      element("thead", null, { role: "rowgroup" }, element("tr", null, { role: "row" }, ...head)), this.body);
    this.none = element("p", none, { class: "quiet" });
    $(kind).append(this.table, this.none);
  }

  show(rows, at) {
    const names = Object.keys(rows).sort((a, b) =>
      rows[b].badness - rows[a].badness || rows[b].rate - rows[a].rate || (a < b ? -1 : 1));
    for (const [name, row] of this.known) {
      if (!(name in rows)) {
        row.node.remove();
        this.known.delete(name);
      }
    }
    for (const name of names) {
      if (!this.known.has(name)) this.add(name);
      this.update(this.known.get(name), rows[name], at);
    }
    // Nothing moves under a pointer or a focus.
    if (!this.body.matches(":hover, :focus-within")) {
      names.forEach((name, index) => {
        const { node } = this.known.get(name);
        if (this.body.children[index] !== node) this.body.insertBefore(node, this.body.children[index] || null);
      });
    }
    this.none.hidden = names.length > 0;
    this.table.hidden = names.length === 0;
  }

  add(name) {
    const path = `#/${this.kind === "servers" ? "server" : "domain"}/${encodeURIComponent(name)}`;
    const cells = {};
    const node = element("tr", null, { role: "row" },
      element("th", null, { scope: "row", role: "rowheader" }, element("a", name, { href: path })));
    for (const [title, type = ""] of COLUMNS[this.kind].slice(1)) {
      const label = title === "Five minutes" || title === "State" ? {} : { "data-label": title };
      cells[title] = element("td", null, { role: "cell", class: type || title.toLowerCase().replace(" ", "-"), ...label });
      node.append(cells[title]);
    }
    const area = drawn("polygon", { class: "area" });
    const line = drawn("polyline", { class: "line" });
    cells["Five minutes"].append(drawn("svg", { viewBox: "0 0 116 24", class: "spark", "aria-hidden": "true", preserveAspectRatio: "none" }, area, line));
    node.addEventListener("click", (event) => { if (!event.target.closest("a")) location.hash = path; });
    this.body.append(node);
    this.known.set(name, { node, cells, area, line });
  }

  update({ node, cells, area, line }, row, at) {
    const drawing = spark(row.spark);
    mark(area, "points", drawing.area);
    mark(line, "points", drawing.line);
    put(cells["Calls/s"], rate(row.rate));
    put(cells.Errors, percent(row.error_ratio));
    cells.Errors.classList.toggle("bad", row.error_ratio >= 0.05);
    for (const quantile of ["p50", "p95", "p99"]) put(cells[quantile], duration(row[quantile]));
    put(cells["In flight"], String(row.in_flight) + (row.waiting ? ` + ${row.waiting}` : ""));
    if (this.kind === "servers") this.state(node, cells, row, at);
  }

  state(node, cells, row, at) {
    const state = stateOf(row.state);
    const circuit = row.circuit === "closed" ? "" : `circuit ${row.circuit.replace("_", " ")}`;
    const why = [state === "healthy" ? "" : row.reason, circuit].filter(Boolean).join("; ");
    mark(node, "data-state", state);
    const told = `${state}\n${why}`;
    if (node.dataset.told !== told) {
      node.dataset.told = told;
      cells.State.replaceChildren(stateMark(state, state), ...(why ? [element("span", why, { class: "why" })] : []));
    }
    put(cells.Since, about(row.since, at));
  }

  focus(name) {
    this.known.get(name)?.node.querySelector("a").focus();
  }
}
