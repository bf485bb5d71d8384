// The training page: what /events tells becomes curves, cards, samples and a matrix. Text that comes from a run is only ever set as the text of an
// element, so whatever stands in a name or label is shown and never run. Nothing is asked of another server.
'use strict';

const $ = id => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';
const COLOURS = 6, REDRAW_MS = 400, NEWS_MS = 30000, CLASSES_MOST = 30, CLASSES_ALL = 100;
const STAGES = ['stem', 'layer1', 'layer2', 'layer3', 'layer4', 'head'];

// An element with attributes and children; text only ever becomes text.
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const key in attributes) e.setAttribute(key, attributes[key]);
  for (const child of children) if (child !== null && child !== undefined) e.append(child);
  return e;
}
function svg(name, attributes, ...children) {
  const e = document.createElementNS(SVG, name);
  for (const key in attributes) e.setAttribute(key, attributes[key]);
  for (const child of children) e.append(child);
  return e;
}
// What should be text but may be anything: an object's own toString is not asked.
const words = v => typeof v === 'string' ? v.slice(0, 1000) : v === undefined ? '-' : JSON.stringify(v).slice(0, 100);
// A name from outside, kept apart from the direction of the text around it.
const named = text => el('bdi', {}, words(text));

const number = v => typeof v === 'number' && isFinite(v) ? v : NaN;
const count = v => Math.max(0, Math.floor(number(v)) || 0);

// ---- What is known of the runs ----

let runs = [], chosen = 0, pending = 0;

function emptyRun(name, index) {
  return {
    name, index, shown: true, start: null, test: null, broken: 0, progress: null, alive: true, heard: 0, confusion: null, sample: null,
    wanted: 0, stepsOf: 0,
    steps: {step: [], loss: [], norm: [], lr: [], stages: STAGES.map(() => [])},
    epochs: []
  };
}

// With several labels an item, accuracy is of items all of whose labels are right, and macro the mean average precision, which decides what is best.
const manyLabels = run => run.start !== null && run.start.labels_kind === 'several';
const decisive = (run, e) => manyLabels(run) ? e.macro : e.validation;

// A log that was cut back to its checkpoint tells some steps again.
function forgetFrom(run, step) {
  const s = run.steps;
  while (s.step.length && s.step[s.step.length - 1] >= step)
    for (const list of [s.step, s.loss, s.norm, s.lr, ...s.stages]) list.pop();
}

function addLine(run, line) {
  if (line.kind === 'step') {
    const s = run.steps, step = number(line.step), stages = line.gradient_norms || {};
    if (isNaN(step)) return;
    forgetFrom(run, step);
    s.step.push(step);
    s.loss.push(number(line.loss));
    s.norm.push(number(line.gradient_norm));
    s.lr.push(number(line.lr));
    STAGES.forEach((name, i) => s.stages[i].push(number(stages[name])));
  } else if (line.kind === 'epoch') {
    const epoch = count(line.epoch);
    while (run.epochs.length && run.epochs[run.epochs.length - 1].epoch >= epoch) run.epochs.pop();
    run.epochs.push({
      epoch, step: number(line.step), loss: number(line.loss), accuracy: number(line.accuracy), validationLoss: number(line.validation_loss),
      validation: number(line.validation_accuracy), macro: number(line.validation_macro), lr: number(line.lr), best: line.best === true
    });
    if (epoch > 0 && line.step > 0) run.stepsOf = line.step / epoch;
    if (Array.isArray(line.confusion)) run.confusion = {epoch, rows: line.confusion.slice(0, CLASSES_ALL)};
    news(run);
  } else if (line.kind === 'test') {
    run.test = line;
  } else if (line.kind === 'start') {
    run.start = line;
    if (count(line.steps)) run.stepsOf = count(line.steps);
  }
}

function addLines(text) {
  const lines = text.split('\n'), run = runs[Number(lines[0])];
  if (!run) return;
  for (let i = 1; i < lines.length; i++) {
    try {
      const line = JSON.parse(lines[i]);
      if (line && typeof line === 'object') addLine(run, line);
      else run.broken++;
    } catch (e) {
      run.broken++;
    }
  }
  redraw();
}

// ---- Words ----

