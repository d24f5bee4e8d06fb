"use strict";
// Timelines of series: SVG panels over a shared time axis, drawn again for each zoom.
(() => {
  const LEFT = 56, RIGHT = 10, TITLE = 18, AXIS = 22, GAP = 4;
  const HEIGHTS = { channel: 76, score: 110 };
  const RUG = 6; // height of the bars of alarms
  const NONE = 65535, STEPS = 65534; // of quantised values
  const LEAST = 8; // columns in the narrowest view
  const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900,
    1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600]; // between ticks
  const MONTH = 30.44 * 86400;

  function add(parent, name, attributes = {}, text = "") {
    const isSvg = parent.namespaceURI.endsWith("svg") || name === "svg";
    const child = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) child.setAttribute(key, value);
    child.textContent = text;
    parent.append(child);
    return child;
  }

  // The minimum and the maximum of each column; a line without decimation has one of both.
  function decode(points, columns) {
    const bytes = Uint8Array.from(atob(points), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const values = Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true));
    return { low: values.slice(0, columns), high: values.slice(-columns) };
  }

  function shortened(text, length) {
    return text.length > length ? `${text.slice(0, length - 1)}…` : text;
  }

  function niceStep(span, count) {
    const rough = span / count, unit = 10 ** Math.floor(Math.log10(rough));
    const off = (digit) => Math.abs(digit - rough / unit);
    return unit * [1, 2, 5, 10].reduce((best, digit) => (off(digit) < off(best) ? digit : best));
  }

  function numberTicks(from, to, count) {
    const step = niceStep(to - from, count), ticks = [];
    for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9 * step; i++) ticks.push(i * step);
    return ticks;
  }

  function numberText(value) {
    const size = Math.abs(value);
    const text = size && (size >= 1e6 || size < 1e-3) ? value.toExponential(2).replace(/\.?0+e/, "e") : String(Number(value.toPrecision(5)));
    return text.replace("-", "−");
  }

  function dateText(seconds, resolution) {
    const text = new Date(seconds * 1000).toISOString().replace("T", " ").replace("Z", "");
    return resolution >= 86400 ? text.slice(0, -13) : resolution >= 60 ? text.slice(0, -7) : resolution >= 1 ? text.slice(0, -4) : text;
  }

  // Ticks as pairs of a time and its text; the date is named at midnight, otherwise the time of day.
  function dateTicks(from, to, count) {
    const wanted = (0.7 * (to - from)) / count, step = SECONDS.find((each) => each >= wanted), ticks = [];
    if (step) {
      for (let i = Math.ceil(from / step); i * step <= to; i++) {
        const text = dateText(i * step, step), isMidnight = (i * step) % 86400 === 0;
        ticks.push([i * step, isMidnight ? text.slice(0, text.indexOf(" ") < 0 ? undefined : text.indexOf(" ")) : text.split(" ")[1]]);
      }
      return ticks;
    }
    const months = [1, 2, 3, 6, 12].find((each) => each * MONTH >= wanted) ?? 12 * niceStep(Math.max(wanted / MONTH / 12, 1), 1);
    const first = new Date(from * 1000);
    const start = first.getUTCFullYear() * 12 + first.getUTCMonth();
    for (let month = Math.ceil(start / months) * months; ; month += months) {
      const date = new Date(0);
      date.setUTCFullYear(Math.floor(month / 12), month % 12, 1);
      if (date / 1000 > to) return ticks;
      if (date / 1000 >= from) ticks.push([date / 1000, date.toISOString().split("T")[0].slice(0, -3)]);
    }
  }

  class Timeline {
    constructor(box) {
      this.data = JSON.parse(box.dataset.timeline);
      const { start, width, columns } = this.data;
      this.ends = [start - width / 2, start + (columns - 0.5) * width];
      this.view = [...this.ends];
      this.panels = this.data.panels.map((panel) => ({
        ...panel,
        lines: panel.lines.map((line) => ({ name: line.name, ...decode(line.points, columns) })),
      }));
      this.controls(box.insertBefore(document.createElement("div"), box.firstChild));
      this.plot = box.insertBefore(document.createElement("div"), this.status.parentElement.nextSibling);
      this.plot.className = "plot";
      for (const [key, value] of Object.entries({ tabindex: 0, role: "group", "aria-label": box.dataset.label })) this.plot.setAttribute(key, value);
      this.readout = document.createElement("p");
      this.readout.className = "key readout";
      this.plot.after(this.readout);
      this.pointers = new Map();
      this.listen();
      new ResizeObserver(() => this.plot.clientWidth !== this.wide && this.draw()).observe(this.plot);
    }

    controls(bar) {
      bar.className = "controls";
      const { worst, window, width } = this.data;
      const half = Math.max(3 * window, LEAST * width);
      const actions = {
        "All": () => this.show(...this.ends),
        "Highest score": () => this.show(worst - half, worst + half),
        "Zoom in": () => this.zoom(0.5),
        "Zoom out": () => this.zoom(2),
        "Earlier": () => this.move(-0.5),
        "Later": () => this.move(0.5),
      };
      for (const [name, action] of Object.entries(actions)) add(bar, "button", { type: "button" }, name).addEventListener("click", action);
      this.status = add(bar, "span", { role: "status" });
    }

    // Show a stretch of time, moved and widened to lie within the series.
    show(from, to) {
      const [first, last] = this.ends;
      const span = Math.min(Math.max(to - from, LEAST * this.data.width), last - first);
      from = Math.min(Math.max((from + to - span) / 2, first), last - span);
      this.view = [from, from + span];
      this.draw();
    }

    zoom(factor, at = (this.view[0] + this.view[1]) / 2) {
      this.show(at + (this.view[0] - at) * factor, at + (this.view[1] - at) * factor);
    }

    move(share) {
      const [from, to] = this.view, by = share * (to - from);
      const inside = Math.min(Math.max(by, this.ends[0] - from), this.ends[1] - to);
      this.show(from + inside, to + inside);
    }

    timeText(time) {
      const { is_date: isDate, width } = this.data;
      return isDate ? dateText(time, Math.min(width, 3600)) : numberText(time);
    }

    x(time) {
      return LEFT + ((time - this.view[0]) / (this.view[1] - this.view[0])) * (this.wide - LEFT - RIGHT);
    }

    timeAt(x) {
      return this.view[0] + ((x - LEFT) / (this.wide - LEFT - RIGHT)) * (this.view[1] - this.view[0]);
    }

    value(panel, code) {
      const { low, high, logarithmic } = panel, share = code / STEPS;
      return logarithmic ? low * (high / low) ** share : low * (1 - share) + high * share;
    }

    share(panel, value) {
      const { low, high, logarithmic } = panel;
      return logarithmic ? Math.log(value / low) / Math.log(high / low) : (value / 2 - low / 2) / (high / 2 - low / 2);
    }

    draw() {
      this.wide = Math.max(this.plot.clientWidth, 280) || 900;
      const heights = this.panels.map((_, i) => (i === this.panels.length - 1 ? HEIGHTS.score : HEIGHTS.channel));
      const high = heights.reduce((sum, height) => sum + height + TITLE + GAP, AXIS);
      this.plot.textContent = "";
      const svg = add(this.plot, "svg", { viewBox: `0 0 ${this.wide} ${high}`, role: "img", "aria-hidden": "true" });
      let top = 0;
      this.panels.forEach((panel, i) => {
        this.panel(svg, panel, top, heights[i], i === this.panels.length - 1);
        top += heights[i] + TITLE + GAP;
      });
      this.timeAxis(svg, top);
      this.mark = add(svg, "path", { class: "cursor" });
      this.band = add(svg, "rect", { class: "chosen", y: 0, height: top });
      this.bottom = top;
      const { start, width, columns } = this.data;
      const [from, to] = [Math.max(this.view[0], start), Math.min(this.view[1], start + (columns - 1) * width)];
      this.status.textContent = `${this.timeText(from)} to ${this.timeText(to)}`;
      this.readout.textContent = "";
    }

    panel(svg, panel, top, height, isScore) {
      const y = top + TITLE, right = this.wide - RIGHT, bottom = y + height - (isScore ? RUG + 2 : 0);
      const row = (value) => bottom - this.share(panel, value) * (bottom - y - 2);
      add(svg, "text", { class: "name", x: LEFT, y: top + 13 }, shortened(panel.name, (this.wide - LEFT) / 7));
      const axes = add(svg, "g", { class: "axes" });
      for (const [value, text] of this.valueTicks(panel)) {
        add(axes, "path", { d: `M${LEFT} ${row(value).toFixed(1)}H${right}` });
        add(axes, "text", { class: "end", x: LEFT - 5, y: row(value) + 4 }, text);
      }
      this.ranges(svg, this.data.labelled, "labelled", y, height);
      const area = { x: LEFT, y: y - 1, width: right - LEFT, height: height + 2 };
      const inside = add(svg, "svg", { ...area, viewBox: Object.values(area).join(" ") }); // cuts lines off
      for (const line of panel.lines) {
        const code = (value) => bottom - (value / STEPS) * (bottom - y - 2);
        add(inside, "path", { class: `trace ${line.name}`, d: this.path(line, code) });
      }
      if (!isScore) return;
      const level = row(this.data.threshold).toFixed(1);
      add(svg, "path", { class: "mark dashed", d: `M${LEFT} ${level}H${right}` });
      this.ranges(svg, this.data.alarms, "alarms", y + height - RUG, RUG);
    }

    valueTicks(panel) {
      const { low, high, levels, logarithmic } = panel;
      if (levels.length) {
        const shown = levels.map((name, i) => [i, shortened(name, 7)]);
        return shown.filter(([i]) => i >= low && i <= high).slice(0, 6);
      }
      if (!logarithmic) return numberTicks(low, high, 3).map((value) => [value, numberText(value)]);
      const decades = numberTicks(Math.log10(low), Math.log10(high), 4).filter(Number.isInteger).map((power) => 10 ** power);
      return (decades.length ? decades : [low, high]).map((value) => [value, numberText(value)]);
    }

    // The shapes of ranges of columns, each at least two pixels wide.
    ranges(svg, ranges, name, y, height) {
      const { start, width } = this.data;
      let d = "";
      for (const [first, end] of ranges) {
        const from = Math.max(this.x(start + (first - 0.5) * width), LEFT);
        const to = Math.min(this.x(start + (end - 0.5) * width), this.wide - RIGHT);
        if (to >= LEFT && from <= this.wide - RIGHT) d += `M${from.toFixed(1)} ${y}H${Math.max(to, from + 2).toFixed(1)}v${height}H${from.toFixed(1)}z`;
      }
      if (d) add(svg, "path", { class: name, d });
    }

    // A line through the minimum and the maximum of each pixel column; it breaks where there is no value.
    path({ low, high }, row) {
      const { start, width } = this.data;
      const first = Math.max(Math.floor((this.view[0] - start) / width), 0);
      const last = Math.min(Math.ceil((this.view[1] - start) / width), low.length - 1);
      let d = "", isOpen = false, at = null, least, most;
      const flush = () => {
        if (at === null) return;
        d += `${isOpen ? "L" : "M"}${at} ${row(least).toFixed(1)}${most > least ? `V${row(most).toFixed(1)}` : isOpen ? "" : "h.1"}`;
        [isOpen, at] = [true, null];
      };
      for (let i = first; i <= last; i++) {
        if (low[i] === NONE) {
          flush();
          isOpen = false;
          continue;
        }
        const x = Math.round(2 * this.x(start + i * width)) / 2;
        if (x !== at) {
          flush();
          [at, least, most] = [x, low[i], high[i]];
        } else {
          [least, most] = [Math.min(least, low[i]), Math.max(most, high[i])];
        }
      }
      flush();
      return d;
    }

    timeAxis(svg, y) {
      const count = Math.max(Math.floor((this.wide - LEFT) / 95), 2), [from, to] = this.view;
      const ticks = this.data.is_date ? dateTicks(from, to, count) : numberTicks(from, to, count).map((value) => [value, numberText(value)]);
      const axes = add(svg, "g", { class: "axes" });
      for (const [time, text] of ticks) {
        const x = this.x(time);
        add(axes, "path", { d: `M${x.toFixed(1)} ${y - GAP}v4` });
        const half = 3.2 * text.length;
        if (x + half < this.wide && x - half > 0) add(axes, "text", { class: "mid", x: x.toFixed(1), y: y + 14 }, text);
      }
    }

    // Name the values at a place, and mark it.
    point(x) {
      const { start, width, columns } = this.data;
      const column = Math.min(Math.max(Math.round((this.timeAt(x) - start) / width), 0), columns - 1);
      const time = start + column * width, place = this.x(time);
      if (place < LEFT || place > this.wide - RIGHT) return;
      this.mark.setAttribute("d", `M${place.toFixed(1)} 0V${this.bottom}`);
      const texts = this.panels.map((panel) => {
        const [input, output] = panel.lines.map((line) => this.valueText(panel, line, column));
        return `${panel.name} ${input}${output ? ` (reconstruction ${output})` : ""}`;
      });
      this.readout.textContent = `${this.timeText(time)}: ${texts.join("; ")}`;
    }

    valueText(panel, line, column) {
      if (line.low[column] === NONE) return "missing";
      const ends = [line.low[column], line.high[column]].map((code) => this.value(panel, code));
      const texts = ends.map((value) => {
        const level = Math.abs(value - Math.round(value)) < 1e-3 ? panel.levels[Math.round(value)] : undefined;
        return level ?? numberText(Number(value.toPrecision(4)));
      });
      return texts[0] === texts[1] ? texts[0] : `${texts[0]} to ${texts[1]}`;
    }

    listen() {
      const place = (event) => event.clientX - this.plot.getBoundingClientRect().left;
      this.plot.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.metaKey && document.activeElement !== this.plot) return;
        event.preventDefault();
        const unit = event.deltaMode ? 30 : 1;
        if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move((event.deltaX * unit) / this.wide);
        else this.zoom(1.002 ** (event.deltaY * unit), this.timeAt(place(event)));
        this.point(place(event));
      }, { passive: false });
      this.plot.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        this.plot.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, place(event));
        this.from = place(event);
        this.isMoving = event.pointerType !== "mouse" || event.shiftKey;
      });
      this.plot.addEventListener("pointermove", (event) => this.drag(event, place(event)));
      for (const name of ["pointerup", "pointercancel"]) {
        this.plot.addEventListener(name, (event) => this.release(event, place(event)));
      }
      this.plot.addEventListener("pointerleave", () => {
        this.mark?.removeAttribute("d");
      });
      this.plot.addEventListener("dblclick", () => this.show(...this.ends));
      this.plot.addEventListener("keydown", (event) => this.key(event));
    }

    // Drag with a mouse to choose a stretch; with a finger, or with Shift, to move; with two fingers to zoom.
    drag(event, x) {
      if (!this.pointers.has(event.pointerId)) return this.point(x);
      const before = this.pointers.get(event.pointerId);
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      this.pointers.set(event.pointerId, x);
      if (other !== undefined) {
        // The times below both fingers stay below them.
        const [fixed, moved] = [this.timeAt(other), this.timeAt(before)];
        const scale = Math.abs(x - other) > 4 ? (moved - fixed) / (x - other) : 0;
        if (scale > 0) this.show(fixed - (other - LEFT) * scale, fixed + (this.wide - RIGHT - other) * scale);
      } else if (this.isMoving) {
        this.move((before - x) / (this.wide - LEFT - RIGHT));
      } else {
        const [from, to] = [this.from, x].sort((one, two) => one - two);
        this.band.setAttribute("x", from);
        this.band.setAttribute("width", to - from);
      }
    }

    release(event, x) {
      const isLast = this.pointers.delete(event.pointerId) && !this.pointers.size;
      if (isLast && !this.isMoving && event.type === "pointerup" && Math.abs(x - this.from) > 5) {
        const [from, to] = [this.from, x].map((at) => this.timeAt(at)).sort((one, two) => one - two);
        this.show(from, to);
      } else {
        this.band.setAttribute("width", 0);
      }
    }

    key(event) {
      const actions = {
        "+": () => this.zoom(0.5),
        "=": () => this.zoom(0.5),
        "-": () => this.zoom(2),
        ArrowLeft: () => this.move(-0.2),
        ArrowRight: () => this.move(0.2),
        Home: () => this.move(-1e9),
        End: () => this.move(1e9),
        0: () => this.show(...this.ends),
        Escape: () => this.show(...this.ends),
      };
      if (!(event.key in actions) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      actions[event.key]();
    }
  }

  document.querySelectorAll(".timeline").forEach((box) => new Timeline(box));
})();
