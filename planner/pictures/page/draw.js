// The report's timeline on one canvas: each frame draws only what can be seen. act.js follows in the same function.
const DATA = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("timeline");
const tip = document.getElementById("tip");
const status = document.getElementById("view");
const shows = { critical: document.getElementById("critical"), arrows: document.getElementById("arrows") };
const ctx = canvas.getContext("2d");
const GUTTER = 62, TITLE = 24, AXIS = 26, RIGHT = 8;
const MOST_ARROWS = 600, LEAST_US = 20;

const panels = DATA.panels.map(prepare);
const end = Math.max(1, ...panels.map((panel) => panel.end));
const lanes = panels.reduce((sum, panel) => sum + panel.ranks, 0);
const LANE = lanes > 48 ? 14 : lanes > 24 ? 20 : 28;
const BAR = Math.round(LANE * 0.74);
let view = { from: 0, to: end };
let width = 0, height = 0, colors = {}, hatch = null, waiting = false;
let picked = null, step = -1;

// -- data -----------------------------------------------------------------------------------

function prepare(panel) {
  const lanesOf = Array.from({ length: panel.ranks }, () => []);
  const places = new Map();
  for (const [rank, start, stop, action, chain] of panel.bars) {
    const bar = { rank, start, stop, action, chain };
    lanesOf[rank].push(bar);
    places.set(rank + ":" + action, bar);
  }
  const arrows = panel.arrows.map(([source, target, start, stop, name, streams, chain]) => (
    { source, target, start, stop, name, streams, chain }));
  const chain = [...lanesOf.flat(), ...arrows].filter((item) => item.chain >= 0).sort((a, b) => a.chain - b.chain);
  const longest = arrows.reduce((most, arrow) => Math.max(most, arrow.stop - arrow.start), 0);
  return { title: panel.title, ranks: panel.ranks, end: panel.end, lanes: lanesOf, arrows, chain, places, longest };
}

// The first of items, sorted by start, that can still be seen at `at`, if none lasts longer than `longest`.
function firstAt(items, at, longest) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items[middle].start + longest < at) low = middle + 1; else high = middle;
  }
  return low;
}

function laneFirst(items, at) {
  // Bars of a lane do not overlap, so the one before the first that starts later is the only one under way.
  return Math.max(0, firstAt(items, at, 0) - 1);
}

// -- places ---------------------------------------------------------------------------------

const inner = () => Math.max(1, width - GUTTER - RIGHT);
const xOf = (at) => GUTTER + (at - view.from) / (view.to - view.from) * inner();
const atOf = (x) => view.from + (x - GUTTER) / inner() * (view.to - view.from);

function topOf(index) {
  let top = 0;
  for (let i = 0; i < index; i++) top += TITLE + panels[i].ranks * LANE;
  return top;
}

const yOf = (index, rank) => topOf(index) + TITLE + rank * LANE;

function edges(index, arrow) {
  const down = arrow.target > arrow.source;
  return [yOf(index, arrow.source) + (down ? BAR : 0), yOf(index, arrow.target) + (down ? 0 : BAR)];
}

// -- drawing --------------------------------------------------------------------------------

function restyle() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "soft", "rule", "lane", "arrow", "critical"]) {
    colors[name] = style.getPropertyValue("--" + name).trim();
  }
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  pen.strokeStyle = "#ffffff";
  pen.lineWidth = 1.6;
  for (const shift of [-6, 0, 6]) { pen.beginPath(); pen.moveTo(shift, 6); pen.lineTo(shift + 6, 0); pen.stroke(); }
  hatch = ctx.createPattern(tile, "repeat");
  ask();
}

function resize() {
  width = canvas.clientWidth;
  height = topOf(panels.length) + AXIS;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = height + "px";
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ask();
}

function ask() {
  if (!waiting) { waiting = true; requestAnimationFrame(draw); }
}

