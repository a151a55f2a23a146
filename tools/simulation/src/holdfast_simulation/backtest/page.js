// The report of a backtest: figures, curves with closed hours left out, trades on the price, and who blocked what.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const found = data.backtest ?? {};
  const byId = (id) => document.getElementById(id);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const zone = found.zone ?? "UTC";
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short" });
  const year = new Intl.DateTimeFormat("en-GB", { timeZone: zone, day: "numeric", month: "short", year: "numeric" });
  const money = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const percent = (value, digits = 2) => (value == null ? "–" : `${(100 * value).toFixed(digits).replace("-", "−")} %`);
  const ratio = (value) => (value == null ? "–" : value.toFixed(2).replace("-", "−"));
  const signed = (value) => (value < 0 ? "down" : value > 0 ? "up" : "flat");
  const make = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text != null) made.textContent = text;
    if (name) made.className = name;
    return made;
  };

  // Light or dark: as the system, or as chosen here.
  const plots = [];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const rebuild = () => { for (const each of plots) each.build(); };
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches) ? "light" : "dark";
    rebuild();
  });
  dark.addEventListener("change", rebuild);

  // Tables.
  const rows = (card, listed) => {
    const count = byId(card).querySelector(".count");
    if (count) count.textContent = listed.length;
    const body = byId(card).querySelector("tbody");
    for (const cells of listed) {
      const row = make("tr");
      for (const [text, name] of cells) row.append(make("td", text, name));
      body.append(row);
    }
    if (!listed.length) {
      const row = make("tr"), cell = make("td", "None", "quiet");
      cell.colSpan = 20; row.append(cell); body.append(row);
    }
  };
  // Of a grid there is one table, the best first.
  if (data.grid) {
    for (const each of document.querySelectorAll("main > :not(#grid-card)")) each.remove();
    const keys = Object.keys(data.grid[0].settings);
    const head = byId("grid-card").querySelector("thead tr");
    head.append(...keys.map((each) => make("th", each)));
    head.append(...["Return", "Volatility", "Sharpe", "Sortino", "Drawdown", "Profit factor", "Win rate", "Trades", "Turnover", "Costs"].map((each) => make("th", each, "r")));
    rows("grid-card", data.grid.map(({ settings, figures: f }) => [
      ...keys.map((key) => [String(settings[key])]),
      [percent(f.total_return), `num ${signed(f.total_return)}`],
      ...[percent(f.volatility), ratio(f.sharpe), ratio(f.sortino), percent(f.max_drawdown), ratio(f.profit_factor), percent(f.win_rate, 0), whole.format(f.trades), ratio(f.turnover), money.format(Number(f.costs))].map((each) => [each, "num"]),
    ]));
    return;
  }
  byId("grid-card").remove();

  // Figures.
  const f = found.figures;
  const dollars = Number(data.equity);
  const figures = [
    ["Return", percent(f.total_return), `equity ${money.format(dollars)}`, signed(f.total_return)],
    ["Maximum drawdown", percent(f.max_drawdown), "from the highest before"],
    ["Volatility", percent(f.volatility), "a year, of daily returns"],
    ["Sharpe", ratio(f.sharpe), "a year, of daily returns"],
    ["Sortino", ratio(f.sortino), "a year, of daily returns"],
    ["Profit factor", ratio(f.profit_factor), "gains over losses"],
    ["Win rate", percent(f.win_rate, 0), `of ${f.trades} trades`],
    ["Exposure", percent(f.exposure, 1), "on average"],
    ["Turnover", `${ratio(f.turnover)} ×`, "the mean equity"],
    ["Costs", money.format(Number(f.costs)), "fees and commission"],
  ];
  const one = (name, value, what, tone = "") => {
    const box = make("div", null, "kpi");
    box.append(make("div", name, "k"), make("div", value, `v num ${tone}`), make("div", what, "s quiet"));
    return box;
  };
  byId("figures").append(...figures.map((each) => one(...each)));
  const from = new Date(data.recording.from), to = new Date(data.recording.to);
  byId("span").textContent = [...new Set([year.format(from), year.format(to)])].join(" – ");

  const blocked = [...found.blocked].sort((a, b) => b.count - a.count);
  rows("blocked-card", blocked.map((each) => [[each.gate], [each.reason], [whole.format(each.count), "num"]]));
  byId("blocked-card").querySelector(".count").textContent = whole.format(blocked.reduce((sum, each) => sum + each.count, 0));
  const MOST = 500;
  rows("fills-card", data.fills.slice(0, MOST).map((fill) => {
    const at = new Date(fill.filled_at), gain = Number(fill.realised_pnl);
    return [
      [`${day.format(at)} ${clock.format(at)}`, "num l"], [fill.symbol], [fill.strategy], [fill.side, `side ${fill.side}`],
      [fill.quantity, "num"], [fill.price, "num"], [fill.side === "sell" ? money.format(gain).replace("-", "−") : "", `num ${signed(gain)}`],
    ];
  }));
  byId("fills-card").querySelector(".count").textContent =
    data.fills.length > MOST ? `the first ${MOST} of ${data.fills.length}; the JSON report has all` : data.fills.length;
  const facts = byId("about-card").querySelector("dl");
  const fact = (name, text) => {
    const box = make("div");
    box.append(make("dt", name), make("dd", text)); facts.append(box);
  };
  const flat = (parameters) => Object.entries(parameters).flatMap(([key, value]) =>
    (value !== null && typeof value === "object" ? flat(value) : [`${key.replaceAll("_", " ")} ${value}`]));
  for (const [name, { kind, ...parameters }] of Object.entries(found.strategies)) fact(name, [kind, ...flat(parameters)].join(" · "));
  for (const [name, value] of Object.entries(found.assumptions)) fact(name.replaceAll("_", " "), value);
  for (const note of data.recording.notes) fact("note", note);
  const held = data.invariants.filter((each) => each.held).length;
  fact("invariants", `${held} of ${data.invariants.length} held`);

  // Charts: x is the place of a point, so that closed hours take no room.
  const axisOf = (times) => {
    const days = times.map((at) => day.format(new Date(1000 * at)));
    const minutes = times.map((at) => { const [h, m] = clock.format(new Date(1000 * at)).split(":"); return 60 * h + Number(m); });
    const opens = (index) => index === 0 || days[index] !== days[index - 1];
    const passes = (index, step) => Math.floor(minutes[index] / step) !== Math.floor(minutes[index - 1] / step);
    const chosen = (first, last, step) => {
      const places = [];
      for (let i = first; i <= last; i++) if (opens(i) || (step && passes(i, step))) places.push(i);
      return places;
    };
    return {
      splits: (u, _axis, low, high) => {
        const first = Math.max(0, Math.ceil(low)), last = Math.min(times.length - 1, Math.floor(high));
        const room = Math.max(2, Math.floor(u.bbox.width / devicePixelRatio / 72)), least = (last - first) / room / 1.4;
        const steps = [5, 15, 30, 60, 120, 180, 360];
        const step = steps.find((each) => chosen(first, last, each).length <= room) ?? 0;
        const all = chosen(first, last, step), thin = Math.ceil(all.length / room);
        // Where two would touch, the day's name stays.
        return all.filter((place, index) => (step ? opens(place) || all.every((each) => !opens(each) || Math.abs(each - place) >= least) : index % thin === 0));
      },
      label: (index) => (opens(index) ? days[index] : clock.format(new Date(1000 * times[index]))),
      when: (index) => `${days[index]} ${clock.format(new Date(1000 * times[index]))}`,
    };
  };
  const line = (id, times, values, shown, colour, { zero = false, marks = [] } = {}) => {
    const host = byId(id), read = host.closest(".card").querySelector(".chart-read"), axis = axisOf(times);
    let plot = null;
    const describe = (index) => {
      const i = index ?? times.length - 1;
      read.replaceChildren(make("span", axis.when(i), "quiet"), make("b", shown(values[i])));
      const mark = marks.find((each) => each.place === i);
      if (mark) read.append(make("span", mark.words, `side ${mark.side}`));
    };
    const build = () => {
      plot?.destroy();
      const look = { stroke: css("--muted"), font: `11px ${css("--font")}`, grid: { stroke: css("--grid"), width: 1 }, ticks: { show: false } };
      plot = new uPlot({
        width: host.clientWidth - 10, height: host.clientHeight, padding: [10, 6, 0, 16], legend: { show: false },
        cursor: { y: false, drag: { x: true, y: false } },
        scales: { x: { time: false }, y: { range: (_u, low, high) => {
          const floor = zero ? Math.min(0, low) : low, top = zero ? Math.max(0, high) : high;
          const pad = Math.max((top - floor) * 0.08, Math.abs(top) * 1e-5, 1e-6);
          return [zero && floor === 0 ? 0 : floor - pad, zero && top === 0 ? 0 : top + pad];
        } } },
        axes: [
          { ...look, splits: axis.splits, values: (_u, places) => places.map(axis.label), size: 28, gap: 6 },
          { ...look, side: 1, size: 70, gap: 8, space: 34, values: (_u, each) => each.map(shown) },
        ],
        series: [{}, { stroke: css(colour), width: 1.5, points: { show: false }, fill: zero ? css(colour === "--down" ? "--down-bg" : "--accent-fill") : undefined }],
        hooks: {
          setCursor: [(u) => describe(u.cursor.idx)],
          draw: [(u) => {
            const size = 5 * devicePixelRatio;
            for (const { place, value, side } of marks) {
              const x = u.valToPos(place, "x", true), y = u.valToPos(value, "y", true), way = side === "buy" ? 1 : -1;
              if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
              u.ctx.fillStyle = css(side === "buy" ? "--up" : "--down");
              u.ctx.beginPath(); u.ctx.moveTo(x, y); u.ctx.lineTo(x - size, y + way * 1.8 * size); u.ctx.lineTo(x + size, y + way * 1.8 * size);
              u.ctx.fill();
            }
          }],
        },
      }, [times.map((_, index) => index), values], host);
      describe(null);
    };
    build();
    const watcher = new ResizeObserver(() => plot.setSize({ width: host.clientWidth - 10, height: host.clientHeight }));
    watcher.observe(host);
    const kept = { build, end: () => { watcher.disconnect(); plot.destroy(); plots.splice(plots.indexOf(kept), 1); } };
    plots.push(kept);
    return kept;
  };
  const { at, equity, drawdown, exposure } = found.curve;
  line("equity", at, equity, (value) => money.format(value).replace(/\.00$/, ""), "--accent");
  line("drawdown", at, drawdown.map((each) => -each), (value) => percent(value), "--down", { zero: true });
  line("exposure", at, exposure, (value) => percent(value, 0), "--accent", { zero: true });

  // One symbol's price with its fills.
  const symbols = Object.keys(found.prices);
  let price = null;
  const show = (symbol) => {
    price?.end();
    for (const each of byId("symbols").children) each.setAttribute("aria-pressed", String(each.textContent === symbol));
    const times = found.prices[symbol].at;
    const placeOf = (secs) => { const place = times.findIndex((each) => each >= secs); return place < 0 ? times.length - 1 : place; };
    const marks = data.fills.filter((fill) => fill.symbol === symbol).map((fill) => ({
      place: placeOf(Date.parse(fill.filled_at) / 1000), value: Number(fill.price), side: fill.side,
      words: `${fill.side} ${fill.quantity} at ${fill.price}`,
    }));
    price = line("price", times, found.prices[symbol].close, (value) => money.format(value), "--accent", { marks });
  };
  byId("price-card").hidden = !symbols.length;
  for (const symbol of symbols) {
    const button = make("button", symbol);
    button.type = "button"; button.addEventListener("click", () => show(symbol));
    byId("symbols").append(button);
  }
  if (symbols.length) show(symbols[0]);
})();
