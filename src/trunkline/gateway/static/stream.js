// The view as the gateway tells it: whole at first, then as JSON Merge Patches (RFC 7396).

const STALE = 3500;
const AGAIN = 2000;

export function patched(target, patch) {
  const made = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete made[name];
    else if (typeof value === "object" && !Array.isArray(value)) {
      const before = made[name];
      made[name] = patched(before && typeof before === "object" && !Array.isArray(before) ? before : {}, value);
    } else made[name] = value;
  }
  return made;
}

// `show` is given every view, `miss` is told for how many milliseconds there has been none.
export function follow(show, miss) {
  let view = null;
  let heard = performance.now();
  let source;

  function take(next) {
    view = next;
    heard = performance.now();
    show(view);
  }

  function open() {
    source = new EventSource("/api/v1/events");
    source.addEventListener("view", (event) => take(JSON.parse(event.data)));
    source.addEventListener("patch", (event) => { if (view) take(patched(view, JSON.parse(event.data))); });
    source.addEventListener("error", () => {
      // It tries again by itself unless it was refused.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, AGAIN);
    });
  }

  open();
  setInterval(() => {
    const silent = performance.now() - heard;
    if (silent > STALE) miss(silent);
  }, 500);
}
