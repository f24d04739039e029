// What the page says: states, problems and notes in the words of people who make music.

const PHASES = {
  downloading: "Fetching the song", decoding: "Reading the song", separating: "Separating",
  uploading: "Saving the stems",
};
const STATES = {
  queued: "Waits for its upload", interrupted: "The upload was interrupted", done: "Ready",
  failed: "Could not be separated", cancelled: "Cancelled",
  superseded: "Replaced by a newer version", gone: "No longer on the server",
};
const STEMS = {
  no_vocals: "No vocals", no_drums: "No drums", no_bass: "No bass", no_other: "No other",
};
const PROBLEMS = {
  "not-audio": "This file has no sound that can be read. Try another copy, or convert it to MP3, WAV or FLAC.",
  "empty": "This file is empty. Choose another copy.",
  "corrupt": "This file is damaged. Try another copy.",
  "truncated": "This song breaks off before its end. Get a complete copy, or choose “Accept songs that break off” under Advanced and add it again.",
  "too-long": "This song is too long for this server. Cut it into shorter pieces.",
  "too-large": "This file is too large for this server. Convert it to FLAC or MP3.",
  "too-much-work": "This would take too long. Choose “Fast” under Advanced, or cut the song into shorter pieces.",
  "too-much-output": "The stems would be too large. Choose MP3 or 16 bits under Advanced.",
  "key-too-long": "The name of this file is too long. Give it a shorter one and add it again.",
  "bad-option": "This server cannot do that. Choose another model or preset and add the song again.",
  "superseded": "The song was removed or added again before it was ready.",
  "busy": "The server is busy. Try again in a moment.",
  "store-away": "The server is not quite ready. Try again in a moment.",
  "bus-away": "The server is not quite ready. Try again in a moment.",
  "song-gone": "The server does not have this song any more. Add it again.",
  "given-up": "Something went wrong on the server while it worked on this song. Press Retry; if that does not help, ask whoever runs this server.",
  "crash": "Something went wrong on the server. Try again; if that does not help, ask whoever runs this server.",
  "wrong-hash": "This song was changed while it was sent. Add it again.",
  "cancelled": "This song was cancelled.",
  "bad-value": "The server does not take this file as it is. Give it a short name that ends as its format does, such as “song.mp3”, and add it again.",
  "not-retryable": "This song need not be separated again: it waits or is being separated, or its stems are there. Load the page again.",
  "unreadable-stem": "A stem of this song was changed on the server and cannot be used. Add the song again.",
  "track-removed": "Not all stems are on the server any more.",
  "unknown-track": "Not all stems are on the server any more.",
  "no-room": "The server has no room for this song at the moment. Try again later.",
  "too-many-mixes": "The server is busy. Try again in a moment.",
  "stopping": "The server is not quite ready. Try again in a moment.",
  "changed": "The server is busy. Try again in a moment.",
  "bad-setting": "This server is not set up completely. Ask whoever runs it.",
  "http": "The server does not answer as it should. Try again; if that does not help, ask whoever runs it.",
  "unknown-job": "The server does not know this song any more. Add it again.",
};
const SMALL_MODEL = "Made with the small model that comes with the server: fine for a first impression. Larger models, which sound better, can be added by whoever runs this server.";

export function stateText(song) {
  const job = song.document ?? {};
  if (song.isToDelete) return "Deleting…";
  if (song.isCancelling) return "Cancelling…";
  if (song.state === "uploading") {
    return song.sent === undefined ? "Uploading in another tab" : `Uploading · ${percent(song.sent)}`;
  }
  if (song.state === "waiting") {
    const place = job.position > 1 ? `Waiting · ${ordinal(job.position)} in the queue` : "Waiting for its turn";
    return [place, timeLeft(job)].filter(Boolean).join(" · ");
  }
  if (song.state === "running") {
    return [PHASES[job.phase] ?? "Working", percent(job.progress ?? 0), timeLeft(job)].filter(Boolean).join(" · ");
  }
  if (song.state === "failed" && !song.document) return "Not uploaded";
  return STATES[song.state] ?? song.state;
}

// Return what is wrong with a song, and what to do about it; "" if nothing is.
export function problemOf(song) {
  if (song.notice) return song.notice;
  if (song.state === "interrupted") {
    return "The page was closed before this song was uploaded. Choose the file again.";
  }
  if (song.state === "gone") return PROBLEMS["unknown-job"];
  return song.state === "failed" && song.document?.problem ? problemText(song.document.problem) : "";
}

// Return a problem document (RFC 9457) in plain words.
export function problemText(problem) {
  const kind = problem.type?.split(":").at(-1);
  const own = [problem.title ?? "Something went wrong", problem.detail].filter(Boolean).join(": ");
  return PROBLEMS[kind] ?? own;
}

export function warningText(warning) {
  return warning.includes("make models") ? SMALL_MODEL : warning;
}

export const stemTitle = (name) => STEMS[name] ?? capitalize(name.replaceAll("_", " "));

export const songTitle = (song) => (
  song.title || song.document?.song?.tags?.title || withoutSuffix(song.name)
);

export function formatTime(seconds, digits = 0) {
  const unit = 10 ** digits;
  const whole = Math.floor((seconds || 0) * unit) / unit;
  const rest = (whole % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

export const percent = (share) => `${Math.floor(share * 100)}%`;

export const formatSize = (bytes) => (
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : bytes >= 1e6 ? `${Math.round(bytes / 1e6)} MB` : `${Math.ceil(bytes / 1e3)} kB`
);

// Return how many seconds a job still takes, or undefined.
export function secondsLeft(job) {
  if (typeof job.seconds_left === "number") return job.seconds_left;
  const seconds = (Date.parse(job.updated) - Date.parse(job.started)) / 1000;
  return job.progress > 0.03 && seconds > 1 ? (seconds * (1 - job.progress)) / job.progress : undefined;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds >= 7200) return `${Math.round(seconds / 3600)} hours`;
  return `${Math.round(seconds / 60)} min`;
}

function timeLeft(job) {
  const seconds = secondsLeft(job);
  return seconds === undefined ? "" : `about ${duration(seconds)} left`;
}

export function ordinal(number) {
  const ending = { one: "st", two: "nd", few: "rd", other: "th" };
  return number + ending[new Intl.PluralRules("en", { type: "ordinal" }).select(number)];
}

const withoutSuffix = (name) => name.replace(/\.[^.]{1,10}$/, "");
const capitalize = (text) => text.charAt(0).toUpperCase() + text.slice(1);