const percent = v => isNaN(v) ? '-' : (100 * v).toFixed(1) + ' %';
function short(v) {
  if (isNaN(v)) return '-';
  if (v === 0) return '0';
  const a = Math.abs(v);
  return a >= 1e5 || a < 1e-3 ? v.toExponential(1).replace('e+', 'e') : Number(v.toPrecision(3)).toString();
}
function duration(s) {
  if (isNaN(s) || s < 0) return '-';
  if (s < 9.95) return s.toFixed(1) + ' s';
  if (s < 99.5) return Math.round(s) + ' s';
  if (s < 5970) return Math.round(s / 60) + ' min';
  return (s / 3600).toFixed(1) + ' h';
}

function stateOf(run) {
  const p = run.progress;
  if (!p) return run.test ? ['finished', ''] : run.steps.step.length || run.epochs.length ? ['no word of where it stands', ''] : ['not begun', ''];
  const state = words(p.state);
  if (state === 'finished') return ['finished', ''];
  if (state === 'stopped') return ['stopped', 'the same command with --resume goes on'];
  if (state === 'failed') return ['failed', words(p.error)];
  if (!run.alive) return ['ended without a word', 'its process is gone; the same command with --resume goes on'];
  const age = Date.now() / 1000 - run.heard;
  const part = state !== 'training' && count(p.total) ? `${state}, ${count(p.done)} of ${count(p.total)}` : state;
  return [part, age > 60 ? `last word ${duration(age)} ago` : ''];
}

let newsAt = 0;
function news(run) {
  const last = run.epochs[run.epochs.length - 1];
  if (Date.now() - newsAt < NEWS_MS) return;
  newsAt = Date.now();
  $('news').textContent = `${run.name}: epoch ${last.epoch}, validation ${percent(decisive(run, last))}, loss ${short(last.loss)}`;
}

// ---- Cards ----

function swatch(colour, dash, mark) {
  const s = svg('svg', {viewBox: '0 0 32 12', 'aria-hidden': 'true'}, svg('path', {d: 'M1 6H31', class: `curve c${colour} d${dash}`}));
  if (mark) s.append(svg('circle', {cx: 16, cy: 6, r: 3.5, class: `mark c${colour}`}));
  return s;
}
const colourOf = run => [run.index % COLOURS, (run.index + Math.floor(run.index / COLOURS)) % COLOURS];

function makeCards() {
  $('runs').replaceChildren(...runs.map(run => {
    const head = el('h2', {}, swatch(...colourOf(run)));
    if (runs.length > 1) {
      const box = el('input', {type: 'checkbox'});
      box.checked = run.shown;
      box.addEventListener('change', () => { run.shown = box.checked; redraw(); });
      head.append(el('label', {}, box, named(run.name)));
    } else {
      head.append(named(run.name));
    }
    run.values = {};
    const list = el('dl', {});
    for (const key of ['State', 'Epoch', 'Loss', 'Validation', 'Best', 'Rate', 'Left', 'Test']) {
      run.values[key] = el('dd', {}, '-');
      list.append(el('div', {}, el('dt', {}, key), run.values[key]));
    }
    run.bar = el('div', {});
    run.details = el('p', {class: 'details'});
    return el('article', {class: 'run'}, head, list, run.details, el('div', {class: 'bar', 'aria-hidden': 'true'}, run.bar));
  }));
  const options = runs.map(run => {
    const option = el('option', {value: run.index});
    option.textContent = run.name;
    return option;
  });
  $('chosen').replaceChildren(...options);
  $('chosen').value = chosen;
  $('choice').hidden = runs.length < 2;
}

// Elements are only touched where their text changed: a screen reader or a selection is not disturbed.
function say(e, text, small) {
  const now = text + '\n' + (small || '');
  if (e.said === now) return;
  e.said = now;
  e.replaceChildren(text);
  if (small) e.append(el('small', {}, small));
}

