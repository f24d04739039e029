// One song on the page: on its way up, waiting, being separated, there to be heard.

import { call, follow, told } from "./api.js";
import { mix } from "./mixer.js";

const PHASES = {
  downloading: "Fetching the song", decoding: "Reading the song", separating: "Separating",
  uploading: "Storing the stems",
};
const ENDS = {
  done: "Done", failed: "This song could not be separated", cancelled: "Cancelled",
  superseded: "The song was replaced by a newer one",
};

// Show a song named `name` as the first of the list; `send` or `resume` gives it life.
export function song(name) {
  const template = document.getElementById("song-template");
  const root = template.content.firstElementChild.cloneNode(true);
  const part = (selector) => root.querySelector(selector);
  const cancel = part(".cancel");
  part(".name").textContent = name;
  cancel.setAttribute("aria-label", `Cancel ${name}`);
  document.getElementById("songs").prepend(root);

  const show = (state, text, done) => {
    // told to those who cannot see it once a state, not once a percent
    if (state !== root.dataset.state) part(".announcement").textContent = `${name}: ${text || state}`;
    root.dataset.state = state;
    part(".state").textContent = text;
    const bar = part("progress");
    bar.hidden = done === undefined;
    bar.setAttribute("aria-label", text);
    if (done === null) bar.removeAttribute("value");
    else if (done !== undefined) bar.value = done;
  };

  const fail = (text) => {
    show("failed", "");
    part(".problem").textContent = text;
    cancel.hidden = true;
  };

  const hear = (job) => {
    root.dataset.job = job.id;
    if (job.warnings) {
      part(".warnings").replaceChildren(...job.warnings.map((text) => item(text)));
    }
    if (job.state === "waiting") show("waiting", "Waiting for its turn", null);
    else if (job.state === "running") show("running", progress(job), job.progress);
    else {
      show(job.state, ENDS[job.state] + (job.state === "done" && job.model ? ` · ${job.model}` : ""));
      part(".problem").textContent = job.problem && job.state === "failed" ? told(job.problem) : "";
      cancel.hidden = true;
      if (job.state === "done") mix(part(".mixer"), job, name);
    }
  };

  const resume = async (path) => {
    cancel.hidden = false;
    cancel.onclick = async () => {
      cancel.disabled = true;
      await call("DELETE", path).catch((problem) => {
        // not arrived yet, or finished in the meantime: the events tell
        cancel.disabled = ![404, 409].includes(problem.status);
      });
    };
    await follow(path, hear);
  };

  const send = async (file, options, started) => {
    show("uploading", "Getting ready", 0);
    cancel.hidden = true; // nothing is there yet
    const grant = await call("POST", "/apiv1/uploads", { filename: file.name, type: file.type, options });
    if (file.size > grant.limits.bytes) throw new Error(`The file is larger than ${size(grant.limits.bytes)}.`);
    cancel.hidden = false;
    await put(grant, file, cancel, (sent, seconds) => {
      const left = seconds > 1 && sent > 0 ? ` · ${duration((seconds * (1 - sent)) / sent)} left` : "";
      show("uploading", `Uploading · ${percent(sent)}${left}`, sent);
    });
    show("waiting", "Uploaded", null);
    started(grant.job);
    await resume(grant.job);
  };

  const shown = (life) => life.catch((error) => fail(error.message));
  return {
    send: (file, options, started) => shown(send(file, options, started)),
    resume: (path) => { show("waiting", "Looking for it", null); return shown(resume(path)); },
  };
}

// XMLHttpRequest, not fetch, which tells nothing of how much has been sent.
function put(grant, file, cancel, tell) {
  return new Promise((done, fail) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(grant.fields)) form.append(name, value);
    form.append("file", file); // the store reads no field after the file
    const request = new XMLHttpRequest();
    const began = performance.now();
    request.upload.onprogress = (sent) => tell(sent.loaded / sent.total, (performance.now() - began) / 1000);
    request.onload = () => {
      if (request.status < 300) return done();
      const why = request.responseXML?.querySelector("Message")?.textContent;
      return fail(new Error(`The store did not take the file${why ? `: ${why}` : ""}`));
    };
    request.onerror = () => fail(new Error("The store cannot be reached."));
    request.onabort = () => fail(new Error("Cancelled before it was uploaded."));
    cancel.onclick = () => request.abort();
    request.open("POST", grant.url);
    request.send(form);
  });
}

function progress(job) {
  const spent = (Date.parse(job.updated) - Date.parse(job.started)) / 1000;
  const left = job.progress > 0.03 && spent > 1
    ? ` · ${duration((spent * (1 - job.progress)) / job.progress)} left` : "";
  return `${PHASES[job.phase] ?? "Working"} · ${percent(job.progress)}${left}`;
}

function item(text) {
  const element = document.createElement("li");
  element.textContent = text;
  return element;
}

const percent = (share) => `${Math.floor(share * 100)}%`;
const size = (bytes) => `${Math.round(bytes / 1e6)} MB`;

function duration(seconds) {
  if (seconds < 60) return `about ${Math.max(1, Math.round(seconds))} s`;
  return `about ${Math.round(seconds / 60)} min`;
}