function draw() {
  waiting = false;
  ctx.fillStyle = colors.paper;
  ctx.fillRect(0, 0, width, height);
  ctx.textBaseline = "middle";
  panels.forEach(drawPanel);
  drawAxis();
  canvas.dataset.from = view.from;
  canvas.dataset.to = view.to;
  const digit = (view.to - view.from) / 1000;
  status.textContent = `${ms(view.from, digit)} to ${ms(view.to, digit)} of ${ms(end, digit)} ms`;
}

function drawPanel(panel, index) {
  ctx.font = "600 12.5px system-ui, sans-serif";
  ctx.fillStyle = colors.ink;
  ctx.fillText(panel.title, 2, topOf(index) + TITLE / 2);
  ctx.save();
  ctx.beginPath();
  ctx.rect(GUTTER, topOf(index) + TITLE - 3, inner(), panel.ranks * LANE + 3);
  ctx.clip();
  panel.lanes.forEach((bars, rank) => drawLane(panel, bars, yOf(index, rank)));
  if (shows.arrows.checked) drawArrows(panel, index);
  if (shows.critical.checked) drawChain(panel, index);
  if (picked && picked.index === index && picked.bar) frame(picked.bar, index, colors.ink, 2);
  ctx.restore();
  ctx.font = "11px system-ui, sans-serif";
  ctx.fillStyle = colors.soft;
  for (let rank = 0; rank < panel.ranks; rank++) ctx.fillText("rank " + rank, 2, yOf(index, rank) + BAR / 2);
}

function drawLane(panel, bars, y) {
  ctx.fillStyle = colors.lane;
  const left = Math.max(GUTTER, xOf(0)), right = Math.min(width - RIGHT, xOf(panel.end));
  ctx.fillRect(left, y, Math.max(0, right - left), BAR);
  let column = -1, filled = 0, color = 0;
  const flush = () => {
    if (column < 0) return;
    ctx.globalAlpha = Math.min(1, 0.25 + filled);
    ctx.fillStyle = DATA.palette[color];
    ctx.fillRect(column, y, 1, BAR);
    ctx.globalAlpha = 1;
    column = -1;
  };
  for (let i = laneFirst(bars, view.from); i < bars.length && bars[i].start < view.to; i++) {
    const x = xOf(bars[i].start), wide = xOf(bars[i].stop) - x;
    if (wide >= 1.5) { flush(); drawBar(bars[i], x, y, wide); continue; }
    if (Math.floor(x) !== column) { flush(); column = Math.floor(x); filled = 0; color = partsOf(bars[i])[0][1]; }
    filled += wide;
  }
  flush();
}

const partsOf = (bar) => DATA.actions[bar.action][1];

function drawBar(bar, x, y, wide) {
  const parts = partsOf(bar), tall = BAR / parts.length;
  const gap = wide > 4 ? 0.6 : 0;
  parts.forEach(([label, color, hatched], place) => {
    const top = y + place * tall;
    ctx.fillStyle = DATA.palette[color];
    ctx.fillRect(x, top, wide - gap, tall - (parts.length > 1 ? 0.6 : 0));
    if (hatched && wide > 4) { ctx.fillStyle = hatch; ctx.fillRect(x, top, wide - gap, tall); }
    if (label && wide > label.length * 6.2 + 3 && tall >= 8) write(label, color, hatched, x, top, wide, tall);
  });
}

function write(label, color, hatched, x, top, wide, tall) {
  ctx.font = (tall < 11 ? "9" : "11") + "px system-ui, sans-serif";
  ctx.textAlign = "center";
  // A long bar's label stays in sight.
  const left = Math.max(x, GUTTER), right = Math.min(x + wide, width - RIGHT);
  const middle = (left + right) / 2;
  if (hatched) {
    ctx.lineWidth = 3;
    ctx.strokeStyle = DATA.palette[color];
    ctx.strokeText(label, middle, top + tall / 2);
  }
  ctx.fillStyle = DATA.inks[color];
  ctx.fillText(label, middle, top + tall / 2);
  ctx.textAlign = "left";
}