function drawCard(run) {
  const p = run.progress || {}, v = run.values, last = run.epochs[run.epochs.length - 1], [state, detail] = stateOf(run);
  const epochs = count(p.epochs) || count(run.start && run.start.epochs), going = run.alive && (state === 'training' || state.startsWith('validating'));
  const best = run.epochs.reduce((a, e) => e.best ? e : a, null);
  say(v.State, state, '');
  const details = [detail, run.broken ? `${run.broken} lines of its log, or its sample, can't be read` : ''].filter(Boolean);
  if (run.details.said !== details.join('\n')) run.details.replaceChildren(...details.map(named));
  run.details.said = details.join('\n');
  v.State.className = state === 'failed' || state.startsWith('ended') ? 'failed' : '';
  say(v.Epoch, epochs ? `${count(p.epoch) || (last ? last.epoch : 0)} of ${epochs}` : last ? String(last.epoch) : '-',
      going && count(p.steps) ? `step ${count(p.step)} of ${count(p.steps)}` : '');
  const loss = run.steps.loss.length ? run.steps.loss[run.steps.loss.length - 1] : NaN;
  say(v.Loss, short(loss), last ? `epoch ${last.epoch}: ${short(last.loss)}` : '');
  const judged = manyLabels(run) ? 'mAP' : '';
  say(v.Validation, last ? percent(decisive(run, last)) : '-', [judged, last && !isNaN(last.validationLoss) ? `loss ${short(last.validationLoss)}` : ''].filter(Boolean).join(', '));
  say(v.Best, best ? percent(decisive(run, best)) : '-', best ? `epoch ${best.epoch}` : '');
  say(v.Rate, number(p.items_per_second) > 0 ? `${Number(p.items_per_second.toPrecision(3))} items/s` : '-', '');
  say(v.Left, going ? duration(number(p.seconds_left)) : '-', '');
  say(v.Test, run.test ? percent(number(judged ? run.test.macro_accuracy : run.test.accuracy)) : '-',
      run.test && judged ? judged
      : run.test && !isNaN(number(run.test.low)) ? `${percent(run.test.low).replace(' %', '')} to ${percent(number(run.test.high))}` : '');
  const all = epochs * count(p.steps), done = state === 'finished' ? 1 : all ? Math.min(1, count(p.steps_done) / all) : 0;
  run.bar.style.setProperty('--done', done);
}

// ---- Charts ----

// About n round numbers from a to b.
function ticks(a, b, n) {
  const rough = (b - a) / n, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find(m => m * power >= rough) * power;
  const list = [];
  for (let t = Math.ceil(a / step - 1e-9); t * step <= b + step * 1e-9; t++) list.push(t * step);
  return list;
}
function logTicks(a, b) {
  const list = [], wide = Math.log10(b / a) > 4;
  for (let e = Math.floor(Math.log10(a)); e <= Math.ceil(Math.log10(b)); e++)
    for (const m of wide ? [1] : [1, 2, 5]) if (m * 10 ** e >= a * 0.999 && m * 10 ** e <= b * 1.001) list.push(m * 10 ** e);
  return list;
}

// The smallest and the largest value of every column of pixels: what 100,000 steps look like, at the price of 2,000.
function thin(x, y, toX, columns) {
  if (x.length <= 3 * columns) return [x, y];
  const xs = [], ys = [];
  for (let i = 0; i < x.length;) {
    const column = Math.floor(toX(x[i]));
    let low = -1, high = -1;
    for (; i < x.length && Math.floor(toX(x[i])) === column; i++) {
      if (isNaN(y[i])) continue;
      if (low < 0 || y[i] < y[low]) low = i;
      if (high < 0 || y[i] > y[high]) high = i;
    }
    for (const k of low < high ? [low, high] : [high, low]) if (k >= 0 && xs[xs.length - 1] !== x[k]) { xs.push(x[k]); ys.push(y[k]); }
  }
  return [xs, ys];
}

// An exponential average that begins as the mean of what it has seen.
function smooth(y, share) {
  const out = new Array(y.length);
  let sum = 0, weight = 0;
  for (let i = 0; i < y.length; i++) {
    if (!isNaN(y[i])) { sum = share * sum + y[i]; weight = share * weight + 1; }
    out[i] = weight ? sum / weight : NaN;
  }
  return out;
}

function path(xs, ys, toX, toY) {
  let d = '', pen = false;
  for (let i = 0; i < xs.length; i++) {
    const v = toY(ys[i]);
    if (!isFinite(v)) { pen = false; continue; }
    d += (pen ? 'L' : 'M') + toX(xs[i]).toFixed(1) + ' ' + v.toFixed(1);
    pen = true;
  }
  return d;
}

class Chart {
  constructor(figure, title, options) {
    this.figure = figure;
    this.title = title;
    this.options = options;
    this.svg = svg('svg', {role: 'img', tabindex: '0', height: 240});
    this.readout = el('p', {class: 'readout', id: figure.id + '-readout'});
    this.legend = el('ul', {class: 'legend'});
    this.svg.setAttribute('aria-describedby', this.readout.id);
    figure.append(el('h3', {}, title), this.svg, this.readout, this.legend);
    this.series = [];
    this.svg.addEventListener('pointermove', e => this.point(e.clientX - this.svg.getBoundingClientRect().left));
    this.svg.addEventListener('pointerleave', () => this.leave());
    this.svg.addEventListener('blur', () => this.leave());
    this.svg.addEventListener('keydown', e => {
      const by = {ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity}[e.key];
      if (by === undefined || !this.frame) return;
      e.preventDefault();
      const f = this.frame, at = this.at === undefined ? f.right : this.at;
      this.point(Math.min(f.right, Math.max(f.left, at + by * (f.right - f.left) / 100)));
    });
    new ResizeObserver(() => redraw()).observe(figure);
  }

