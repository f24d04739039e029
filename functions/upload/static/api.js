// The REST API: requests with a bearer token if one is required, errors as exceptions, and a job's
// events. Events come as a stream, or by polling if no stream is available.

const POLL_MS = 2000;
const RECONNECT_MS = 300;
const FINISHED = new Set(["done", "failed", "cancelled", "superseded"]);

let token = sessionStorage.getItem("token") ?? "";
let tokenPrompt = null; // the promise of a token, while the form is shown

// A response that is not a success. `status` is 0 if there was no response.
export class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// Return the JSON of the response to `method path`. Throws Problem.
export async function call(method, path, body) {
  const response = await request(method, path, { body });
  return response.json();
}

// Call `onChange(job)` with every change of a job until it has finished. Throws Problem.
export async function follow(path, onChange) {
  let job = {};
  let lastEventId = "";
  const apply = (changes) => {
    job = { ...job, ...changes };
    onChange(job);
  };
  while (!FINISHED.has(job.state)) {
    try {
      for await (const event of events(`${path}/events`, lastEventId)) {
        lastEventId = event.id;
        apply(event.data);
      }
      await sleep(RECONNECT_MS);
    } catch (error) {
      if (error.status && error.status !== 503) throw error;
      // Too many streams are open, or the connection is lost: poll instead.
      await sleep(POLL_MS);
      await call("GET", path).then(apply, (problem) => {
        if (problem.status && ![404, 503].includes(problem.status)) throw problem;
      });
    }
  }
}

// Return a problem document (RFC 9457) as one sentence.
export function problemText(problem) {
  return [problem.title ?? "Something went wrong", problem.detail].filter(Boolean).join(": ");
}

// Uses fetch, because an EventSource cannot send a token.
async function* events(path, lastEventId) {
  const headers = lastEventId ? { "Last-Event-ID": lastEventId } : {};
  const response = await request("GET", path, { headers });
  if (response.status === 204) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let incomplete = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (incomplete + value).split("\n\n");
    incomplete = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split("\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)]),
      );
      if (fields.data) yield { id: fields.id, data: JSON.parse(fields.data) };
    }
  }
}

async function request(method, path, { body, headers = {} }) {
  for (;;) {
    const allHeaders = { ...headers };
    if (token) allHeaders.Authorization = `Bearer ${token}`;
    if (body) allHeaders["Content-Type"] = "application/json";
    const options = { method, headers: allHeaders, body: body && JSON.stringify(body) };
    const response = await fetch(path, options).catch(() => {
      throw new Problem(0, "The server cannot be reached. Check your connection and try again.");
    });
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    const needsToken = response.status === 401 && !problem.type?.endsWith(":no-tokens");
    if (!needsToken) throw new Problem(response.status, problemText(problem));
    await promptForToken();
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function promptForToken() {
  const form = document.getElementById("token-form");
  document.getElementById("token-problem").textContent = token
    ? "This token is not valid. Check it and try again." : "";
  form.hidden = false;
  tokenPrompt ??= new Promise((resolve) => {
    const input = document.getElementById("token");
    input.focus();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      token = input.value.trim();
      sessionStorage.setItem("token", token);
      input.value = "";
      form.hidden = true;
      tokenPrompt = null;
      resolve();
    }, { once: true });
  });
  return tokenPrompt;
}
