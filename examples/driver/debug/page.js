"use strict";
const $ = id => document.getElementById(id);
const every = 1000;      // ms between two looks at the host
const kept = 1000;       // messages
const drawn = 300;       // messages in the list
const points = 60;       // of a curve

let events = [], last = 0, paused = null, before = null, history = [];

// make makes an element: make("li", {class: "bad"}, "text", child).
function make(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value !== false && value != null) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

// fill makes the rows of a parent look like the wanted ones, and touches only what differs, so that a selection stays.
function fill(parent, wanted) {
  wanted.forEach((row, i) => {
    const have = parent.children[i];
    if (!have) parent.append(row);
    else if (!have.isEqualNode(row)) have.replaceWith(row);
  });
  while (parent.children.length > wanted.length) parent.lastChild.remove();
}

function say(element, kind, mark, words) {
  element.className = element.className.split(" ")[0] + " " + kind;
  const [m, w] = element.children;
  if (m.textContent !== mark) m.textContent = mark;
  if (w.textContent !== words) w.textContent = words;
}

const plural = (n, one, many) => n.toLocaleString("en") + " " + (n === 1 ? one : many || one + "s");
const named = (number, id) => "worker " + number + (id ? " (" + id + ")" : "");
const upper = s => s[0].toUpperCase() + s.slice(1);

function seconds(s) {
  if (s < 10) return s.toFixed(1) + " s";
  if (s < 120) return Math.round(s) + " s";
  if (s < 7200) return Math.round(s / 60) + " min";
  return Math.round(s / 3600) + " h";
}

const short = s => s < 1e-3 ? Math.round(s * 1e6) + " µs" : s < 1 ? +(s * 1e3).toPrecision(2) + " ms" : s < 120 ? s + " s" : seconds(s);

function bytes(n) {
  if (n < 10000) return Math.round(n) + " B";
  if (n < 1e6) return (n / 1024).toFixed(n < 1e5 ? 1 : 0) + " KiB";
  return (n / (1 << 20)).toFixed(1) + " MiB";
}

const rate = n => n < 10 ? n.toFixed(1) : Math.round(n).toLocaleString("en");

// rates notes the counters, and returns what has been done in a second, over the last five looks.
function rates(s) {
  const c = s.counters;
  const now = {
    time: Date.parse(s.time) / 1000,
    jobs: c.Succeeded + c.Failed + c.Panicked + c.Cancelled + c.GivenUp + c.NoWorker + c.Stopped,
    messages: c.MessagesSent + c.MessagesReceived,
    bytes: c.BytesSent + c.BytesReceived,
  };
  const of = (a, b) => {
    const span = b.time - a.time;
    const r = name => a && span > 0 ? Math.max(0, b[name] - a[name]) / span : 0;
    return {jobs: r("jobs"), messages: r("messages"), bytes: r("bytes")};
  };
  if (before && now.time > before.at(-1).time) {
    history.push(of(before.at(-1), now));
    history = history.slice(-points);
  }
  before = [...(before || []), now].slice(-5);
  return of(before[0], now);
}

function curve(name) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 " + (points - 1) + " 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const top = Math.max(1e-9, ...history.map(h => h[name]));
  const line = history.map((h, i) => (points - history.length + i) + " " + (19 - 17 * h[name] / top).toFixed(1)).join("L");
  if (history.length > 1) {
    for (const [kind, d] of [["area", "M" + (points - history.length) + " 20L" + line + "L" + (points - 1) + " 20Z"], ["line", "M" + line]]) {
      const path = document.createElementNS(ns, "path");
      path.setAttribute("class", kind);
      path.setAttribute("d", d);
      svg.append(path);
    }
  }
  return svg;
}