  leave() {
    this.at = undefined;
    this.mark();
  }

  point(pixel) {
    this.at = pixel;
    this.mark();
  }

  // The values nearest to the cursor, in words, and a line where it stands.
  mark() {
    if (this.line) this.line.remove();
    this.line = null;
    const f = this.frame;
    if (!f || this.at === undefined) {
      this.readout.textContent = '';
      return;
    }
    const pixel = Math.min(f.right, Math.max(f.left, this.at)), x = f.fromX(pixel), parts = [];
    this.line = svg('path', {d: `M${pixel.toFixed(1)} ${f.top}V${f.bottom}`, class: 'cursor'});
    this.svg.append(this.line);
    for (const s of this.series) {
      if (s.faint || !s.x.length) continue;
      let low = 0, high = s.x.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (s.x[middle] < x) low = middle + 1; else high = middle;
      }
      if (low > 0 && x - s.x[low - 1] < s.x[low] - x) low--;
      parts.push(`${s.label} ${this.options.format(s.y[low])}`);
    }
    this.readout.textContent = `${f.word} ${Number(x.toPrecision(4))}: ${parts.join(', ')}`.slice(0, 600);
  }

  // series: [{label, x, y, colour, dash, marks, faint}]; word: what x counts
  draw(series, word, logarithmic) {
    const width = Math.max(220, this.figure.clientWidth), height = 240, left = 52, right = width - 8, top = 8, bottom = height - 34;
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    this.series = series;
    for (const s of series)
      for (let i = 0; i < s.x.length; i++) {
        const v = s.y[i];
        if (isNaN(v) || (logarithmic && v <= 0)) continue;
        if (s.x[i] < x0) x0 = s.x[i];
        if (s.x[i] > x1) x1 = s.x[i];
        if (v < y0) y0 = v;
        if (v > y1) y1 = v;
      }
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    if (x0 > x1) {
      this.frame = null;
      this.svg.setAttribute('aria-label', `${this.title}: nothing yet`);
      this.svg.replaceChildren(svg('text', {x: width / 2, y: height / 2, 'text-anchor': 'middle'}, 'nothing yet'));
      this.legend.replaceChildren();
      this.drawn = '';
      return;
    }
    x0 = Math.min(0, x0);
    if (x1 <= x0) x1 = x0 + 1;
    if (logarithmic) {
      y0 /= 1.1;
      y1 *= 1.1;
    } else {
      if (this.options.zero) y0 = Math.min(0, y0);
      if (this.options.one) y1 = 1;
      if (y1 <= y0) y1 = y0 + (Math.abs(y0) || 1);
      if (!this.options.one) y1 += 0.04 * (y1 - y0);
    }
    const toX = x => left + (x - x0) / (x1 - x0) * (right - left);
    const toY = logarithmic ? y => y > 0 ? bottom - Math.log(y / y0) / Math.log(y1 / y0) * (bottom - top) : NaN
                            : y => bottom - (y - y0) / (y1 - y0) * (bottom - top);
    this.frame = {left, right, top, bottom, word, fromX: p => x0 + (p - left) / (right - left) * (x1 - x0)};
    const parts = [];
    for (const t of logarithmic ? logTicks(y0, y1) : ticks(y0, y1, 5)) {
      const y = toY(t);
      parts.push(svg('path', {d: `M${left} ${y.toFixed(1)}H${right}`, class: 'grid'}),
                 svg('text', {x: left - 6, y: y + 4, 'text-anchor': 'end'}, this.options.format(t, true)));
    }
    const most = Math.max(2, Math.floor(width / 90));
    for (const t of ticks(x0, x1, most))
      parts.push(svg('path', {d: `M${toX(t).toFixed(1)} ${bottom}v4`, class: 'axis'}),
                 svg('text', {x: toX(t), y: bottom + 17, 'text-anchor': 'middle'}, String(Number(t.toPrecision(6)))));
    parts.push(svg('path', {d: `M${left} ${bottom}H${right}`, class: 'axis'}),
               svg('text', {x: right, y: height - 3, 'text-anchor': 'end'}, word));
    for (const s of series) {
      const [xs, ys] = thin(s.x, s.y, toX, right - left);
      const kind = s.faint ? ' faint' : s.thin ? ' thin' : '';
      parts.push(svg('path', {d: path(xs, ys, toX, toY), class: `curve c${s.colour} d${s.faint ? 0 : s.dash}${kind}`}));
      if (s.marks && s.x.length <= (right - left) / 7)
        for (let i = 0; i < s.x.length; i++)
          if (isFinite(toY(s.y[i]))) parts.push(svg('circle', {cx: toX(s.x[i]).toFixed(1), cy: toY(s.y[i]).toFixed(1), r: 3, class: `mark c${s.colour}`}));
    }
    this.svg.replaceChildren(...parts);
    this.line = null;
    const told = series.filter(s => !s.faint && s.y.length).map(s => `${s.label} ${this.options.format(s.y[s.y.length - 1])}`);
    this.svg.setAttribute('aria-label', `${this.title}, last: ${told.join(', ')}`.slice(0, 900));
    const key = series.map(s => [s.label, s.colour, s.dash, s.marks].join()).join('\n');
    if (key !== this.drawn)
      this.legend.replaceChildren(...series.filter(s => !s.faint).map(s => el('li', {}, swatch(s.colour, s.dash, s.marks), named(s.label))));
    this.drawn = key;
    if (this.at !== undefined) this.mark();
  }
}

