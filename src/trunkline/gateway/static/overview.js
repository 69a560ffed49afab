// The first glance: how things are, since when and why; what fires; the last minute in numbers.
import { $, element, fill, lines, put, stateMark } from "./dom.js";
import { ago, duration, moment, percent, rate, stateOf, WORDS } from "./words.js";

let announced = "";

function announce(text) {
  if (text !== announced) put($("announce"), text);
  announced = text;
}

export function showVerdict({ overall, alerts, at }) {
  const state = stateOf(overall.state);
  $("overall").dataset.state = state;
  put($("state"), WORDS[state]);
  put($("sentence"), overall.sentence);
  put($("since"), overall.since === undefined ? "" : `Since ${moment(overall.since, at)}, for ${ago(overall.since, at)}.`);
  // What fires stands right below.
  const below = Object.values(alerts).map((alert) => alert.summary);
  lines($("reasons"), overall.reasons.filter((reason) => !below.includes(reason)));
  announce([overall.sentence, ...overall.reasons].join(" "));
}

export function showSilence(silent) {
  // What is shown may no longer be so: say it where the eye is, not only in a corner.
  $("overall").dataset.state = "down";
  put($("state"), "Gateway unreachable");
  put($("sentence"), "The gateway does not answer; what stands below is what it said last.");
  put($("since"), `No word for ${Math.round(silent / 1000)} s.`);
  lines($("reasons"), []);
  announce("The gateway does not answer.");
}

// What is pending may be nothing: nobody is to look at it yet.
const GRADES = { firing: 0, recovering: 1 };

export function showAlerts({ alerts, at }) {
  const shown = Object.values(alerts)
    .filter((alert) => alert.state in GRADES && !alert.inhibited_by)
    .sort((a, b) => GRADES[a.state] - GRADES[b.state] || a.since - b.since);
  $("alerts-part").hidden = shown.length === 0;
  fill($("alerts"), shown.map((alert) => {
    const tone = alert.state !== "firing" ? "unknown" : alert.severity === "critical" ? "down" : "degraded";
    const since = `${alert.state === "firing" ? alert.severity : alert.state} since ${moment(alert.since, at)}`;
    return element("li", null, { "data-state": tone },
      element("span", null, { class: "mark", "aria-hidden": "true" }),
      element("span", alert.summary, { class: "summary" }), " ", element("span", since, { class: "quiet" }));
  }));
}

export function showTotals({ totals, circuits, cache, ours }) {
  const open = circuits.open + circuits.half_open;
  const all = open + circuits.closed;
  const lost = Object.values(ours).reduce((sum, lost) => sum + lost, 0);
  const shown = [
    ["Calls/s", rate(totals.rate), totals.unattributed ? `${percent(totals.unattributed)} in no domain` : ""],
    ["Errors", percent(totals.error_ratio), "", totals.error_ratio >= 0.05 ? "bad" : ""],
    ["p50", duration(totals.p50), ""],
    ["p95", duration(totals.p95), ""],
    ["p99", duration(totals.p99), ""],
    ["In flight", String(totals.in_flight), ""],
    ["Cache hits", cache.enabled ? percent(cache.hit_ratio) : "off", cache.redis ? `Redis ${stateOf(cache.redis)}` : ""],
    ["Open circuits", String(open), `of ${all}`, open ? "bad" : ""],
  ];
  if (lost) shown.push(["Lost by us", String(lost), "see Inside", "bad"]);
  fill($("totals"), shown.map(([name, value, more, tone = ""]) => {
    const number = element("dd", value, { class: tone });
    if (more) number.append(element("small", more));
    return element("div", null, {}, element("dt", name), number);
  }));
}

export function showTrends({ trends = [] }) {
  $("trends").hidden = trends.length === 0;
  lines($("trends"), trends);
}

export function showRest({ config, version, started, at }) {
  lines($("notices"), config.notices);
  $("notices-part").hidden = config.notices.length === 0;
  put($("version"), version);
  put($("source"), `Configuration: ${config.source}. Running for ${ago(started, at)}.`);
}

export function stateWithReason(state, reason, circuit) {
  const known = stateOf(state);
  const why = [known === "healthy" ? "" : reason, circuit === "closed" ? "" : `circuit ${circuit.replace("_", " ")}`];
  const cell = element("div", null, {}, stateMark(known, known));
  const text = why.filter(Boolean).join("; ");
  if (text) cell.append(element("span", text, { class: "why" }));
  return cell;
}
