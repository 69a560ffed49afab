// Puts the page together: follows the view, and shows the screen that the address names.
import { Charts } from "./charts.js";
import { $, mark, put } from "./dom.js";
import { showInside } from "./inside.js";
import { showOne } from "./one.js";
import { showAlerts, showRest, showSilence, showTotals, showTrends, showVerdict } from "./overview.js";
import { Rows } from "./rows.js";
import { follow } from "./stream.js";
import { stateOf, WORDS } from "./words.js";

const AGAIN = 2000;
const THEMES = ["auto", "light", "dark"];

const charts = new Charts();
const servers = new Rows("servers", "Every configured server; attempts, errors and durations of the last minute", "No server is configured.");
const domains = new Rows("domains", "Every domain; its requests, errors and durations of the last minute", "Nothing has been asked for so far.");
let view = null;
let screen = ["overview"];

function show(next) {
  view = next;
  put($("pulse"), "live");
  $("pulse").classList.remove("lost");
  const state = stateOf(view.overall.state);
  const title = `${state === "healthy" ? "" : `${WORDS[state]} · `}Trunkline`;
  if (document.title !== title) document.title = title;
  // Nobody sees the rest.
  if (document.hidden) return;
  showVerdict(view);
  showAlerts(view);
  showTotals(view);
  showTrends(view);
  showRest(view);
  if (screen[0] === "overview") {
    charts.show(view);
    servers.show(view.servers, view.at);
    domains.show(view.domains, view.at);
  }
}

function miss(silent) {
  put($("pulse"), `no word for ${Math.round(silent / 1000)} s`);
  $("pulse").classList.add("lost");
  showSilence(silent);
}

function asked() {
  const [kind, name] = location.hash.replace(/^#\/?/, "").split("/");
  if (kind === "inside") return ["inside"];
  try {
    if ((kind === "server" || kind === "domain") && name) return ["one", kind, decodeURIComponent(name)];
  } catch {
    // Somebody wrote an address by hand that names nothing.
  }
  return ["overview"];
}

function turn() {
  const before = screen;
  screen = asked();
  for (const name of ["overview", "one", "inside"]) $(name).hidden = name !== screen[0];
  for (const link of document.querySelectorAll("[data-screen]")) {
    if (link.dataset.screen === screen[0]) mark(link, "aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view) show(view);
  if (screen.join("/") !== before.join("/")) {
    $("one-body").replaceChildren();
    if (screen[0] === "one") put($("one-title"), screen[2]);
    window.scrollTo(0, 0);
    // Who came back stands where they left.
    if (screen[0] === "overview" && before[0] === "one") (before[1] === "server" ? servers : domains).focus(before[2]);
    else $({ overview: "sentence", one: "one-title", inside: "inside-title" }[screen[0]]).focus();
  }
  look();
}

let looking = 0;

async function look() {
  const turnNumber = ++looking;
  try {
    if (view && !document.hidden && screen[0] === "one") await showOne(screen[1], screen[2], view, () => turnNumber === looking);
    if (view && !document.hidden && screen[0] === "inside") await showInside(view);
  } catch {
    // The stream says that the gateway is away.
  }
  if (turnNumber === looking) setTimeout(() => { if (turnNumber === looking) look(); }, view ? AGAIN : 50);
}

function theme(step) {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme) + step) % THEMES.length] || "auto";
  root.dataset.theme = next;
  localStorage.setItem("trunkline-theme", next);
  put($("theme"), `Theme: ${next}`);
}

$("theme").addEventListener("click", () => theme(1));
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});
addEventListener("hashchange", turn);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && screen[0] !== "overview") location.hash = "#/";
});
addEventListener("visibilitychange", () => { if (view) show(view); });

theme(0);
turn();
follow(show, miss);