const exact = v => short(v), share = v => percent(v), tickShare = (v, tick) => tick ? Math.round(100 * v) + ' %' : percent(v);
const charts = {};
function makeCharts() {
  charts.loss = new Chart($('loss'), 'Loss', {format: exact, zero: true});
  charts.accuracy = new Chart($('accuracy'), 'Accuracy', {format: tickShare, zero: true, one: true});
  charts.lr = new Chart($('lr'), 'Learning rate', {format: exact, zero: true});
  charts.norm = new Chart($('norm'), 'Norm of the gradient', {format: exact});
  charts.stages = new Chart($('stages'), 'Norm of the gradient by stage', {format: exact});
}

// Steps, or epochs that steps make up.
function across(run, steps) {
  const by = $('across').value === 'epoch' ? run.stepsOf || 1 : 1;
  return by === 1 ? steps : steps.map(s => s / by);
}

// A raw curve in the background and its average before it.
function averaged(list, x, y, how, amount) {
  if (amount > 0 && y.length > 4) {
    list.push({...how, x, y, faint: true});
    list.push({...how, x, y: smooth(y, amount)});
  } else {
    list.push({...how, x, y});
  }
}

function drawCurves() {
  const word = $('across').value, amount = Number($('smoothing').value), several = runs.length > 1;
  const loss = [], accuracy = [], lr = [], norm = [];
  for (const run of runs.filter(r => r.shown)) {
    const [colour, dash] = colourOf(run), name = several ? run.name + ' ' : '';
    const x = across(run, run.steps.step), ends = across(run, run.epochs.map(e => e.step));
    const train = {label: name + 'training', colour, dash, thin: true};
    const judged = {label: name + 'validation', colour: several ? colour : (colour + 1) % COLOURS, dash: several ? dash : (dash + 1) % COLOURS, marks: true};
    if (x.length > ends.length) averaged(loss, x, run.steps.loss, train, amount);
    else loss.push({...train, x: ends, y: run.epochs.map(e => e.loss)}); // few steps are in the log
    accuracy.push({...train, x: ends, y: run.epochs.map(e => e.accuracy)});
    if (run.epochs.some(e => !isNaN(e.validation))) {
      loss.push({...judged, x: ends, y: run.epochs.map(e => e.validationLoss)});
      accuracy.push({...judged, x: ends, y: run.epochs.map(e => e.validation)});
      if (manyLabels(run))
        accuracy.push({...judged, label: name + 'validation, mean average precision', colour: (judged.colour + 1) % COLOURS, dash: (judged.dash + 1) % COLOURS,
                       x: ends, y: run.epochs.map(e => e.macro)});
    }
    lr.push({...train, thin: false, label: name.trim() || 'learning rate', x, y: run.steps.lr});
    averaged(norm, x, run.steps.norm, {...train, thin: false, label: name.trim() || 'all parameters'}, amount);
  }
  charts.loss.draw(loss, word, $('logarithmic').checked);
  charts.accuracy.draw(accuracy, word, false);
  charts.lr.draw(lr, word, false);
  charts.norm.draw(norm, word, true);
  const run = runs[chosen], stages = [];
  if (run)
    STAGES.forEach((stage, i) => {
      if (run.steps.stages[i].some(v => !isNaN(v)))
        stages.push({label: stage, colour: i, dash: i, x: across(run, run.steps.step), y: smooth(run.steps.stages[i], amount)});
    });
  charts.stages.draw(stages, word, true);
}

