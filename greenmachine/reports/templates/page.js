const read = (id) => JSON.parse(document.getElementById(id).textContent);
const rows = (columns) => {
  const [names, values] = [Object.keys(columns), Object.values(columns)];
  return values[0].map((_, row) => Object.fromEntries(names.map((name, i) => [name, values[i][row]])));
};
const datasets = Object.fromEntries(Object.entries(read("data")).map(([name, table]) => [name, rows(table)]));
const config = read("config");
const tip = document.getElementById("tip");

// One tooltip for everything that has a text, below it and inside of the window.
const show = (element, text) => {
  tip.textContent = text;
  tip.classList.add("visible");
  const place = element.getBoundingClientRect(), size = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(place.left, innerWidth - size.width - 8))}px`;
  const below = place.bottom + 6;
  tip.style.top = `${below + size.height < innerHeight ? below : place.top - size.height - 6}px`;
};
const hide = () => tip.classList.remove("visible");
for (const element of document.querySelectorAll("[data-tip]")) {
  for (const event of ["pointerenter", "focus"])
    element.addEventListener(event, () => show(element, element.dataset.tip));
  for (const event of ["pointerleave", "blur"]) element.addEventListener(event, hide);
}

// The arrow keys go from value to value of a chart, as the pointer does.
const keys = (place) => {
  let at = -1;
  const point = (type, mark) => {
    const box = mark.getBoundingClientRect();
    const centre = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
    mark.dispatchEvent(new PointerEvent(type, { bubbles: true, ...centre }));
  };
  place.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const marks = [...place.querySelectorAll("svg *")].filter((mark) => mark.__data__?.tooltip);
    if (!step || !marks.length) return;
    event.preventDefault();
    if (at >= 0) point("pointerout", marks[at]);
    at = Math.max(0, Math.min(marks.length - 1, at + step));
    for (const type of ["pointerover", "pointermove"]) point(type, marks[at]);
  });
  place.addEventListener("blur", () => at >= 0 && point("pointerout", place.querySelector("svg")));
};

for (const place of document.querySelectorAll(".vega")) {
  const spec = JSON.parse(place.querySelector("script").textContent);
  vegaEmbed(place, { ...spec, datasets }, {
    mode: "vega-lite",
    logLevel: 1, // errors
    renderer: "svg",
    config,
    ast: true, // no code is made from text: the page's own policy forbids that
    actions: { export: true, source: false, compiled: false, editor: false },
    tooltip: { disableDefaultStyle: true, theme: "page" },
  }).then(() => keys(place));
}