function showFacts(s) {
  const r = rates(s);
  const c = s.counters;
  const fact = (name, value, unit, more) => make("div", {}, make("dt", {}, name), make("dd", {}, value.replace(" ", "\u00a0") + " ", make("small", {}, unit)), more || "");
  const lost = c.Failed + c.Panicked + c.GivenUp + c.NoWorker + c.Stopped;
  const outcomes = make("small", {class: "dim"}, lost ? plural(lost, "without a result", "without a result") : "none without a result");
  const killed = make("small", {class: "dim"}, c.WorkersKilled ? plural(c.WorkersKilled, "ended by the host", "ended by the host") : "none ended by the host");
  fill($("facts"), [
    fact("Jobs", rate(r.jobs), "a second", curve("jobs")),
    fact("Messages", rate(r.messages), "a second", curve("messages")),
    fact("Traffic", bytes(r.bytes), "a second", curve("bytes")),
    fact("Under way", s.jobs_all.toLocaleString("en"), "jobs", make("small", {class: "dim"}, s.phases[0].jobs.toLocaleString("en") + " wait for a worker")),
    fact("Succeeded", c.Succeeded.toLocaleString("en"), "jobs", outcomes),
    fact("Workers", s.workers_all.toLocaleString("en"), "connected", killed),
  ]);
}

// spread draws how many calls took how long, each bar for two to two and a half times as long as the one before.
function spread(h) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 " + h.counts.length + " 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const alone = h.counts.map((n, i) => n - (i ? h.counts[i - 1] : 0));
  const top = Math.max(1, ...alone);
  alone.forEach((n, i) => {
    const bar = document.createElementNS(ns, "rect");
    for (const [name, value] of [["x", i + 0.1], ["width", 0.8], ["y", 19 - 19 * n / top], ["height", 19 * n / top + 1]]) bar.setAttribute(name, value);
    svg.append(bar);
  });
  return svg;
}

// within says how long the calls took, but for the slowest.
function within(h, share) {
  const i = h.counts.findIndex(n => n >= share * h.counts.at(-1));
  return i < h.most.length ? "≤ " + short(h.most[i]) : "> " + short(h.most.at(-1));
}

function showLatency(s) {
  fill($("latency"), [["waited", "Waiting until begun"], ["ran", "Running"]].map(([name, what]) => {
    const h = s[name], any = h.counts.at(-1) > 0;
    const shares = [[0.5, "half"], [0.95, "95 %"], [0.99, "99 %"]];
    return make("li", {class: any ? false : "none"}, make("span", {}, what),
      ...shares.map(([share, of]) => make("span", {class: "share"}, of + " ", make("b", {}, any ? within(h, share) : "–"))), spread(h));
  }));
}

const words = phase => phase.replaceAll("_", " ");

function showPhases(s) {
  fill($("phases"), s.phases.map(p => make("li", {class: p.jobs ? false : "none"}, make("i", {class: "p-" + p.name}), words(p.name) + " ", make("b", {}, p.jobs.toLocaleString("en")))));
  const bar = $("bar");
  fill(bar, s.phases.map(p => make("span", {class: "p-" + p.name})));
  s.phases.forEach((p, i) => { bar.children[i].style.flexGrow = p.jobs; });
}

const isSilent = d => d.limit === "Answer";
const isSlow = d => !d.overdue && !isSilent(d) && d.waited * 2 >= d.allowed;

function showVerdict(s) {
  const about = d => upper(named(d.worker, d.id));
  const late = s.due.filter(d => d.overdue && d.limit !== "Close");
  const silent = s.due.filter(d => isSilent(d) && !d.overdue);
  const slow = s.due.filter(isSlow);
  const others = (n, one, many, end) => n < 2 ? "" : n === 2 ? one : many + (n - 1) + end;
  const v = $("verdict");
  if (late.length) {
    say(v, "bad", "▲", about(late[0]) + " is overdue. It had to " + late[0].text + "." + others(late.length, " Another is late, too.", " ", " others are late, too."));
  } else if (silent.length) {
    const d = silent[0];
    say(v, "bad", "▲", about(d) + " does not answer. It has job " + d.job + ", and has been asked for a sign of life." + others(silent.length, " Nor does another.", " Nor do ", " others."));
  } else if (slow.length) {
    say(v, "warn", "◷", about(slow[0]) + " takes long to " + slow[0].text + ".");
  } else if (s.stopping) {
    say(v, "warn", "■", "The host is stopping.");
  } else if (!s.workers_all && s.jobs_all) {
    say(v, "bad", "▲", "There is no worker, and " + plural(s.jobs_all, "job waits", "jobs wait") + ".");
  } else if (!s.workers_all) {
    say(v, "warn", "○", "There is no worker.");
  } else {
    const long = s.longest.filter(j => j.ran >= 60);
    say(v, "ok", "✓", "All workers are well: nothing is late." + long.map(j => " Job " + j.id + " has run for " + seconds(j.ran) + ".").join(""));
  }
}

