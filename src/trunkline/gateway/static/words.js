// Numbers and moments as people read them.

export const WORDS = { healthy: "All is well", degraded: "In trouble", down: "Down", unknown: "Not known yet" };
const STATES = ["healthy", "degraded", "down", "unknown"];
export const stateOf = (state) => (STATES.includes(state) ? state : "unknown");

export function ago(then, now) {
  const seconds = Math.max(0, Math.round(now - then));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

// Coarser, for tables: it changes seldom.
export function about(then, now) {
  const seconds = Math.max(0, now - then);
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return ago(then, now);
}

export function moment(then, now) {
  const date = new Date(then * 1000);
  const isToday = date.toDateString() === new Date(now * 1000).toDateString();
  const time = date.toLocaleTimeString([], { hour12: false });
  return isToday ? time : `${date.toLocaleDateString()} ${time}`;
}

export function duration(seconds) {
  if (seconds === undefined) return "–";
  if (seconds === 0) return "0 ms";
  if (seconds < 0.0995) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  return seconds < 0.9995 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
}

export const percent = (ratio) =>
  ratio === undefined ? "–" : `${(ratio * 100).toFixed(ratio > 0 && ratio < 0.1 ? 1 : 0)} %`;

export const rate = (value) => (value === 0 ? "0" : value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString());

export const count = (value, one, many = `${one}s`) => `${value.toLocaleString()} ${value === 1 ? one : many}`;

export function size(bytes) {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