// ---- The sample: a safetensors file, 8 bytes of length, a header of JSON, then the numbers ----

function readTensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const take = name => {
    const entry = header[name];
    if (!entry || entry.dtype !== 'F32') return null;
    const [from, to] = entry.data_offsets;
    return {shape: entry.shape, data: new Float32Array(buffer.slice(8 + length + from, 8 + length + to))};
  };
  return {about: JSON.parse(header.__metadata__['resnet.sample']), take};
}

// One plane in greys, loud dark on a light page and light on a dark one, rows upwards; three planes as a picture, rows downwards.
// Spectrograms have their rows from below and are dark where they are loud; pictures are as they are.
function drawPlanes(canvas, tensor, picture) {
  const [c, h, w] = tensor.shape, planes = c >= 3 ? 3 : 1, upright = picture || planes === 3, size = h * w, dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const sorted = Float32Array.from(tensor.data.subarray(0, planes * size)).sort();
  const low = sorted[Math.floor(sorted.length / 50)], high = sorted[sorted.length - 1 - Math.floor(sorted.length / 50)];
  const level = v => Math.max(0, Math.min(255, 255 * (v - low) / (high - low || 1)));
  canvas.width = w;
  canvas.height = h;
  const context = canvas.getContext('2d'), image = context.createImageData(w, h);
  for (let r = 0; r < h; r++)
    for (let q = 0; q < w; q++) {
      const at = 4 * ((upright ? r : h - 1 - r) * w + q);
      for (let k = 0; k < 3; k++) {
        const v = level(tensor.data[(planes === 3 ? k : 0) * size + r * w + q]);
        image.data[at + k] = upright || dark ? v : 255 - v;
      }
      image.data[at + 3] = 255;
    }
  context.putImageData(image, 0, 0);
}

// Samples as a WAV file of 16 bits.
function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length)), text = (at, s) => [...s].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, 'RIFF'); view.setUint32(4, 36 + 2 * samples.length, true); text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, 'data'); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((v, i) => view.setInt16(44 + 2 * i, Math.max(-32768, Math.min(32767, Math.round(32768 * v))), true));
  return new Blob([view], {type: 'audio/wav'});
}

let sounds = [], sampleDrawn = '';
function drawSample() {
  const run = runs[chosen], sample = run && run.sample, key = sample ? `${chosen} ${sample.version}` : '';
  // Whoever listens is not interrupted.
  if (key === sampleDrawn || [...$('sample').querySelectorAll('audio')].some(a => !a.paused)) return;
  sampleDrawn = key;
  sounds.forEach(URL.revokeObjectURL);
  sounds = [];
  $('sample').replaceChildren();
  if (!sample) {
    $('sample-text').textContent = 'A sample of a batch comes with the first step of an epoch.';
    return;
  }
  const {about, take} = sample, items = Array.isArray(about.items) ? about.items.slice(0, 16) : [], rate = count(about.rate_hz), picture = about.pictures === true;
  let heard = false;
  items.forEach((item, i) => {
    const tensor = take(i + '.x'), sound = take(i + '.sound');
    if (!tensor || tensor.shape.length !== 3) return;
    const [c, h, w] = tensor.shape, label = words(item.label), canvas = el('canvas', {role: 'img'});
    canvas.setAttribute('aria-label', `${picture || c >= 3 ? 'Picture' : 'Spectrogram'} of an item of ${label}, ${h} rows and ${w} columns`);
    drawPlanes(canvas, tensor, picture);
    const mixed = number(item.share) < 1 ? `${Math.round(100 * item.share)} %, mixed with ` : '';
    const caption = el('figcaption', {}, el('strong', {}, named(label)), mixed, mixed ? named(item.mixed_with) : '', mixed ? el('br', {}) : '',
                       el('span', {class: 'path'}, named(item.name)));
    const figure = el('figure', {}, canvas, caption);
    if (sound && rate) {
      const url = URL.createObjectURL(wav(sound.data, rate)), player = el('audio', {controls: '', preload: 'metadata', src: url});
      player.setAttribute('aria-label', `Sound of an item of ${label}`);
      player.addEventListener('pause', redraw);
      player.addEventListener('ended', redraw);
      sounds.push(url);
      figure.append(player);
      heard = true;
    }
    $('sample').append(figure);
  });
  $('sample-text').textContent = `Epoch ${count(about.epoch)}, step ${count(about.step)}: ${items.length} items of a batch as the network got them, ` +
    `after augmentation${heard ? '; masks and mixing are in the picture only, everything else can be heard' : ''}.`;
}

