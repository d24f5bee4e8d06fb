"use strict";
// Timelines of series: SVG panels over a shared time axis, drawn again for each zoom.
(() => {
  const LEFT = 56, RIGHT = 10, TITLE = 18, AXIS = 22, GAP = 4;
  const CHANNEL = 76, SCORE = 110; // heights of panels
  const RUG = 6; // height of the bars of alarms
  const NONE = 65535, STEPS = 65534; // of quantised values
  const LEAST = 8; // columns in the narrowest view
  const LETTER = 6.5; // width

  function add(parent, name, attributes = {}, text = "") {
    const space = name === "svg" ? "http://www.w3.org/2000/svg" : parent.namespaceURI;
    const child = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) child.setAttribute(key, value);
    child.textContent = text;
    parent.append(child);
    return child;
  }

  // The minimum and the maximum of each column, which are the same without decimation.
  function decode(points, columns) {
    const bytes = Uint8Array.from(atob(points), (letter) => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const read = (_, i) => view.getUint16(2 * i, true);
    const values = Array.from({ length: bytes.length / 2 }, read);
    return { low: values.slice(0, columns), high: values.slice(-columns) };
  }

  function shortened(text, length) {
    return text.length > length ? `${text.slice(0, length - 1)}…` : text;
  }

  class Timeline {
    constructor(box) {
      this.data = JSON.parse(box.dataset.timeline);
      const { start, width, columns } = this.data;
      this.ends = [start - width / 2, start + (columns - 0.5) * width];
      this.view = [...this.ends];
      this.panels = this.data.panels.map((panel) => ({
        ...panel,
        lines: panel.lines.map(({ name, points }) => ({ name, ...decode(points, columns) })),
      }));
      const caption = box.firstElementChild;
      this.addControls(add(box, "div", { class: "controls" }));
      const label = { role: "group", "aria-label": box.dataset.label };
      this.plot = add(box, "div", { class: "plot", tabindex: 0, ...label });
      this.readout = add(box, "p", { class: "key readout" });
      box.append(caption);
      this.pointers = new Map();
      this.listen();
      // In a closed section, there is no width yet.
      const fit = () => {
        if (this.plot.clientWidth && this.plot.clientWidth !== this.wide) this.draw();
      };
      new ResizeObserver(() => setTimeout(fit)).observe(this.plot); // drawing changes the height
      addEventListener("beforeprint", fit);
    }

    addControls(bar) {
      const actions = {
        "All": () => this.show(...this.ends),
        "Highest score": () => this.show(...this.data.worst),
        "Zoom in": () => this.zoom(0.5),
        "Zoom out": () => this.zoom(2),
        "Earlier": () => this.move(-0.5),
        "Later": () => this.move(0.5),
      };
      for (const [name, action] of Object.entries(actions)) {
        add(bar, "button", { type: "button" }, name).addEventListener("click", action);
      }
      this.status = add(bar, "span", { role: "status" });
    }

    // Show a stretch of time, moved and widened to lie within the series.
    show(from, to) {
      const [first, last] = this.ends, least = LEAST * this.data.width;
      const span = Math.min(Math.max(to - from, least), last - first);
      const start = Math.min(Math.max((from + to - span) / 2, first), last - span);
      this.view = [start, start + span];
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
      return isDate ? ticks.date(time, Math.min(width, 3600)) : ticks.number(time);
    }

    x(time) {
      const [from, to] = this.view;
      return LEFT + ((time - from) / (to - from)) * (this.wide - LEFT - RIGHT);
    }

    timeAt(x) {
      const [from, to] = this.view;
      return from + ((x - LEFT) / (this.wide - LEFT - RIGHT)) * (to - from);
    }

    value({ low, high, logarithmic }, code) {
      const share = code / STEPS;
      return logarithmic ? low * (high / low) ** share : low * (1 - share) + high * share;
    }

    share({ low, high, logarithmic }, value) {
      if (logarithmic) return Math.log(value / low) / Math.log(high / low);
      return (value / 2 - low / 2) / (high / 2 - low / 2); // the difference may be infinite
    }

    draw() {
      this.wide = this.plot.clientWidth;
      const last = this.panels.length - 1;
      const bottom = last * (CHANNEL + TITLE + GAP) + SCORE + TITLE + GAP;
      this.plot.textContent = "";
      const viewBox = `0 0 ${this.wide} ${bottom + AXIS}`;
      const svg = add(this.plot, "svg", { viewBox, "aria-hidden": "true" });
      this.panels.forEach((panel, i) => {
        this.drawPanel(svg, panel, i * (CHANNEL + TITLE + GAP), i === last);
      });
      this.drawTimes(svg, bottom);
      this.mark = add(svg, "path", { class: "cursor" });
      this.band = add(svg, "rect", { class: "chosen", y: 0, height: bottom });
      this.bottom = bottom;
      const { start, width, columns } = this.data, end = start + (columns - 1) * width;
      const shown = [Math.max(this.view[0], start), Math.min(this.view[1], end)];
      this.status.textContent = shown.map((time) => this.timeText(time)).join(" to ");
      this.readout.textContent = "";
    }

    drawPanel(svg, panel, top, isScore) {
      const y = top + TITLE, height = isScore ? SCORE : CHANNEL, right = this.wide - RIGHT;
      const bottom = y + height - (isScore ? RUG + 2 : 0);
      const row = (share) => (bottom - share * (bottom - y - 2)).toFixed(1);
      const name = shortened(panel.name, (right - LEFT) / LETTER);
      add(svg, "text", { class: "name", x: LEFT, y: top + 13 }, name);
      const axes = add(svg, "g", { class: "axes" });
      for (const [value, text] of this.valueTicks(panel)) {
        const at = row(this.share(panel, value));
        add(axes, "path", { d: `M${LEFT} ${at}H${right}` });
        add(axes, "text", { class: "end", x: LEFT - 5, y: Number(at) + 4 }, text);
      }
      this.drawRanges(svg, this.data.labelled, "labelled", y, height);
      const area = { x: LEFT, y: y - 1, width: right - LEFT, height: height + 2 };
      // An inner SVG cuts the lines off.
      const inside = add(svg, "svg", { ...area, viewBox: Object.values(area).join(" ") });
      for (const line of panel.lines) {
        const d = this.path(line, (code) => row(code / STEPS));
        add(inside, "path", { class: `trace ${line.name}`, d });
      }
      if (!isScore) return;
      const level = row(this.share(panel, this.data.threshold));
      add(svg, "path", { class: "mark dashed", d: `M${LEFT} ${level}H${right}` });
      this.drawRanges(svg, this.data.alarms, "alarms", y + height - RUG, RUG);
    }

    valueTicks({ low, high, levels, logarithmic }) {
      if (logarithmic) return ticks.logarithmic(low, high);
      if (!levels.length) return ticks.numbers(low, high, 3);
      const shown = levels.map((name, i) => [i, shortened(name, 7)]);
      return shown.filter(([i]) => i >= low && i <= high).slice(0, 6);
    }

    // Draw ranges of columns, each at least two pixels wide.
    drawRanges(svg, ranges, name, y, height) {
      const { start, width } = this.data, right = this.wide - RIGHT;
      let d = "";
      for (const [first, end] of ranges) {
        const from = Math.max(this.x(start + (first - 0.5) * width), LEFT);
        const to = Math.min(this.x(start + (end - 0.5) * width), right);
        if (to < LEFT || from > right) continue;
        const [x, until] = [from, Math.max(to, from + 2)].map((at) => at.toFixed(1));
        d += `M${x} ${y}H${until}v${height}H${x}z`;
      }
      if (d) add(svg, "path", { class: name, d });
    }

    // A line through the minimum and the maximum in each half pixel; it breaks at a missing value.
    path({ low, high }, row) {
      const { start, width } = this.data;
      const first = Math.max(Math.floor((this.view[0] - start) / width), 0);
      const last = Math.min(Math.ceil((this.view[1] - start) / width), low.length - 1);
      let d = "", isOpen = false, at = null, least, most;
      const flush = () => {
        if (at === null) return;
        const end = most > least ? `V${row(most)}` : isOpen ? "" : "h.1"; // a dot for a single row
        d += `${isOpen ? "L" : "M"}${at} ${row(least)}${end}`;
        isOpen = true;
        at = null;
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

    drawTimes(svg, y) {
      const count = Math.max(Math.floor((this.wide - LEFT) / 95), 2);
      const shown = this.data.is_date ? ticks.dates : ticks.numbers;
      const axes = add(svg, "g", { class: "axes" });
      for (const [time, text] of shown(...this.view, count)) {
        const x = this.x(time), half = (LETTER / 2) * text.length;
        add(axes, "path", { d: `M${x.toFixed(1)} ${y - GAP}v4` });
        if (x - half < 0 || x + half > this.wide) continue;
        add(axes, "text", { class: "mid", x: x.toFixed(1), y: y + 14 }, text);
      }
    }

    // Name the values at a place, and mark it.
    name(x) {
      const { start, width, columns } = this.data;
      const nearest = Math.round((this.timeAt(x) - start) / width);
      const column = Math.min(Math.max(nearest, 0), columns - 1);
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
      const size = Math.max(Math.abs(panel.low), Math.abs(panel.high)) / (panel.high - panel.low);
      const digits = Math.min(Math.max(4 + Math.ceil(Math.log10(size)), 4), 7); // are exact
      const texts = [line.low[column], line.high[column]].map((code) => {
        const value = this.value(panel, code), level = Math.round(value);
        const isLevel = Math.abs(value - level) < 1e-3 && level in panel.levels;
        return isLevel ? panel.levels[level] : ticks.number(Number(value.toPrecision(digits)));
      });
      return texts[0] === texts[1] ? texts[0] : texts.join(" to ");
    }

    listen() {
      const on = (names, action) => {
        for (const name of names.split(" ")) {
          this.plot.addEventListener(name, (event) => {
            action(event, event.clientX - this.plot.getBoundingClientRect().left);
          }, { passive: false });
        }
      };
      on("wheel", (event, x) => this.turn(event, x));
      on("pointerdown", (event, x) => {
        if (event.button) return;
        this.plot.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, x);
        this.from = x;
        this.isMoving = event.pointerType !== "mouse" || event.shiftKey;
      });
      on("pointermove", (event, x) => this.drag(event, x));
      on("pointerup pointercancel", (event, x) => this.release(event, x));
      on("pointerleave", () => this.mark?.removeAttribute("d"));
      on("dblclick", () => this.show(...this.ends));
      on("keydown", (event) => this.press(event));
    }

    // Zoom with the wheel if the plot is selected, or with Ctrl; otherwise the page scrolls.
    turn(event, x) {
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== this.plot) return;
      event.preventDefault();
      const unit = event.deltaMode ? 30 : 1; // of lines
      const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (isSideways) this.move((event.deltaX * unit) / this.wide);
      else this.zoom(1.002 ** (event.deltaY * unit), this.timeAt(x));
      this.name(x);
    }

    // Choose a stretch with a mouse; move with a finger or with Shift; zoom with two fingers.
    drag(event, x) {
      if (!this.pointers.has(event.pointerId)) return this.name(x);
      const before = this.pointers.get(event.pointerId);
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
      this.pointers.set(event.pointerId, x);
      if (others.length) {
        this.pinch(others[0][1], before, x);
      } else if (this.isMoving) {
        this.move((before - x) / (this.wide - LEFT - RIGHT));
      } else {
        this.band.setAttribute("x", Math.min(this.from, x));
        this.band.setAttribute("width", Math.abs(x - this.from));
      }
    }

    // The times below both fingers stay below them.
    pinch(other, before, x) {
      const fixed = this.timeAt(other), perPixel = (this.timeAt(before) - fixed) / (x - other);
      if (!(perPixel > 0) || Math.abs(x - other) < 4) return;
      this.show(fixed - (other - LEFT) * perPixel, fixed + (this.wide - RIGHT - other) * perPixel);
    }

    release(event, x) {
      const isLast = this.pointers.delete(event.pointerId) && !this.pointers.size;
      const isChosen = isLast && !this.isMoving && event.type === "pointerup";
      if (isChosen && Math.abs(x - this.from) > 5) {
        this.show(...[this.from, x].sort((one, two) => one - two).map((at) => this.timeAt(at)));
      } else {
        this.band.setAttribute("width", 0);
      }
    }

    press(event) {
      const actions = {
        "+": () => this.zoom(0.5),
        "=": () => this.zoom(0.5),
        "-": () => this.zoom(2),
        ArrowLeft: () => this.move(-0.2),
        ArrowRight: () => this.move(0.2),
        Home: () => this.move(-Infinity),
        End: () => this.move(Infinity),
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