function showDue(s) {
  const list = s.due.filter(d => d.limit !== "Send" || d.waited * 10 > d.allowed).slice(0, 20).map(d => {
    const kind = d.overdue || isSilent(d) ? "bad" : isSlow(d) ? "warn" : "";
    const left = d.allowed - d.waited; // it is overdue a little later
    const time = (d.overdue ? "overdue for " : "due in ") + seconds(Math.max(0, d.overdue ? -left : left));
    const item = make("li", {class: kind || false},
      make("div", {class: "head"},
        make("span", {}, make("span", {class: "mark", "aria-hidden": "true"}, kind === "bad" ? "▲" : "◷"), " " + upper(named(d.worker, d.id)) + (isSilent(d) ? " does not answer: it has to " : " has to ") + d.text),
        make("span", {class: "time"}, time)),
      make("progress", {max: d.allowed, value: Math.min(d.waited, d.allowed), "aria-label": "what has passed of " + seconds(d.allowed) + ", Limits." + d.limit}));
    return item;
  });
  fill($("due"), list.length ? list : [make("li", {class: "empty"}, "Nothing is due: no worker owes the host an answer.")]);
}

const marks = {busy: "▶", idle: "○", starting: "…", stopping: "◧", draining: "◧", ending: "■", overdue: "▲", "does not answer": "▲"};

function showWorkers(s) {
  const notes = [];
  if (s.workers_all > s.workers.length) notes.push("the " + s.workers.length + " most urgent of " + s.workers_all);
  if (s.starting) notes.push(plural(s.starting, "worker starts", "workers start"));
  $("workersNote").textContent = notes.join("; ");
  const ended = w => make("li", {class: w.trouble && "bad"}, upper(named(w.number, w.id)) + " ended " + seconds(w.seconds) + " ago: " + w.why);
  const before = new Set(s.workers.flatMap(w => w.before || []).map(w => w.number));
  fill($("ended"), s.ended.filter(w => !before.has(w.number)).map(ended));
  fill($("workers"), s.workers.length ? s.workers.flatMap(w => [make("tr", {class: w.trouble && "bad", title: w.why || false},
    make("td", {class: "num"}, String(w.number)),
    make("td", {class: "id"}, w.id || "–"),
    make("td", {class: "s-" + (w.trouble ? "trouble" : w.status)}, make("span", {class: "mark", "aria-hidden": "true"}, marks[w.status] || "·"), " " + w.status + (w.status === "idle" && w.idle >= 1 ? " for " + seconds(w.idle) : "")),
    make("td", {class: "num count"}, String(w.calls)),
    w.status === "idle" ? make("td", {class: "num dim"}, "–") : make("td", {class: "num dim heard"}, seconds(w.quiet)),
  ), ...(w.before ? [make("tr", {class: "more"}, make("td", {colspan: 5}, make("ul", {class: "ended", "aria-label": "Workers that had its place before"}, ...w.before.map(ended))))] : [])]) : [make("tr", {}, make("td", {class: "empty", colspan: 5}, "No worker is connected."))]);
  const which = $("which"), value = which.value;
  const numbers = new Map(events.map(e => [String(e.worker), ""]));
  for (const w of s.workers) numbers.set(String(w.number), w.id);
  const options = [...numbers].sort((a, b) => a[0] - b[0]).map(([n, id]) => make("option", {value: n}, n + (id ? " · " + id : "")));
  fill(which, [make("option", {value: ""}, "all"), ...options]);
  which.value = numbers.has(value) ? value : "";
}