async function fetchSample(run, version) {
  run.wanted = version;
  try {
    const answer = await fetch(`/runs/${run.index}/sample.safetensors`);
    if (!answer.ok) return;
    const tensors = readTensors(await answer.arrayBuffer());
    if (run.wanted === version) run.sample = {version, ...tensors};
  } catch (e) {
    run.broken++; // a sample that is none
  }
  redraw();
}

// ---- The matrix and the table ----

let confusionDrawn = '';
function drawConfusion() {
  const run = runs[chosen], confusion = run && run.confusion, key = confusion ? `${chosen} ${confusion.epoch}` : run && manyLabels(run) ? 'several' : '';
  if (key === confusionDrawn) return;
  confusionDrawn = key;
  $('confusion').replaceChildren();
  if (!confusion) {
    $('confusion-text').textContent = run && manyLabels(run)
      ? 'Items have several labels: there is no class that is taken for another. resnet eval --report has the figures of each class.'
      : 'It comes with the first validation, for up to 100 classes.';
    return;
  }
  const labels = run.start && Array.isArray(run.start.labels) ? run.start.labels : [], name = i => labels[i] === undefined ? 'class ' + i : words(labels[i]);
  const rows = confusion.rows.map(r => Array.isArray(r) ? r.slice(0, confusion.rows.length).map(count) : []), n = rows.length;
  let right = 0, all = 0;
  rows.forEach((r, i) => r.forEach((v, j) => { all += v; if (i === j) right += v; }));
  $('confusion-text').textContent = `Epoch ${confusion.epoch}: ${right} of ${all} right. ` +
    (n <= CLASSES_MOST ? 'A row is a true class, a column what the network answered.' : `Of ${n} classes, those that are taken for another most often.`);
  if (n <= CLASSES_MOST) {
    const head = el('tr', {}, el('td', {}));
    for (let j = 0; j < n; j++) head.append(el('th', {scope: 'col'}, named(name(j))));
    head.append(el('th', {scope: 'col'}, named('found')));
    const body = el('tbody', {});
    rows.forEach((r, i) => {
      const total = r.reduce((a, b) => a + b, 0), line = el('tr', {}, el('th', {scope: 'row'}, named(name(i))));
      for (let j = 0; j < n; j++) {
        const v = r[j] || 0, cell = el('td', v ? i === j ? {} : {class: 'wrong'} : {class: 'none'}, v ? String(v) : '·');
        if (v) cell.style.setProperty('--share', v / total);
        line.append(cell);
      }
      line.append(el('td', {}, total ? percent((r[i] || 0) / total) : '-'));
      body.append(line);
    });
    $('confusion').append(el('table', {}, el('thead', {}, head), body));
    return;
  }
  const worst = [];
  rows.forEach((r, i) => r.forEach((v, j) => { if (i !== j && v) worst.push([v, i, j]); }));
  worst.sort((a, b) => b[0] - a[0]);
  const body = el('tbody', {});
  for (const [v, i, j] of worst.slice(0, 30)) body.append(el('tr', {}, el('td', {}, named(name(i))), el('td', {class: 'left'}, named(name(j))), el('td', {}, String(v))));
  $('confusion').append(el('table', {}, el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'true'), el('th', {scope: 'col', class: 'left'}, 'answered'),
                           el('th', {scope: 'col'}, 'times'))), body));
}

