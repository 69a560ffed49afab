// One server or domain: its tools or operations, then its calls that failed and those that took longest.
import { $, element, fill, put, stateMark, table } from "./dom.js";
import { stateWithReason } from "./overview.js";
import { about, count, duration, moment, percent } from "./words.js";

const AVAILABLE = { available: "healthy", degraded: "degraded", unavailable: "down", unknown: "unknown" };

function calls(title, none, found, at) {
  const parts = [element("h2", `${title}`)];
  if (!found.length) return [...parts, element("p", none, { class: "quiet" })];
  const columns = [{ name: "Tool" }, { name: "Outcome" }, { name: "When" }, { name: "Took", number: true }, { name: "Where from" }, { name: "Trace" }];
  const rows = found.map((call) => {
    const failed = !["ok", "cancelled"].includes(call.outcome);
    const from = [
      call.attempts === 1 ? "1 attempt" : `${call.attempts} attempts`,
      `cache ${call.cache}`, call.fallback ? `fallback ${call.fallback}` : "", call.server && `server ${call.server}`,
      `domain ${call.domain}`, failed && call.may_have_run ? "may have run" : failed ? "has not run" : "",
    ];
    return [
      call.tool, failed ? stateMark("down", call.outcome) : stateMark("healthy", call.outcome),
      element("time", `${moment(call.at, at)}`, { datetime: new Date(call.at * 1000).toISOString() }), duration(call.duration),
      element("span", from.filter(Boolean).join(", "), { class: "quiet" }),
      element("code", call.trace_id || call.id),
    ];
  });
  return [...parts, table(title, columns, rows)];
}

// A tool that is not as it was accepted says what differs: refused, or allowed to by the policy.
function callable({ availability, mismatch }) {
  const mark = stateMark(AVAILABLE[availability.state] || "unknown", mismatch?.is_refused ? "refused" : availability.state);
  return mismatch ? [mark, element("span", `${mismatch.reason}; accept it: ${mismatch.command}`, { class: "why" })] : [mark];
}

function tools(told) {
  const columns = [{ name: "Tool" }, { name: "Can be called" }, { name: "May run twice" }, { name: "Calls", number: true }, { name: "Errors", number: true }, { name: "p50", number: true }, { name: "p95", number: true }, { name: "p99", number: true }];
  const rows = told.tools.map((tool) => [
    element("span", null, {}, element("span", tool.name), element("span", tool.description, { class: "why" })),
    element("span", null, {}, ...callable(tool)),
    tool.repeatable ? "yes" : "no", String(tool.calls), percent(tool.error_ratio), duration(tool.p50), duration(tool.p95), duration(tool.p99),
  ]);
  const title = `${count(told.tools.length, "tool")}, last ten minutes`;
  return [element("h2", title), rows.length ? table(title, columns, rows) : element("p", "No tool is known.", { class: "quiet" })];
}

function operations(told) {
  const columns = [{ name: "Operation" }, { name: "Outcomes, since the start" }];
  const rows = told.operations.map((operation) => [
    operation.name, Object.entries(operation.outcomes).map(([outcome, times]) => `${outcome} ${times.toLocaleString()}`).join(", "),
  ]);
  const figures = [`${count(told.calls, "request")} in the last ten minutes`];
  if (told.calls) figures.push(`${percent(told.error_ratio)} failed`, `p50 ${duration(told.p50)}`, `p95 ${duration(told.p95)}`, `p99 ${duration(told.p99)}`);
  return [element("p", `${figures.join(", ")}.`, { class: "quiet" }), element("h2", count(rows.length, "operation")), table("Operations", columns, rows)];
}

// `isWanted` says whether it still is what somebody looks at, once the answer is there.
export async function showOne(kind, name, view, isWanted) {
  put($("one-title"), name);
  const answer = await fetch(`/api/v1/${kind}?name=${encodeURIComponent(name)}`, { cache: "no-store" });
  if (!isWanted()) return;
  if (!answer.ok) {
    fill($("one-body"), [element("p", answer.status === 404 ? `There is no ${kind} of that name any more.` : "The gateway did not answer.")]);
    return;
  }
  const told = await answer.json();
  if (!isWanted()) return;
  const at = view.at;
  const row = (kind === "server" ? view.servers : view.domains)[name];
  const lead = element("div", null, { class: "lead" });
  if (row && kind === "server") {
    lead.append(stateWithReason(row.state, row.reason, row.circuit),
      element("p", `For ${about(row.since, at)}; ${told.places.join(", ")}; ${row.era ? `speaks ${row.era}` : "not connected so far"}.`, { class: "quiet" }));
  }
  const parts = [lead, ...(kind === "server" ? tools(told) : operations(told)),
    ...calls("Calls that failed, the latest first", "None has failed since the gateway was started.", told.failed, at),
    ...calls("The slowest calls of the last ten minutes", "There was none.", told.slow, at)];
  fill($("one-body"), parts);
}
