// The second screen: cache, registry, health of every part, what happened, and the configuration in force.
import { $, element, fill, stateMark, table } from "./dom.js";
import { about, count, moment, percent, size, stateOf } from "./words.js";

const TONES = { good: "healthy", bad: "down", plain: "unknown" };
const AVAILABLE = { available: "healthy", degraded: "degraded", unavailable: "down", unknown: "unknown" };
const opened = new Set();

const quiet = (text) => element("p", text, { class: "quiet" });

function facts(pairs) {
  return element("dl", null, { class: "facts" }, ...pairs.map(([name, value]) =>
    element("div", null, {}, element("dt", name), element("dd", String(value)))));
}

function cache({ enabled, stats, redis }) {
  if (!enabled) return [element("h2", "Cache"), quiet("Disabled.")];
  const { total } = stats;
  const shown = [
    ["Hit ratio", percent(total.hit_ratio ?? undefined)], ["Hits", total.hits.toLocaleString()], ["Stale", total.stale], ["Joined", total.coalesced],
    ["Misses", total.misses.toLocaleString()], ["Entries", stats.entries.toLocaleString()], ["Memory", `${size(stats.bytes)} of ${size(stats.max_bytes)}`],
    ["Evicted", stats.evictions], ["Invalidated", stats.invalidations], ["Redis", redis === null ? "none" : stateOf(redis.state)],
  ];
  const tools = Object.entries(stats.tools).sort(([, a], [, b]) => b.hits + b.misses - a.hits - a.misses).slice(0, 20);
  const columns = [{ name: "Cached" }, { name: "Hit ratio", number: true }, { name: "Hits", number: true }, { name: "Stale", number: true }, { name: "Misses", number: true }];
  const rows = tools.map(([name, counts]) => [name, percent(counts.hit_ratio ?? undefined), String(counts.hits), String(counts.stale), String(counts.misses)]);
  return [element("h2", "Cache, since the start"), facts(shown), ...(rows.length ? [table("Look-ups by tool", columns, rows)] : [])];
}

function entries(title, none, found, at) {
  if (!found.length) return [element("h3", title), quiet(none)];
  const columns = [{ name: "Server" }, { name: "When" }, { name: "What" }, { name: "Detail" }];
  const rows = found.slice(0, 30).map((entry) => [
    entry.tool || entry.server, moment(entry.at, at),
    entry.what in AVAILABLE ? stateMark(AVAILABLE[entry.what], entry.what) : entry.what, entry.detail,
  ]);
  return [element("h3", title), table(title, columns, rows)];
}

function registry(told, at) {
  return [element("h2", `Registry: ${count(told.tools, "tool")}`),
    ...entries("Drift: definitions that changed, or differ from what was accepted", "No tool has changed its definition since the gateway was started.", told.drift, at),
    ...entries("Availability", "Nothing so far.", told.availability, at),
    ...entries("Other changes", "Nothing so far.", told.changes, at)];
}

function matrix(rows, at) {
  const columns = [{ name: "Part" }, { name: "State" }, { name: "Since" }, { name: "Probe" }, { name: "Circuit" }, { name: "Connections" }];
  const shown = rows.map((row) => {
    const state = element("div", null, {}, stateMark(stateOf(row.state), stateOf(row.state)));
    if (row.reason) state.append(element("span", row.reason, { class: "why" }));
    const { ready, opening, in_flight: flying, waiting } = row.connections || {};
    return [
      row.replica ? `${row.name} at ${row.replica}` : row.name, state, about(row.since, at),
      row.probe === undefined || row.probe === null ? "–" : row.probe ? "answered" : "failed",
      (row.circuit || "–").replace("_", " "),
      row.connections ? `${ready} ready, ${opening} opening, ${flying} in flight, ${waiting} waiting` : "–",
    ];
  });
  return [element("h2", "Health of every part"), shown.length ? table("Health of every part", columns, shown) : quiet("No server is configured.")];
}

function events(found, at) {
  const items = found.map((entry) => element("li", null, {},
    element("time", moment(entry.at, at), { datetime: new Date(entry.at * 1000).toISOString() }),
    stateMark(TONES[entry.tone] || "unknown", entry.about),
    element("span", entry.times > 1 ? `${entry.text} (${entry.times} times)` : entry.text)));
  return [element("h2", "What happened, the latest first"), found.length ? element("ol", null, { class: "events" }, ...items) : quiet("Nothing so far.")];
}

function flat(value, path, found) {
  if (value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length) {
    for (const [name, inner] of Object.entries(value)) flat(inner, path ? `${path}.${name}` : name, found);
  } else found.push([path, Array.isArray(value) ? value.join(", ") || "none" : value === null ? "none" : typeof value === "object" ? "none" : String(value)]);
  return found;
}

function configuration({ source, servers, ...sections }) {
  const all = [...Object.entries(servers).map(([name, server]) => [`server ${name}`, server]), ...Object.entries(sections)];
  return [element("h2", "Configuration in force"), quiet(`From ${source}; credentials are left out.`),
    ...all.map(([name, section]) => {
      const made = element("details", null, opened.has(name) ? { open: "" } : {}, element("summary", name), facts(flat(section, "", [])));
      made.addEventListener("toggle", () => { if (made.open) opened.add(name); else opened.delete(name); });
      return made;
    })];
}

export async function showInside(view) {
  const answer = await fetch("/api/v1/details", { cache: "no-store" });
  if (!answer.ok) return;
  const told = await answer.json();
  const at = view.at;
  fill($("inside-body"), [
    ...matrix(told.matrix, at), ...events(told.events, at), ...cache(told.cache), ...registry(told.registry, at),
    ...configuration(told.configuration)]);
}
