// The equity curve: one point a minute, closed hours left out, drawn by uPlot.
(() => {
  const host = document.getElementById("chart");
  const read = document.getElementById("chart-read");
  if (!host) return;
  const ZONE = "America/New_York";
  const times = [], values = [];
  let revision = -1, baseline = null, plot = null, range = "all", shown = [0, 0];
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone: ZONE, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat("en-GB", { timeZone: ZONE, weekday: "short", day: "numeric", month: "short" });
  const money = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const signed = (value) => (Math.abs(value) < 0.005 ? "0.00" : (value > 0 ? "+" : "−") + money.format(Math.abs(value)));
  const at = (index) => new Date(times[index] * 1000);
  const minuteOf = (index) => { const [h, m] = parts.format(at(index)).split(":"); return 60 * Number(h) + Number(m); };
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Keys of days and minutes are computed once a point, not once a frame.
  const days = [], minutes = [];
  const push = (time, value) => {
    times.push(time); values.push(value);
    days.push(day.format(at(times.length - 1))); minutes.push(minuteOf(times.length - 1));
  };
  const clear = () => { times.length = values.length = days.length = minutes.length = 0; };

  const opens = (index) => index > 0 && days[index] !== days[index - 1];
  const splits = (u, axis, low, high) => {
    const first = Math.max(0, Math.ceil(low)), last = Math.min(times.length - 1, Math.floor(high));
    const room = Math.max(2, Math.floor(u.bbox.width / devicePixelRatio / 84));
    const step = [1, 5, 15, 30, 60, 120].find((each) => (last - first) / each <= room) ?? 0;
    const found = [];
    for (let i = first; i <= last; i++) {
      if (opens(i) || (i > 0 && step && minutes[i] % step === 0)) found.push(i);
    }
    const least = (last - first) / room / 1.4;
    // Where two would touch, the day's name stays and the minute before it goes.
    return found.reduce((kept, index) => {
      const near = kept.length > 0 && index - kept[kept.length - 1] < least;
      if (near && opens(index)) kept.pop();
      if (!near || opens(index)) kept.push(index);
      return kept;
    }, []);
  };
  const label = (index) => (opens(index) ? days[index].replace(",", "").split(" ").slice(0, 2).join(" ") : parts.format(at(index)));

  const describe = (index) => {
    if (!times.length) { read.textContent = ""; return; }
    const i = index ?? times.length - 1;
    const change = values[i] - (baseline ?? values[0]);
    read.replaceChildren();
    const when = document.createElement("span"), value = document.createElement("b"), delta = document.createElement("span");
    when.textContent = `${days[i]} ${parts.format(at(i))}`; when.className = "quiet";
    value.textContent = money.format(values[i]);
    delta.textContent = signed(change); delta.className = change > 0.005 ? "up" : change < -0.005 ? "down" : "flat";
    read.append(when, value, delta);
  };

  const bounds = () => {
    const last = times.length - 1;
    if (range === "session") {
      let first = last;
      while (first > 0 && days[first - 1] === days[last]) first--;
      return [first, Math.max(first + 30, last)];
    }
    return [0, Math.max(30, last)];
  };

  const build = () => {
    plot?.destroy();
    const line = css("--accent"), grid = css("--grid"), text = css("--muted"), base = css("--faint");
    const axis = { stroke: text, font: `11px ${css("--font") || "sans-serif"}`, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    plot = new uPlot({
      width: host.clientWidth, height: host.clientHeight, padding: [10, 6, 0, 0],
      cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
      legend: { show: false },
      scales: {
        x: { time: false, range: () => shown },
        y: { range: (u, low, high) => {
          if (low == null) return [0, 1];
          // The baseline is in sight unless that would flatten the curve.
          const far = baseline == null || Math.max(baseline - high, low - baseline) > 1.5 * (high - low);
          const floor = far ? low : Math.min(low, baseline), top = far ? high : Math.max(high, baseline);
          const pad = Math.max((top - floor) * 0.08, Math.abs(top) * 0.0002, 0.5);
          return [floor - pad, top + pad];
        } },
      },
      axes: [
        { ...axis, splits, values: (u, found) => found.map(label), size: 28, gap: 6 },
        { ...axis, side: 1, size: 74, gap: 8, space: 36, values: (u, found) => found.map((value) => money.format(value).replace(/\.00$/, "")) },
      ],
      series: [{}, { stroke: line, width: 1.6, points: { show: false }, fill: (u) => {
        const fade = u.ctx.createLinearGradient(0, u.bbox.top, 0, u.bbox.top + u.bbox.height);
        fade.addColorStop(0, css("--accent-fill")); fade.addColorStop(1, "transparent");
        return fade;
      } }],
      hooks: {
        setCursor: [(u) => describe(u.cursor.idx)],
        drawAxes: [(u) => {
          if (baseline == null) return;
          const y = Math.round(u.valToPos(baseline, "y", true));
          if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) return;
          u.ctx.save();
          u.ctx.strokeStyle = base; u.ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]); u.ctx.lineWidth = devicePixelRatio;
          u.ctx.beginPath(); u.ctx.moveTo(u.bbox.left, y); u.ctx.lineTo(u.bbox.left + u.bbox.width, y); u.ctx.stroke();
          u.ctx.restore();
        }],
      },
    }, [[], []], host);
  };

  const draw = () => {
    if (times.length < 2) return;
    host.querySelector(".chart-empty")?.remove();
    shown = bounds();
    if (!plot) build();
    plot.setData([times.map((_, index) => index), values]);
    if (plot.cursor.idx == null) describe(null);
  };

  const load = async () => {
    const after = times.length ? times[times.length - 1] : 0;
    const answer = await fetch(`/api/v1/equity?after=${after}&revision=${revision}`, { headers: { "X-Holdfast": "1" } });
    if (!answer.ok) return;
    const found = await answer.json();
    if (found.revision !== revision) clear();
    revision = found.revision;
    baseline = found.baseline == null ? null : Number(found.baseline);
    for (const point of found.points) {
      const value = Number(point.equity);
      if (point.at === times[times.length - 1]) values[values.length - 1] = value;
      else push(point.at, value);
    }
    draw();
  };
  const turn = async () => {
    // A missed answer shows in the page's own banner.
    try { if (!document.hidden) await load(); } catch { /* tried again in a second */ }
    setTimeout(turn, 1000);
  };

  document.getElementById("ranges").addEventListener("click", (event) => {
    const button = event.target.closest("[data-range]");
    if (!button) return;
    range = button.dataset.range;
    for (const each of button.parentElement.children) each.setAttribute("aria-pressed", String(each === button));
    draw();
  });
  document.addEventListener("themechange", () => { if (plot) { build(); draw(); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (plot) { build(); draw(); } });
  new ResizeObserver(() => plot?.setSize({ width: host.clientWidth, height: host.clientHeight })).observe(host);
  turn();
})();
