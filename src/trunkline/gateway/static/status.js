"use strict";
// Names and reasons come from servers that nobody vouches for: they are only ever set as text.

const EVERY = 1000;
const PATIENCE = 5000;
const WORDS = { healthy: "All is well", degraded: "Degraded", down: "Down", unknown: "Not known yet" };
const STATES = { healthy: "healthy", degraded: "degraded", down: "down", unknown: "unknown" };
const BADNESS = ["down", "degraded", "unknown", "healthy"];
const $ = (id) => document.getElementById(id);

let announced = "";
let failures = 0;

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function put(node, text) {
  // Written only where it differs, so that a screen reader and a selection are left in peace.
  if (node.textContent !== text) node.textContent = text;
}

function ago(then, now) {
  const seconds = Math.max(0, Math.round(now - then));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function moment(then, now) {
  const date = new Date(then * 1000);
  const isToday = now - then < 86400 && date.getDate() === new Date(now * 1000).getDate();
  return isToday ? date.toLocaleTimeString() : date.toLocaleString();
}

function duration(seconds) {
  if (seconds < 0.0995) return `${(seconds * 1000).toPrecision(2) * 1} ms`;
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
}

const percent = (ratio) => `${(ratio * 100).toFixed(ratio > 0 && ratio < 0.1 ? 1 : 0)} %`;

function showOverall(told) {
  const { overall, at } = told;
  const state = STATES[overall.state] || "unknown";
  $("overall").dataset.state = state;
  put($("state"), WORDS[state]);
  put($("sentence"), overall.sentence);
  put($("since"), overall.since === null ? "" : `Since ${moment(overall.since, at)}, for ${ago(overall.since, at)}.`);
  list($("reasons"), overall.reasons);
  document.title = `${state === "healthy" ? "" : `${WORDS[state]} · `}Trunkline`;
  const said = [overall.sentence, ...overall.reasons].join(" ");
  if (said !== announced) put($("announce"), said);
  announced = said;
}

function list(node, lines) {
  if ([...node.children].map((item) => item.textContent).join("\n") === lines.join("\n")) return;
  node.replaceChildren(...lines.map((line) => element("li", line)));
}

function showTotals(totals, servers) {
  const open = servers.filter((server) => server.circuit !== "closed").length;
  const calls = servers.reduce((sum, server) => sum + server.connections.in_flight, 0);
  const shown = [
    ["Requests/s", totals.rate.toFixed(totals.rate < 10 ? 1 : 0)],
    ["Errors", totals.requests ? percent(totals.error_ratio) : "–"],
    ["p50", totals.requests ? duration(totals.p50) : "–"],
    ["p95", totals.requests ? duration(totals.p95) : "–"],
    ["In flight", String(calls)],
    ["Open circuits", String(open)],
  ];
  const node = $("totals");
  if (node.children.length !== shown.length) {
    node.replaceChildren(...shown.map(([name]) => {
      const box = element("div");
      box.append(element("dt", name), element("dd"));
      return box;
    }));
  }
  shown.forEach(([, value], index) => put(node.children[index].lastChild, value));
}

function row(server, numbers, at) {
  const made = element("tr", undefined, { role: "row" });
  const state = STATES[server.state] || "unknown";
  made.append(element("th", server.name, { scope: "row", role: "rowheader" }));
  const is = element("td", undefined, { class: "is", role: "cell", "data-state": state });
  const word = element("span", undefined, { class: "state" });
  word.append(element("span", undefined, { class: "mark", "aria-hidden": "true" }), state);
  is.append(word);
  const circuit = server.circuit === "closed" ? "" : `circuit ${server.circuit.replace("_", " ")}`;
  const why = [state === "healthy" ? "" : server.reason, circuit].filter(Boolean).join("; ");
  if (why) is.append(element("span", why, { class: "why" }));
  const since = element("td", undefined, { class: "wide", role: "cell", "data-label": "Since" });
  since.append(element("time", ago(server.since, at), { datetime: new Date(server.since * 1000).toISOString() }));
  const calls = numbers ? numbers.requests : 0;
  made.append(is, since, element("td", server.era || "–", { class: "era wide", role: "cell", "data-label": "Era" }));
  const cells = [
    ["Tools", String(server.tools)],
    ["Calls", String(calls)],
    ["Errors", calls ? percent(numbers.error_ratio) : "–"],
    ["p50", calls ? duration(numbers.p50) : "–"],
    ["p95", calls ? duration(numbers.p95) : "–"],
  ];
  made.append(...cells.map(([label, text]) => {
    const width = label === "Tools" ? "n wide" : "n";
    return element("td", text, { class: width, role: "cell", "data-label": label });
  }));
  return made;
}

function showServers(told) {
  const sorted = [...told.servers].sort((a, b) => BADNESS.indexOf(a.state) - BADNESS.indexOf(b.state));
  const fresh = sorted.map((server) => row(server, told.metrics.servers[server.name], told.at));
  const rows = $("rows");
  fresh.forEach((made, index) => {
    const old = rows.children[index];
    if (!old) rows.append(made);
    else if (!old.isEqualNode(made)) old.replaceWith(made);
  });
  while (rows.children.length > fresh.length) rows.lastChild.remove();
  $("none").hidden = fresh.length > 0;
  rows.parentNode.hidden = fresh.length === 0;
}

function showCache(cache) {
  const size = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  const served = cache.hit_ratio === null ? "Nothing asked for so far" : `${percent(cache.hit_ratio)} served from it`;
  const held = `${cache.entries} ${cache.entries === 1 ? "entry" : "entries"}, ${size(cache.bytes)} of ${size(cache.max_bytes)}`;
  const shared = cache.redis === null ? "no Redis" : `Redis ${STATES[cache.redis] || "unknown"}`;
  put($("cache"), cache.enabled ? `${served}; ${held}; ${shared}.` : "Disabled.");
}

function show(told) {
  showOverall(told);
  showTotals(told.metrics.totals, told.servers);
  showServers(told);
  showCache(told.cache);
  list($("notices"), told.config.notices);
  $("notices-part").hidden = told.config.notices.length === 0;
  put($("version"), told.version);
  put($("source"), `Configuration: ${told.config.source}. Running for ${ago(0, told.uptime)}.`);
}

async function look() {
  try {
    const answer = await fetch("/api/v1/status", { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
    failures = 0;
    put($("pulse"), "live");
    $("pulse").classList.remove("lost");
  } catch {
    failures += 1;
    // What is shown may no longer be so: say it where the eye is, not only in the corner.
    put($("pulse"), `no answer from the gateway (${failures})`);
    $("pulse").classList.add("lost");
    if (failures === 3) {
      $("overall").dataset.state = "down";
      put($("state"), "Gateway unreachable");
      put($("sentence"), "The gateway does not answer; what stands below is what it said last.");
      put($("since"), "");
      put($("announce"), "The gateway does not answer.");
      announced = "";
    }
  }
  setTimeout(look, EVERY);
}

look();
