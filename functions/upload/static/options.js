// The form: presets and advanced options, remembered in this browser, and which files are songs.

import { storage } from "./storage.js";
import { duration, formatSize } from "./words.js";

const form = document.getElementById("form"); // not on the page of a share link

// What each preset requests, and what its mixer mutes at first.
const PRESETS = {
  all: { title: "All stems", options: {}, muted: [] },
  karaoke: { title: "Karaoke", options: { two_stems: "vocals" }, muted: ["vocals"] },
  acapella: { title: "Acapella", options: { two_stems: "vocals" }, muted: ["no_vocals"] },
  drumless: { title: "Drumless", options: { two_stems: "drums" }, muted: ["drums"] },
  bassless: { title: "No bass", options: { two_stems: "bass" }, muted: ["bass"] },
  six: { title: "Six stems", options: {}, muted: [] }, // the model is that of the server which has six
};
const SOURCES = ["drums", "bass", "other", "vocals"];
let models = []; // as the API lists them
let standard = ""; // the name of the default model, or null

export const presetOf = (song) => PRESETS[song.preset] ?? PRESETS.all;

// Return the name of the preset, and the options that differ from the server's defaults.
export function chosenOptions() {
  const preset = form.elements.preset.value;
  const options = {};
  for (const field of form.querySelectorAll("#options [name]")) {
    const isShown = !field.closest("[hidden]");
    const isDefault = field.type === "checkbox" ? !field.checked : field.selectedIndex === 0;
    if (isShown && !isDefault) options[field.name] = field.value;
  }
  return { preset, options: { ...options, ...PRESETS[preset].options } };
}

// Return why a file is not uploaded, or "".
export function rejection(file) {
  const { maxSongBytes, suffixes, types, formats } = form.dataset;
  const isSong = types.split(",").includes(file.type)
    || suffixes.split(",").some((suffix) => file.name.toLowerCase().endsWith(suffix));
  if (!isSong) return `“${file.name}” is not a song that can be read here. These can: ${formats}.`;
  if (file.size === 0) return `“${file.name}” is empty.`;
  if (file.size > Number(maxSongBytes)) {
    return `“${file.name}” is too large (${formatSize(file.size)}): a song can have up to ${formatSize(Number(maxSongBytes))}.`;
  }
  return "";
}

// Offer the models that this server has now: the response of /apiv1/models.
export function offerModels(response) {
  models = response.models;
  standard = response.default;
  const select = form.elements.model;
  select.replaceChildren(new Option(standard ? `Standard (${standard})` : "Standard", ""), ...models.map(modelOption));
  document.getElementById("models").hidden = models.length < 2;
  const six = models.find((model) => model.sources.length === 6);
  form.querySelector("[value=six]").closest("label").hidden = !six;
  PRESETS.six.options = six ? { model: six.name } : {};
  restore();
}

// Say how long songs may be and how long they take: the response of /apiv1/service.
export function showLimits({ songs, speed }) {
  const seconds = speed.seconds_for_4_minutes;
  document.getElementById("limits").textContent = [
    songs.max_seconds ? `Up to ${duration(songs.max_seconds)} long.` : "",
    seconds ? `A song of 4 minutes takes about ${duration(seconds)} here.` : "",
  ].join(" ");
}

// Return what a model separates a song into; "" is the default model.
export function sourcesOf(name) {
  const sources = models.find((model) => model.name === (name || standard))?.sources;
  return sources?.length ? sources : SOURCES; // of a pickle they are not known
}

function modelOption({ name, sources }) {
  const option = new Option(name, name);
  option.title = sources.join(", ");
  return option;
}

// Show only the options that the chosen format has.
function showFormatOptions() {
  const format = form.elements.format.value;
  for (const field of form.querySelectorAll("[data-for]")) {
    field.hidden = !field.dataset.for.split(" ").includes(format);
  }
  if (form.elements.bits.selectedOptions[0].hidden) form.elements.bits.value = "16";
}

function remember() {
  const values = Object.fromEntries(new FormData(form).entries());
  delete values.files;
  storage.setItem("options", JSON.stringify(values));
}

function restore() {
  const values = JSON.parse(storage.getItem("options") ?? "{}");
  for (const [name, value] of Object.entries(values)) {
    const field = form.elements[name];
    if (!field) continue;
    if (field.type === "checkbox") field.checked = true;
    else if (name === "preset") {
      const radio = [...field].find((one) => one.value === value && !one.closest("[hidden]"));
      if (radio) radio.checked = true;
    } else if ([...(field.options ?? [])].some((option) => option.value === value)) field.value = value;
  }
  showFormatOptions();
}

form?.addEventListener("submit", (event) => event.preventDefault());
form?.addEventListener("change", () => {
  showFormatOptions();
  remember();
});
if (form) restore();
