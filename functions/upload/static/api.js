// The API as the page sees it: a bearer token where one is asked for, problems as errors,
// and a job's events, which come as a stream or, where that is cut off, by asking again.

const POLL_MS = 2000;
const BREATH_MS = 300; // between a stream that ended before the job and the next
const FINISHED = new Set(["done", "failed", "cancelled", "superseded"]);

let token = sessionStorage.getItem("token") ?? "";
let asking = null;

// An answer of the API that is not a success; `status` is 0 where there was no answer.
export class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// The JSON answer of `method path`. Throws Problem.
export async function call(method, path, body) {
  const answer = await ask(method, path, { body });
  return answer.json();
}

// Call `hear(job)` with whatever is new of a job, until it has finished. Throws Problem.
export async function follow(path, hear) {
  let job = {};
  let last = "";
  const take = (news) => {
    job = { ...job, ...news };
    hear(job);
  };
  while (!FINISHED.has(job.state)) {
    try {
      for await (const event of events(`${path}/events`, last)) {
        last = event.id;
        take(event.data);
      }
      await pause(BREATH_MS);
    } catch (error) {
      if (error.status && error.status !== 503) throw error;
      // too many listeners, or no connection: ask now and then instead
      await pause(POLL_MS);
      await call("GET", path).then(take, (problem) => {
        if (problem.status && ![404, 503].includes(problem.status)) throw problem;
      });
    }
  }
}

// fetch, not EventSource, which cannot send a token.
async function* events(path, last) {
  const answer = await ask("GET", path, { headers: last ? { "Last-Event-ID": last } : {} });
  if (answer.status === 204) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (left + value).split("\n\n");
    left = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split("\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)]),
      );
      if (fields.data) yield { id: fields.id, data: JSON.parse(fields.data) };
    }
  }
}

async function ask(method, path, { body, headers = {} }) {
  for (;;) {
    const sent = { ...headers };
    if (token) sent.Authorization = `Bearer ${token}`;
    if (body) sent["Content-Type"] = "application/json";
    const answer = await fetch(path, { method, headers: sent, body: body && JSON.stringify(body) })
      .catch(() => { throw new Problem(0, "The server cannot be reached."); });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    const isAsked = answer.status === 401 && !problem.type?.endsWith(":no-tokens");
    if (!isAsked) throw new Problem(answer.status, told(problem));
    await askForToken();
  }
}

const pause = (ms) => new Promise((go) => setTimeout(go, ms));

// A problem document (RFC 9457) as a sentence or two.
export function told(problem) {
  return [problem.title ?? "Something failed", problem.detail].filter(Boolean).join(": ");
}

function askForToken() {
  const form = document.getElementById("token-form");
  document.getElementById("token-problem").textContent = token ? "This token is not known." : "";
  form.hidden = false;
  asking ??= new Promise((given) => {
    const input = document.getElementById("token");
    input.focus();
    form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      token = input.value.trim();
      sessionStorage.setItem("token", token);
      input.value = "";
      form.hidden = true;
      asking = null;
      given();
    }, { once: true });
  });
  return asking;
}