function shownArrows(panel) {
  const found = [];
  for (let i = firstAt(panel.arrows, view.from, panel.longest); i < panel.arrows.length; i++) {
    const arrow = panel.arrows[i];
    if (arrow.start > view.to) break;
    if (arrow.stop >= view.from) found.push(arrow);
    if (found.length > MOST_ARROWS) return [];
  }
  return found;
}

function drawArrows(panel, index) {
  ctx.strokeStyle = ctx.fillStyle = colors.arrow;
  ctx.lineWidth = 0.9;
  for (const arrow of shownArrows(panel)) {
    const [leaves, arrives] = edges(index, arrow);
    const x = xOf(arrow.start), to = xOf(arrow.stop);
    ctx.setLineDash(arrow.streams ? [4, 3] : []);
    ctx.beginPath();
    ctx.moveTo(x, leaves);
    ctx.lineTo(to, arrives);
    ctx.stroke();
    const angle = Math.atan2(arrives - leaves, to - x);
    ctx.beginPath();
    ctx.moveTo(to, arrives);
    for (const turn of [-0.4, 0.4]) ctx.lineTo(to - 6 * Math.cos(angle + turn), arrives - 6 * Math.sin(angle + turn));
    ctx.fill();
  }
  ctx.setLineDash([]);
}

function drawChain(panel, index) {
  ctx.strokeStyle = colors.critical;
  ctx.lineWidth = 2;
  ctx.lineJoin = "round";
  ctx.beginPath();
  let begun = false;
  for (const item of panel.chain) {
    if (item.stop < view.from || item.start > view.to) continue;
    const isBar = item.rank !== undefined;
    const [a, b] = isBar ? [yOf(index, item.rank), yOf(index, item.rank)] : edges(index, item);
    if (begun) ctx.lineTo(xOf(item.start), a); else ctx.moveTo(xOf(item.start), a);
    ctx.lineTo(xOf(item.stop), b);
    begun = true;
  }
  ctx.stroke();
  for (const item of panel.chain) {
    const wide = xOf(item.stop) - xOf(item.start);
    if (item.rank !== undefined && wide > 5 && item.stop >= view.from && item.start <= view.to) {
      frame(item, index, colors.critical, 2);
    }
  }
}

function frame(bar, index, color, line) {
  ctx.strokeStyle = color;
  ctx.lineWidth = line;
  ctx.strokeRect(xOf(bar.start), yOf(index, bar.rank), Math.max(1, xOf(bar.stop) - xOf(bar.start)), BAR);
}

function drawAxis() {
  const y = topOf(panels.length) + 2, span = view.to - view.from;
  let unit = 10 ** Math.floor(Math.log10(span / 8));
  const tick = [1, 2, 5, 10].map((times) => unit * times).find((size) => span / size <= Math.max(3, inner() / 90));
  ctx.strokeStyle = colors.soft;
  ctx.fillStyle = colors.ink;
  ctx.lineWidth = 1;
  ctx.font = "11px system-ui, sans-serif";
  ctx.textAlign = "center";
  ctx.beginPath();
  for (let at = Math.ceil(view.from / tick) * tick; at <= view.to; at += tick) {
    const x = xOf(at);
    ctx.moveTo(x, y);
    ctx.lineTo(x, y + 5);
    ctx.fillText(ms(at, tick), x, y + 14);
  }
  ctx.moveTo(GUTTER, y);
  ctx.lineTo(width - RIGHT, y);
  ctx.stroke();
  ctx.textAlign = "left";
  ctx.fillText("ms", 2, y + 14);
}

// As many digits as tell neighbouring ticks, or microseconds, apart.
function ms(at, tick) {
  const digits = tick === undefined ? 3 : Math.max(0, Math.min(3, 3 - Math.floor(Math.log10(tick))));
  return (at / 1000).toFixed(digits).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}