function showJobs(s) {
  $("jobsNote").textContent = s.jobs_all > s.jobs.length ? s.jobs.length + " of " + s.jobs_all.toLocaleString("en") : "";
  fill($("longest"), s.longest.filter(j => j.ran >= 1).map(j => make("li", {}, "Job " + j.id + (j.label ? " (" + j.label + ")" : "") + " has run for " + seconds(j.ran) + " in worker " + j.worker + ".")));
  const late = new Set(s.due.filter(d => d.job && (d.overdue || isSilent(d))).map(d => d.job));
  fill($("jobs"), s.jobs.length ? s.jobs.flatMap(j => [make("tr", {class: late.has(j.id) && "bad"},
    make("td", {class: "num"}, (late.has(j.id) ? "▲ " : "") + j.id),
    make("td", {class: "num"}, j.worker ? String(j.worker) : "–"),
    make("td", {class: "phase p-" + j.phase}, words(j.phase) + (j.attempt > 1 ? ", attempt " + j.attempt : "")),
    make("td", {class: "num"}, seconds(j.in_phase)),
    make("td", {class: "num"}, seconds(j.seconds)),
    make("td", {class: "num"}, bytes(j.bytes)),
  ), ...(j.label ? [make("tr", {class: "more" + (late.has(j.id) ? " bad" : "")}, make("td", {class: "label", colspan: 6}, j.label))] : [])])
    : [make("tr", {}, make("td", {class: "empty", colspan: 6}, "No job is under way."))]);
}

const arrows = {sent: "→", received: "←", refused: "✗", stray: "∅", ended: "■"};
const described = e => e.text + (e.label ? " (" + e.label + ")" : "") + (e.payload ? " " + e.payload : "");

function showLog() {
  const text = $("filter").value.trim().toLowerCase();
  const job = /^job (\d+)$/.exec(text);
  const which = $("which").value;
  const all = paused || events;
  const match = e => (!which || String(e.worker) === which)
    && (!$("bad").checked || e.bad || e.kind === "stray")
    && (!text || (job ? String(e.job) === job[1] : (e.kind + " " + described(e) + " " + (e.error || "")).toLowerCase().includes(text)));
  const list = all.filter(match);
  const rows = list.slice(-drawn).reverse().map(e => make("li", {class: e.bad ? "trouble" : e.kind},
    make("span", {class: "when", title: "turn " + e.turn}, new Date(e.time).toLocaleTimeString("en-GB")),
    make("span", {class: "arrow", title: e.kind}, arrows[e.kind] || "·"),
    make("span", {class: "who"}, "#" + e.worker),
    make("span", {class: "what"}, (e.bad && e.kind !== "ended" ? "▲ " : "") + described(e), e.error ? make("span", {class: "error"}, " [" + e.error + "]") : ""),
    make("span", {class: "size"}, e.bytes ? bytes(e.bytes) : ""),
  ));
  fill($("log"), rows.length ? rows : [make("li", {class: "empty"}, all.length ? "No message fits the filter." : "No message yet.")]);
  const waiting = paused ? ", paused; " + plural(events.filter(e => !paused.length || e.n > paused.at(-1).n).length, "newer one") : "";
  $("shown").textContent = plural(Math.min(list.length, drawn), "message") + " of " + all.length + waiting;
  const query = new URLSearchParams();
  if (which) query.set("worker", which);
  if (job) query.set("job", job[1]);
  $("export").href = "messages.jsonl" + (query.size ? "?" + query : "");
}

function show(s) {
  if (s.last_event < last) events = []; // the program has been started again
  last = s.last_event;
  events = [...events, ...s.events].slice(-kept);
  $("privacy").textContent = s.payloads ? "Payloads are shown." : "Payloads are not shown, only their sizes.";
  showVerdict(s);
  showFacts(s);
  showPhases(s);
  showLatency(s);
  showDue(s);
  showWorkers(s);
  showJobs(s);
  showLog();
}

let timer = 0, asking = false;

async function look() {
  clearTimeout(timer);
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch("state.json?after=" + last, {signal: AbortSignal.timeout(5000)});
    if (!answer.ok) throw new Error((await answer.text()).trim());
    show(await answer.json());
    say($("link"), "ok", "●", "live");
  } catch (err) {
    say($("link"), "bad", "✗", "no answer");
    say($("verdict"), "bad", "✗", "The program does not answer; what is below was true before. " + err.message);
  }
  asking = false;
  timer = setTimeout(look, every);
}

$("pause").addEventListener("click", () => {
  paused = paused ? null : [...events];
  $("pause").setAttribute("aria-pressed", String(!!paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
  showLog();
});
for (const id of ["filter", "which", "bad"]) $(id).addEventListener("input", showLog);
document.addEventListener("visibilitychange", look);
look();
