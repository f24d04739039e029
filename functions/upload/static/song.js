// One song on the page: uploading, waiting, being separated, and ready to play.

import { call, follow, problemText } from "./api.js";
import { showMixer } from "./mixer.js";

const PHASES = {
  downloading: "Loading the song", decoding: "Reading the audio", separating: "Separating",
  uploading: "Saving the stems",
};
const RESULTS = {
  done: "Ready to play", failed: "This song could not be separated", cancelled: "Cancelled",
  superseded: "Replaced by a newer version of this song",
};

// Add a song to the top of the list. `upload` or `resume` then starts it.
export function createSong(name) {
  const template = document.getElementById("song-template");
  const root = template.content.firstElementChild.cloneNode(true);
  const find = (selector) => root.querySelector(selector);
  const cancel = find(".cancel");
  find(".name").textContent = name;
  cancel.setAttribute("aria-label", `Cancel ${name}`);
  document.getElementById("songs").prepend(root);

  // `progress` is a share from 0 to 1, null if unknown, undefined to hide the bar.
  const show = (state, text, progress) => {
    // Screen readers announce each state once, not every percent.
    if (state !== root.dataset.state) find(".announcement").textContent = `${name}: ${text || state}`;
    root.dataset.state = state;
    find(".state").textContent = text;
    const bar = find("progress");
    bar.hidden = progress === undefined;
    bar.setAttribute("aria-label", text);
    if (progress === null) bar.removeAttribute("value");
    else if (progress !== undefined) bar.value = progress;
  };

  const showFailure = (text) => {
    show("failed", "");
    find(".problem").textContent = text;
    cancel.hidden = true;
  };

  const showJob = (job) => {
    root.dataset.job = job.id;
    if (job.warnings) find(".warnings").replaceChildren(...job.warnings.map(listItem));
    if (job.state === "waiting") show("waiting", "Waiting to be separated", null);
    else if (job.state === "running") show("running", progressText(job), job.progress);
    else {
      const model = job.state === "done" && job.model ? ` · model ${job.model}` : "";
      show(job.state, RESULTS[job.state] + model);
      find(".problem").textContent =
        job.problem && job.state === "failed" ? problemText(job.problem) : "";
      cancel.hidden = true;
      if (job.state === "done") showMixer(find(".mixer"), job, name);
    }
  };

  const followJob = async (path) => {
    cancel.hidden = false;
    cancel.onclick = async () => {
      cancel.disabled = true;
      await call("DELETE", `${path}?cancel_only=true`).catch((problem) => {
        cancel.disabled = problem.status !== 404; // the job does not exist yet
      });
    };
    await follow(path, showJob);
  };

  const uploadFile = async (file, options, onUploaded) => {
    show("uploading", "Preparing the upload", 0);
    cancel.hidden = true; // there is nothing to cancel yet
    const upload = await call("POST", "/apiv1/uploads", {
      filename: file.name, type: file.type, options,
    });
    const maxBytes = upload.limits.bytes;
    if (file.size > maxBytes) {
      throw new Error(`This file is too large: a song can have up to ${formatSize(maxBytes)}.`);
    }
    cancel.hidden = false;
    await sendForm(upload, file, cancel, (sent, seconds) => {
      const left = seconds > 1 && sent > 0
        ? ` · ${formatDuration((seconds * (1 - sent)) / sent)} left` : "";
      show("uploading", `Uploading · ${formatPercent(sent)}${left}`, sent);
    });
    show("waiting", "Uploaded", null);
    onUploaded(upload.job);
    await followJob(upload.job);
  };

  const showErrors = (work) => work.catch((error) => showFailure(error.message));
  return {
    upload: (file, options, onUploaded) => showErrors(uploadFile(file, options, onUploaded)),
    resume: (path) => {
      show("waiting", "Looking up this song", null);
      return showErrors(followJob(path));
    },
  };
}

// Uses XMLHttpRequest, because fetch does not report how much has been sent.
function sendForm(upload, file, cancel, onProgress) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(upload.fields)) form.append(name, value);
    form.append("file", file); // last: the store ignores fields after the file
    const request = new XMLHttpRequest();
    const started = performance.now();
    request.upload.onprogress = (event) => {
      onProgress(event.loaded / event.total, (performance.now() - started) / 1000);
    };
    request.onload = () => {
      if (request.status < 300) return resolve();
      const reason = request.responseXML?.querySelector("Message")?.textContent;
      return reject(new Error(`The upload was rejected${reason ? `: ${reason}` : ""}`));
    };
    request.onerror = () => reject(new Error("The upload failed. Check your connection and try again."));
    request.onabort = () => reject(new Error("Upload cancelled."));
    cancel.onclick = () => request.abort();
    request.open("POST", upload.url);
    request.send(form);
  });
}

function progressText(job) {
  const seconds = (Date.parse(job.updated) - Date.parse(job.started)) / 1000;
  const left = job.progress > 0.03 && seconds > 1
    ? ` · ${formatDuration((seconds * (1 - job.progress)) / job.progress)} left` : "";
  return `${PHASES[job.phase] ?? "Working"} · ${formatPercent(job.progress)}${left}`;
}

function listItem(text) {
  const element = document.createElement("li");
  element.textContent = text;
  return element;
}

const formatPercent = (share) => `${Math.floor(share * 100)}%`;
const formatSize = (bytes) => `${Math.round(bytes / 1e6)} MB`;

function formatDuration(seconds) {
  if (seconds < 60) return `about ${Math.max(1, Math.round(seconds))} s`;
  return `about ${Math.round(seconds / 60)} min`;
}
