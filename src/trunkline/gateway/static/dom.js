// Making and changing elements. Texts come from servers that nobody vouches for: they are only ever set as text.

export const $ = (id) => document.getElementById(id);

export function element(tag, text, attributes = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Written only where it differs, so that a screen reader and a selection are left in peace.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

export function lines(node, texts) {
  if ([...node.children].map((item) => item.textContent).join("\n") === texts.join("\n")) return;
  node.replaceChildren(...texts.map((text) => element("li", text)));
}

// Replaced only where it differs, child by child: focus and selection stay where nothing has changed.
export function fill(node, fresh) {
  fresh.forEach((made, index) => {
    const old = node.children[index];
    if (!old) node.append(made);
    else if (!old.isEqualNode(made)) old.replaceWith(made);
  });
  while (node.children.length > fresh.length) node.lastElementChild.remove();
}

export function stateMark(state, text) {
  return element("span", null, { class: "state", "data-state": state },
    element("span", null, { class: "mark", "aria-hidden": "true" }), text);
}

// A table that a narrow screen shows as cards; roles are said, since `display` takes them away.
export function table(caption, columns, rows) {
  const head = columns.map(({ name, number }) =>
    element("th", name, { scope: "col", role: "columnheader", class: number ? "n" : "" }));
  const body = rows.map((cells) => element("tr", null, { role: "row" }, ...cells.map((cell, index) => {
    const { name, number } = columns[index];
    const made = index === 0
      ? element("th", null, { scope: "row", role: "rowheader" })
      : element("td", null, { role: "cell", "data-label": name, class: number ? "n" : "" });
    made.append(cell);
    return made;
  })));
  return element("table", null, { role: "table" },
    element("caption", caption, { class: "hidden" }),
    element("thead", null, { role: "rowgroup" }, element("tr", null, { role: "row" }, ...head)),
    element("tbody", null, { role: "rowgroup" }, ...body));
}
