// The operator's page: tables of what the API tells, refreshed every few seconds.

import { call } from "./api.js";

const REFRESH_MS = 5000;
const QUEUE_ROWS = 500; // more than somebody reads
const UNFINISHED = ["running", "waiting"];
const RETRYABLE = ["failed", "cancelled"];
const element = (id) => document.getElementById(id);
let olderJobs = ""; // the query for the jobs that follow those shown
let lastLetter = 0; // the number of the last dead letter shown, if others follow
let isRefreshing = false;
const showing = new Map(); // a part of the page -> the promise that it is shown, of its last request
const unread = new Map(); // name of a part -> why it could not be read last time

// Run `work`, what somebody has asked for, and show why it failed until the next time.
async function attempt(work) {
  element("admin-problem").textContent = "";
  try {
    await work();
  } catch (error) {
    element("admin-problem").textContent = error.message;
  }
}

// Show what `read` returns, unless this part of the page is requested again before that: responses
// may arrive in another order. Then the last request counts for both.
function showLast(part, read, show) {
  const isLast = () => showing.get(part) === shown;
  const shown = read().then(
    (content) => (isLast() ? show(content) : showing.get(part)),
    (error) => (isLast() ? Promise.reject(error) : showing.get(part)),
  );
  showing.set(part, shown);
  return shown;
}

// Show this part of the page again. One that cannot be read leaves the others as they are.
async function refreshPart(name) {
  try {
    await showPart(name);
    unread.delete(name);
  } catch (error) {
    unread.set(name, error.message);
  }
}

// Say once why parts cannot be read: often it is the same for all.
function showUnread() {
  const texts = [...new Set(unread.values())].map((message) => {
    const names = [...unread.keys()].filter((name) => unread.get(name) === message);
    return `${names.join(", ")}: ${message}`;
  });
  const line = element("refresh-problem");
  if (line.textContent !== texts.join(" · ")) line.textContent = texts.join(" · ");
}

function row(...cells) {
  const tr = document.createElement("tr");
  for (const cell of cells) {
    const td = document.createElement("td");
    td.append(...[cell ?? ""].flat());
    tr.append(td);
  }
  return tr;
}

// Show these rows in the table of this kind; or, if there are none, say so.
function showRows(kind, rows) {
  const body = element(`${kind}-rows`);
  const focused = body.contains(document.activeElement) ? document.activeElement : null;
  body.replaceChildren(...rows);
  body.closest(".scroll").hidden = !rows.length;
  element(`no-${kind}`).hidden = rows.length > 0;
  if (focused) keepFocus(body, focused);
}

// Give the focus to the button that has taken the place of `button`; or else to its row, its table,
// or the heading, so that the keyboard goes on from there.
function keepFocus(body, button) {
  const same = [...body.querySelectorAll("button")].filter((one) => one.dataset.about === button.dataset.about);
  const next = same.find((one) => one.textContent === button.textContent)
    ?? same[0]?.closest("tr")
    ?? (body.children.length ? body.closest(".scroll") : body.closest("section").querySelector("h2"));
  if (next.tabIndex < 0) next.tabIndex = -1; // not reached by Tab, but it can have the focus
  next.focus();
}

function plainButton(label, about, onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.setAttribute("aria-label", `${label}: ${about}`);
  button.dataset.about = about;
  button.addEventListener("click", onClick);
  return button;
}

// A button that calls the API, if `question` is confirmed, and refreshes the tables.
function action(label, about, method, path, { body, question } = {}) {
  const button = plainButton(label, about, () => {
    if (button.hasAttribute("aria-disabled") || (question && !confirm(`${question}\n\n${about}`))) return;
    button.setAttribute("aria-disabled", "true"); // disabled, it would lose the focus
    attempt(() => call(method, path, body)).then(refreshAll).then(() => button.removeAttribute("aria-disabled"));
  });
  return button;
}

function jobActions(job) {
  const path = `/apiv1/jobs/${job.id}`;
  if (UNFINISHED.includes(job.state)) {
    return [action("Cancel", job.key, "DELETE", `${path}?cancel_only=true`)];
  }
  const buttons = [];
  if (RETRYABLE.includes(job.state) || job.removed) {
    buttons.push(action("Retry", job.key, "POST", `${path}/retry`));
  }
  if (job.state === "done" && !job.removed) {
    buttons.push(action("Remove stems", job.key, "DELETE", path, { question: "Remove the stems of this song?" }));
  }
  return buttons;
}