let tableDrawn = '';
function drawTable() {
  const run = runs[chosen], key = run ? `${chosen} ${run.epochs.length} ${run.epochs.length && run.epochs[run.epochs.length - 1].loss}` : '';
  if (key === tableDrawn || !$('table').parentElement.open) return;
  tableDrawn = key;
  const several = run && manyLabels(run), heads = ['epoch', 'loss', several ? 'all labels right' : 'accuracy', 'validation loss', 'validation',
    several ? 'mean average precision' : 'macro', 'learning rate', 'best'], body = el('tbody', {});
  for (const e of run ? run.epochs.slice(-1000) : [])
    body.append(el('tr', {}, el('th', {scope: 'row'}, String(e.epoch)), ...[short(e.loss), percent(e.accuracy), short(e.validationLoss), percent(e.validation),
                percent(e.macro), short(e.lr), e.best ? 'best so far' : ''].map(t => el('td', {}, t))));
  $('table').replaceChildren(el('table', {}, el('thead', {}, el('tr', {}, ...heads.map(h => el('th', {scope: 'col'}, h)))), body));
  $('log-link').href = `/runs/${chosen}/log.jsonl`;
}

// ---- Drawing, at most so often, and only what is seen ----

let pause = REDRAW_MS; // long runs are drawn less often, so that the page stays with whoever uses it
function draw() {
  const begun = performance.now();
  pending = 0;
  if (document.hidden) return;
  runs.forEach(drawCard);
  if (linked) link(runs.every(r => ['finished', 'stopped', 'failed'].includes(stateOf(r)[0])) ? 'The runs have ended. One that is resumed goes on here.'
                                                                                                : 'Live: this page follows the runs.');
  drawCurves();
  drawSample();
  drawConfusion();
  drawTable();
  pause = Math.max(REDRAW_MS, 6 * (performance.now() - begun));
}
function redraw() {
  if (!pending) pending = setTimeout(() => requestAnimationFrame(draw), pause);
}

// ---- The connection ----

let source = null, linked = false;
function link(text, lost, again) {
  if ($('link').said === text) return;
  $('link').said = text;
  $('link').className = lost ? 'lost' : 'quiet';
  $('link').replaceChildren(el('span', {}, text));
  if (again) {
    const button = el('button', {type: 'button'}, 'Connect again');
    button.addEventListener('click', connect);
    $('link').append(button);
  }
}

function connect() {
  if (source) source.close();
  linked = false;
  link('Connecting.');
  source = new EventSource('/events');
  source.addEventListener('hello', e => {
    const names = JSON.parse(e.data), before = runs;
    newsAt = Date.now(); // what is told now is no news
    runs = names.map((r, i) => emptyRun(words(r.name), i));
    runs.forEach((run, i) => { if (before[i] && before[i].name === run.name) run.shown = before[i].shown; });
    if (chosen >= runs.length) chosen = 0;
    sampleDrawn = confusionDrawn = tableDrawn = 'none';
    document.title = (runs.length === 1 ? runs[0].name : `${runs.length} runs`).slice(0, 100) + ' - resnet';
    makeCards();
    linked = true;
    redraw();
  });
  source.addEventListener('log', e => addLines(e.data));
  source.addEventListener('restart', e => {
    const i = Number(e.data);
    if (!runs[i]) return;
    const {shown, values, bar, details, progress, alive, heard, sample} = runs[i];
    runs[i] = {...emptyRun(runs[i].name, i), shown, values, bar, details, progress, alive, heard, sample};
    confusionDrawn = tableDrawn = 'none';
    redraw();
  });
  source.addEventListener('progress', e => {
    const told = JSON.parse(e.data), run = runs[told.run];
    if (!run) return;
    run.progress = told.progress;
    run.alive = told.alive;
    run.heard = Date.now() / 1000 - Math.max(0, told.now - number(told.progress.time) || 0);
    redraw();
  });
  source.addEventListener('sample', e => {
    const told = JSON.parse(e.data);
    if (runs[told.run]) fetchSample(runs[told.run], told.version);
  });
  source.addEventListener('end', () => {
    linked = false;
    source.close();
    link('The server has ended; what it told stays here. To look again: resnet watch RUN', false, true);
    redraw();
  });
  source.addEventListener('error', () => {
    linked = false;
    if (source.readyState === EventSource.CLOSED) link('The connection is closed.', true, true);
    else link('The connection is lost; trying again.', true);
  });
}

makeCharts();
for (const id of ['across', 'smoothing', 'logarithmic']) $(id).addEventListener('input', redraw);
for (const id of ['controls', 'choice']) $(id).addEventListener('submit', e => e.preventDefault());
$('chosen').addEventListener('input', () => { chosen = Number($('chosen').value); tableDrawn = 'none'; redraw(); });
$('table').parentElement.addEventListener('toggle', redraw);
document.addEventListener('visibilitychange', redraw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { sampleDrawn = 'none'; redraw(); });
setInterval(redraw, 5000);
connect();
