// Charts: what a figure's data says, drawn by uPlot in the page's own colours. The same numbers stand in a table below.
"use strict";

const FORMATS = {
  count: new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }),
  usd: new Intl.NumberFormat("en", { style: "currency", currency: "USD", notation: "compact", maximumFractionDigits: 4 }),
};
const EXACT = new Intl.NumberFormat("en", { maximumFractionDigits: 9 });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const HOUR = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });

function shown(value, unit, exact) {
  if (value === null || value === undefined) return "–";
  if (unit === "ms") return value >= 1000 ? `${EXACT.format(Math.round(value / 100) / 10)} s` : `${EXACT.format(value)} ms`;
  if (unit === "usd" && exact) return `$${EXACT.format(value)}`;
  return exact ? EXACT.format(value) : FORMATS[unit].format(value);
}

function colour(figure, name) {
  const probe = document.createElement("span");
  probe.className = name;
  figure.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function translucent(rgb) {
  return rgb.startsWith("rgb(") ? rgb.replace("rgb(", "rgba(").replace(")", ", 0.1)") : rgb;
}

function tooltip(figure, data) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const when = (x) => data.step < 86400 ? `${DAY.format(x * 1000)}, ${HOUR.format(x * 1000)} UTC` : DAY.format(x * 1000);
  return {
    hooks: {
      init: (plot) => { plot.over.append(tip); },
      setCursor: (plot) => {
        const index = plot.cursor.idx;
        if (index === null || index === undefined || plot.cursor.left < 0) { tip.hidden = true; return; }
        tip.replaceChildren();
        const title = document.createElement("strong");
        title.textContent = when(data.x[index]);
        tip.append(title);
        for (const series of data.series) {
          const line = document.createElement("div");
          line.textContent = `${series.label}: ${shown(series.values[index], data.unit, true)}`;
          tip.append(line);
        }
        tip.hidden = false;
        const left = plot.cursor.left > plot.over.clientWidth / 2;
        tip.style.left = left ? "auto" : `${plot.cursor.left + 12}px`;
        tip.style.right = left ? `${plot.over.clientWidth - plot.cursor.left + 12}px` : "auto";
        tip.style.top = "4px";
      },
    },
  };
}

function drawn(figure) {
  const data = JSON.parse(figure.dataset.chart);
  const muted = colour(figure, "axis-colour");
  const line = colour(figure, "grid-colour");
  const font = `11px ${getComputedStyle(figure).fontFamily}`;
  const bars = uPlot.paths.bars({ size: [0.68, 22], radius: 0.12 });
  const series = data.series.map((one) => {
    const stroke = colour(figure, one.colour);
    const drawnAs = one.kind === "bars" ? { paths: bars, fill: stroke, width: 0 } : { width: 1.75, fill: one.fill ? translucent(stroke) : undefined };
    return { label: one.label, stroke, points: { show: false }, spanGaps: false, ...drawnAs };
  });
  // Of what stands on each other, the taller is drawn first and behind.
  const stacked = data.stacked ? data.series.map((_, index) => data.x.map((_x, at) => data.series.slice(index).reduce((sum, s) => sum + (s.values[at] || 0), 0))) : data.series.map((s) => s.values);
  const options = {
    width: figure.clientWidth - 24,
    height: figure.clientHeight - 10,
    padding: [10, 6, 0, 0],
    tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
    scales: {
      x: { range: (_plot, from, to) => [from - data.step / 2, to + data.step / 2] },
      y: { range: (_plot, _from, to) => [0, (to || 1) * 1.08] },
    },
    axes: [
      { stroke: muted, font, grid: { show: false }, ticks: { show: false }, gap: 6, size: 28, space: 64,
        values: (_plot, splits, _axis, _space, step) => splits.map((x) => step >= 86400 || new Date(x * 1000).getUTCHours() === 0 ? DAY.format(x * 1000) : HOUR.format(x * 1000)) },
      { stroke: muted, font, grid: { stroke: line, width: 1 }, ticks: { show: false }, gap: 6, size: 52, space: 36,
        values: (_plot, splits) => splits.map((value) => (data.unit === "count" && value % 1 ? "" : shown(value, data.unit, false))) },
    ],
    series: [{}, ...series],
    plugins: [tooltip(figure, data)],
  };
  return new uPlot(options, [data.x, ...stacked], figure);
}

const plots = new Map();

function draw() {
  for (const [figure, plot] of plots) {
    if (!figure.isConnected) { plot.destroy(); plots.delete(figure); }
  }
  for (const figure of document.querySelectorAll("[data-chart]")) {
    plots.get(figure)?.destroy();
    plots.set(figure, drawn(figure));
  }
}

document.addEventListener("DOMContentLoaded", () => {
  draw();
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
  document.addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  document.addEventListener("htmx:afterSettle", draw);
});