const seconds = (value) => (value == null ? "" : `${Math.round(value)} s`);
const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`;
const shortType = (type) => type.split(".").pop();
const localTime = (text) => (text ? new Date(text).toLocaleString() : "");

function took(job) {
  return job.started && job.finished ? seconds((new Date(job.finished) - new Date(job.started)) / 1000) : "";
}

const readHealth = () => Promise.all([call("GET", "/apiv1/admin/health"), call("GET", "/apiv1/service")]);

function showHealth([health, service]) {
  const { bus, store, disk, uploads, streams, jobs } = health;
  const speed = service.speed.seconds_for_4_minutes;
  const facts = {
    Version: health.version,
    Bus: bus.up ? `up, NATS ${bus.version}` : "away",
    Store: store.up ? "up" : "away, or a bucket is missing",
    "Free disk for uploads": `${gigabytes(disk.free_bytes)} of ${gigabytes(disk.total_bytes)}`,
    "Songs that arrive": `${gigabytes(uploads.used_bytes)} of ${gigabytes(uploads.limit_bytes)}`,
    "Open streams": `${streams.open} of ${streams.limit}`,
    "A 4-minute song takes": speed == null ? "not known yet" : seconds(speed),
    Jobs: Object.entries(jobs).filter(([, count]) => count).map(([state, count]) => `${count} ${state}`).join(", ") || "none",
  };
  element("health").replaceChildren(...Object.entries(facts).map(([name, value]) => {
    const fact = document.createElement("div");
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = name;
    dd.textContent = value;
    fact.append(dt, dd);
    return fact;
  }));
}

// Return all jobs that have not finished, the next one first: jobs are listed by age, not by turn.
async function readQueue() {
  const jobs = [];
  for (let cursor = ""; cursor !== null;) {
    const page = await call("GET", `/apiv1/jobs?state=${UNFINISHED}&limit=500${cursor && `&cursor=${cursor}`}`);
    jobs.push(...page.jobs);
    cursor = page.next;
  }
  return jobs.sort((a, b) => (a.position ?? 0) - (b.position ?? 0));
}

function showQueue(jobs) {
  const rest = jobs.length - QUEUE_ROWS;
  element("queue-rest").hidden = rest <= 0;
  element("queue-rest").textContent = `${rest} more wait.`;
  showRows("queue", jobs.slice(0, QUEUE_ROWS).map((job) => row(
    job.position == null ? "now" : String(job.position),
    job.key,
    job.phase || job.state,
    `${Math.round(job.progress * 100)} %`,
    seconds(job.seconds_left),
    job.submitter,
    jobActions(job),
  )));
}

function jobRow(job) {
  return row(
    localTime(job.created), job.key, job.removed ? `${job.state}, removed` : job.state, job.model,
    seconds(job.song.seconds), took(job), job.problem ? job.problem.title : "", jobActions(job),
  );
}

async function readJobs() {
  const query = new URLSearchParams(new FormData(element("jobs-form")));
  return { query, ...await call("GET", `/apiv1/jobs?${query}`) };
}

function showJobs({ query, jobs, next }) {
  showRows("job", jobs.map(jobRow));
  offerOlderJobs(query, next);
}

async function addOlderJobs() {
  const query = olderJobs;
  const page = await call("GET", `/apiv1/jobs?${query}`);
  if (query !== olderJobs) return; // others are shown now
  element("job-rows").append(...page.jobs.map(jobRow));
  offerOlderJobs(new URLSearchParams(query), page.next);
}

function offerOlderJobs(query, cursor) {
  if (cursor) query.set("cursor", cursor);
  olderJobs = cursor ? String(query) : "";
  element("more-jobs").hidden = !cursor;
}

function letterRow(letter) {
  const path = `/apiv1/admin/dead-letters/${letter.number}`;
  const name = `${letter.number}, ${letter.reason}`;
  const show = plainButton("Show", name, () => attempt(() => showLetter(path)));
  return row(String(letter.number), localTime(letter.time), letter.kind, letter.about, letter.reason, String(letter.tries), [
    show,
    action("Replay", name, "POST", `${path}/replay`),
    action("Drop", name, "DELETE", path, { question: "Drop this dead letter for good?" }),
  ]);
}

function showLetter(path) {
  return showLast("letter", () => call("GET", path), (letter) => {
    element("letter").textContent = JSON.stringify(letter.message, null, 2);
    element("letter").hidden = false;
    element("letter").focus();
  });
}

const readLetters = (after) => call("GET", `/apiv1/admin/dead-letters?after=${after}`);

function showLetters(page) {
  showRows("letter", page.dead_letters.map(letterRow));
  offerLaterLetters(page.next);
}

async function addLaterLetters() {
  const after = lastLetter;
  const page = await readLetters(after);
  if (after !== lastLetter) return; // others are shown now
  element("letter-rows").append(...page.dead_letters.map(letterRow));
  offerLaterLetters(page.next);
}

function offerLaterLetters(number) {
  lastLetter = number;
  element("more-letters").hidden = !number;
}

function webhookState(hook) {
  if (!hook.active) return hook.inactive_reason ? `off: ${hook.inactive_reason}` : "off";
  return hook.failing_since ? `failing since ${localTime(hook.failing_since)}` : "on";
}

function attemptsButton(hook) {
  return plainButton("Attempts", hook.url, () => attempt(() => showAttempts(hook)));
}

function showAttempts(hook) {
  return showLast("attempts", () => call("GET", `/apiv1/webhooks/${hook.id}/attempts`), ({ attempts }) => {
    element("attempts-title").textContent = `Last attempts: ${hook.url}`;
    showRows("attempt", attempts.map((each) => row(
      localTime(each.time), shortType(each.type), each.job, String(each.attempt), each.state,
      each.reason || String(each.status), localTime(each.next),
    )));
    element("attempts").hidden = false;
    element("attempts-title").focus();
  });
}

function showWebhooks({ webhooks }) {
  showRows("webhook", webhooks.map((hook) => {
    const path = `/apiv1/webhooks/${hook.id}`;
    return row(
      hook.url, hook.events.map(shortType).join(", "), webhookState(hook), hook.description,
      [
        attemptsButton(hook),
        action(hook.active ? "Switch off" : "Switch on", hook.url, "PATCH", path, { body: { active: !hook.active } }),
        action("Delete", hook.url, "DELETE", path, { question: "Delete this webhook?" }),
      ],
    );
  }));
}

function showModels({ models, default: usual, complete }) {
  showRows("model", models.map((model) => row(
    model.name === usual ? `${model.name} (default)` : model.name, model.sources.join(", "),
    model.segment == null ? "" : `${model.segment} s`, String(model.networks), model.location, model.note,
  )));
  element("models-incomplete").hidden = complete;
}

const PARTS = { // how each is read, and shown
  Health: [readHealth, showHealth],
  Queue: [readQueue, showQueue],
  Jobs: [readJobs, showJobs],
  "Dead letters": [() => readLetters(0), showLetters],
  Webhooks: [() => call("GET", "/apiv1/webhooks"), showWebhooks],
  Models: [() => call("GET", "/apiv1/models"), showModels],
};
const showPart = (name) => showLast(name, ...PARTS[name]);

async function refreshAll() {
  await Promise.all(Object.keys(PARTS).map(refreshPart));
  showUnread();
}

// Show again what changes by itself. A table in which somebody works (a focused button) stays as it is.
async function refresh() {
  if (document.hidden || isRefreshing) return;
  isRefreshing = true;
  const names = ["Health"];
  if (!element("queue-rows").contains(document.activeElement)) names.push("Queue");
  await Promise.all(names.map(refreshPart));
  showUnread();
  isRefreshing = false;
}

element("jobs-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => showPart("Jobs"));
});
element("more-jobs").addEventListener("click", () => attempt(addOlderJobs));
element("more-letters").addEventListener("click", () => attempt(addLaterLetters));
await refreshAll();
setInterval(refresh, REFRESH_MS);
