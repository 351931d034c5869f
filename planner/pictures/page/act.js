// What the reader does with the timeline: zoom, pan, follow the critical path, ask what is under the pointer.
// draw.js stands before it in the same function.
// -- zooming and panning --------------------------------------------------------------------

function look(from, to) {
  const span = Math.min(end, Math.max(LEAST_US, to - from));
  from = Math.min(Math.max(0, from), end - span);
  view = { from, to: from + span };
  ask();
}

function zoom(factor, x) {
  const at = x === undefined ? (view.from + view.to) / 2 : atOf(x);
  const span = Math.min(end, Math.max(LEAST_US, (view.to - view.from) * factor));
  const share = (at - view.from) / (view.to - view.from);
  look(at - share * span, at + (1 - share) * span);
}

function pan(share) {
  const by = share * (view.to - view.from);
  look(view.from + by, view.to + by);
}

const fit = () => look(0, end);

function follow(way) {
  const { chain } = panels[0];
  if (!chain.length) return;
  step = Math.min(chain.length - 1, Math.max(0, step + way));
  const item = chain[step], span = Math.min(view.to - view.from, 6 * Math.max(1, item.stop - item.start));
  const middle = (item.start + item.stop) / 2;
  look(middle - span / 2, middle + span / 2);
  picked = item.rank === undefined ? { index: 0, arrow: item } : { index: 0, bar: item };
  const y = item.rank === undefined ? edges(0, item)[1] : yOf(0, item.rank);
  tell(xOf(middle), y + BAR);
}

const KEYS = {
  "+": () => zoom(1 / 1.5), "=": () => zoom(1 / 1.5), "-": () => zoom(1.5), "0": fit, Home: fit,
  ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), n: () => follow(1), p: () => follow(-1),
  Escape: () => { picked = null; tip.hidden = true; ask(); },
};

canvas.addEventListener("keydown", (event) => {
  const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : KEYS[event.key];
  if (act) { act(); event.preventDefault(); }
});

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 16 : 1;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    pan((event.deltaX || event.deltaY) * lines / inner());
  } else {
    zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * lines / 400))), event.offsetX);
  }
}, { passive: false });

let held = null;
canvas.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  held = { x: event.clientX, from: view.from };
  canvas.setPointerCapture(event.pointerId);
  canvas.classList.add("dragged");
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => { held = null; canvas.classList.remove("dragged"); });
}
canvas.addEventListener("pointerleave", () => { picked = null; tip.hidden = true; ask(); });
canvas.addEventListener("pointermove", (event) => {
  if (held) {
    const span = view.to - view.from, from = held.from - (event.clientX - held.x) / inner() * span;
    look(from, from + span);
    tip.hidden = true;
    return;
  }
  picked = pick(event.offsetX, event.offsetY);
  if (picked) tell(event.offsetX, event.offsetY); else tip.hidden = true;
  ask();
});

const act = { in: () => zoom(1 / 1.5), out: () => zoom(1.5), fit, back: () => pan(-0.5), on: () => pan(0.5) };
for (const [name, doing] of Object.entries(act)) document.getElementById("zoom-" + name).addEventListener("click", doing);
for (const box of Object.values(shows)) box.addEventListener("change", ask);
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  restyle();
});

// -- what is under the pointer --------------------------------------------------------------

function pick(x, y) {
  const at = atOf(x), slack = (view.to - view.from) / inner();
  for (let index = 0; index < panels.length; index++) {
    const panel = panels[index];
    const rank = Math.floor((y - yOf(index, 0)) / LANE);
    if (rank < 0 || rank >= panel.ranks || x < GUTTER) continue;
    const arrow = shows.arrows.checked ? arrowAt(panel, index, x, y) : null;
    if (arrow) return { index, arrow };
    if (y - yOf(index, rank) > BAR) continue;
    const bars = panel.lanes[rank];
    for (let i = laneFirst(bars, at - slack); i < bars.length && bars[i].start <= at + slack; i++) {
      if (bars[i].stop >= at - slack) return { index, bar: bars[i] };
    }
    if (at >= 0 && at <= panel.end) return { index, idle: rank, ...between(bars, at, panel.end) };
  }
  return null;
}

function between(bars, at, last) {
  const next = bars.findIndex((bar) => bar.start > at), before = next < 0 ? bars.length - 1 : next - 1;
  return { start: before < 0 ? 0 : bars[before].stop, stop: next < 0 ? last : bars[next].start };
}

function arrowAt(panel, index, x, y) {
  let best = null, least = 4;
  for (const arrow of shownArrows(panel)) {
    const [y0, y1] = edges(index, arrow), x0 = xOf(arrow.start), x1 = xOf(arrow.stop);
    const along = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / Math.max(1e-9, (x1 - x0) ** 2 + (y1 - y0) ** 2);
    const share = Math.max(0, Math.min(1, along));
    const far = Math.hypot(x - x0 - share * (x1 - x0), y - y0 - share * (y1 - y0));
    if (far < least) { least = far; best = arrow; }
  }
  return best;
}

function describe({ index, bar, arrow, idle, start, stop }) {
  const span = (item) => `${ms(item.start)} to ${ms(item.stop)} ms, lasts ${ms(item.stop - item.start)} ms`;
  const chain = (item) => (item.chain >= 0 ? ["on the critical path"] : []);
  if (arrow) {
    const way = `from rank ${arrow.source} to rank ${arrow.target}${arrow.streams ? ", layer by layer" : ""}`;
    return [DATA.payloads[arrow.name], way, span(arrow), ...chain(arrow)];
  }
  if (bar === undefined) return [`rank ${idle} is idle`, span({ start, stop })];
  const lines = [DATA.actions[bar.action][0], `rank ${bar.rank}, ${panels[index].title}`, span(bar), ...chain(bar)];
  panels.forEach((other, place) => {
    const twin = place === index ? undefined : other.places.get(bar.rank + ":" + bar.action);
    if (twin) lines.push(`${other.title}: ${span(twin)}`);
  });
  return lines;
}

function tell(x, y) {
  tip.textContent = describe(picked).join("\n");
  tip.hidden = false;
  const room = width - tip.offsetWidth - 4;
  tip.style.left = Math.max(0, Math.min(x + 14, room)) + "px";
  tip.style.top = y + 16 + "px";
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
new ResizeObserver(resize).observe(canvas.parentElement);
restyle();
resize();
