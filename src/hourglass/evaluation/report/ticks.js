"use strict";
// Ticks of axes, and the texts of numbers and of dates, which are seconds since 1970 in UTC.
const ticks = (() => {
  const DAY = 86400, MONTH = 30.44 * DAY;
  // Seconds between ticks of dates; longer steps are months.
  const STEPS = [
    ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30],
    ...[1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((minutes) => 60 * minutes),
    ...[1, 2, 7, 14].map((days) => DAY * days),
  ];

  function niceStep(span, count) {
    const rough = span / count, unit = 10 ** Math.floor(Math.log10(rough));
    const off = (digit) => Math.abs(digit - rough / unit);
    return unit * [1, 2, 5, 10].reduce((best, digit) => (off(digit) < off(best) ? digit : best));
  }

  function multiples(from, to, step) {
    const first = Math.ceil(from / step - 1e-9), last = Math.floor(to / step + 1e-9);
    return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => (first + i) * step);
  }

  function number(value) {
    const size = Math.abs(value), isUsual = !size || (size >= 1e-3 && size < 1e7);
    const text = isUsual ? String(Number(value.toPrecision(7))) : value.toExponential(2);
    return text.replace(/\.?0*e\+?/, "e").replace("-", "−");
  }

  // A date and its time, as exact as a resolution in seconds.
  function date(seconds, resolution) {
    const text = new Date(seconds * 1000).toISOString().replace("T", " ").replace("Z", "");
    const cut = [[DAY, 13], [60, 7], [1, 4]].find(([unit]) => resolution >= unit);
    return cut ? text.slice(0, -cut[1]) : text;
  }

  function numbers(from, to, count) {
    return multiples(from, to, niceStep(to - from, count)).map((value) => [value, number(value)]);
  }

  function logarithmic(from, to) {
    const decades = multiples(Math.log10(from), Math.log10(to), 1).map((power) => 10 ** power);
    return (decades.length ? decades : [from, to]).map((value) => [value, number(value)]);
  }

  // The date is named at midnight, otherwise the time of day.
  function dates(from, to, count) {
    const wanted = (0.7 * (to - from)) / count, step = STEPS.find((each) => each >= wanted);
    if (!step) return months(from, to, wanted / MONTH);
    return multiples(from, to, step).map((seconds) => {
      const [day, time] = date(seconds, step).split(" ");
      return [seconds, seconds % DAY ? time : day];
    });
  }

  function months(from, to, wanted) {
    const years = 12 * niceStep(Math.max(wanted / 12, 1), 1);
    const step = [1, 2, 3, 6, 12].find((each) => each >= wanted) ?? years;
    const start = new Date(from * 1000), found = [];
    const first = start.getUTCFullYear() * 12 + start.getUTCMonth();
    for (let month = Math.ceil(first / step) * step; ; month += step) {
      const seconds = new Date(0).setUTCFullYear(0, month, 1) / 1000;
      if (seconds > to) return found;
      if (seconds >= from) found.push([seconds, date(seconds, DAY).slice(0, -3)]);
    }
  }

  return { number, date, numbers, logarithmic, dates };
})();
