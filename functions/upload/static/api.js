// The REST API: requests with a bearer token if one is required, and errors as exceptions.

import { storage } from "./storage.js";

const tokenForm = document.getElementById("token-form");
let shareToken = "";
let tokenPrompt = null; // the promise of a token, while the form is shown

// A response that is not a success. `status` is 0 if there was no response, and `document` is the
// problem document (RFC 9457).
export class Problem extends Error {
  constructor(status, document) {
    super([document.title, document.detail].filter(Boolean).join(": "));
    this.status = status;
    this.document = document;
  }
}

// Return the JSON of the response to `method path`. Throws Problem.
export async function call(method, path, body) {
  const response = await request(method, path, { body });
  if (response.status === 204) return null;
  return response.json().catch(() => {
    throw new Problem(0, { title: "The connection was lost" });
  });
}

// Return the response to `method path` if it is a success. Throws Problem.
export async function request(method, path, { body, signal } = {}) {
  for (;;) {
    const token = currentToken();
    const headers = authorization();
    if (body) headers["Content-Type"] = "application/json";
    const options = { method, headers, signal, body: body && JSON.stringify(body) };
    const response = await fetch(path, options).catch(() => {
      throw new Problem(0, { title: "The server cannot be reached" });
    });
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({ title: "Something went wrong" }));
    const needsToken = response.status === 401 && !problem.type?.endsWith(":no-tokens");
    if (!needsToken) throw new Problem(response.status, problem);
    await promptForToken(token);
  }
}

// Return the headers that every request needs.
export function authorization() {
  const token = currentToken();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

export const currentToken = () => shareToken || (storage.getItem("token") ?? "");

// Whether this page shows the song of a share link.
export const isShared = () => shareToken !== "";

// From now on use the token of a share link.
export function useShareToken(token) {
  shareToken = token;
}

// Resolve when there is another token than `refused`, from this tab or another one.
function promptForToken(refused) {
  if (currentToken() !== refused) return Promise.resolve();
  document.getElementById("token-problem").textContent = refused
    ? "This token is not valid. Check it and try again." : "";
  if (tokenForm.hidden) {
    tokenForm.hidden = false;
    document.getElementById("token").focus();
  }
  tokenPrompt ??= new Promise((resolve) => {
    const finish = () => {
      window.removeEventListener("storage", takeFromOtherTab);
      tokenForm.hidden = true;
      tokenPrompt = null;
      resolve();
    };
    const takeFromOtherTab = (event) => {
      if (event.key === "token" && event.newValue) finish();
    };
    window.addEventListener("storage", takeFromOtherTab);
    tokenForm.addEventListener("submit", (event) => {
      event.preventDefault();
      const input = document.getElementById("token");
      storage.setItem("token", input.value.trim());
      input.value = "";
      finish();
    }, { once: true });
  });
  return tokenPrompt;
}
