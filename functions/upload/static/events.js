// Events of all unfinished jobs of this browser. One tab, the leader, holds one event stream and
// passes what it reads on to the other tabs: a browser has six connections to a host, for all tabs.
// If no stream is available, the leader polls.

import { Problem, call, request } from "./api.js";

const POLL_MS = 2000;
const RECONNECT_MS = 300;
const MAX_RECONNECT_MS = 8000;
const COLLECT_MS = 150; // songs that arrive together need one new stream, not one each
const MAX_JOBS = 200; // of one stream
const MAX_ID_CHARACTERS = 7500; // the ids are in its URL, of which the server reads 8190

// Dispatches "job" (detail: a whole job or changes of it, with its id) and "connection" (detail:
// whether the server answers).
export class JobEvents extends EventTarget {
  #unfinished; // returns the ids to follow, oldest first
  #channel = new BroadcastChannel("jobs");
  #isLeader = false;
  #isConnected = true;
  #followed = new Set();
  #abort = new AbortController();
  #wake = () => {};
  #collecting = 0;

  constructor(unfinished) {
    super();
    this.#unfinished = unfinished;
    this.#channel.onmessage = ({ data }) => this.#dispatch(data);
    window.addEventListener("offline", () => this.#setConnected(false));
    window.addEventListener("online", () => {
      this.#setConnected(true);
      this.#abort.abort();
      this.#wake();
    });
    // Without locks (plain HTTP from another machine) every tab has a stream of its own.
    if (navigator.locks) navigator.locks.request("events", () => this.#lead());
    else this.#lead();
  }

  get isLeader() {
    return this.#isLeader;
  }

  // Take notice of songs that were added, in this tab or in another one.
  refresh() {
    if (this.#followsAll() || this.#collecting) return;
    this.#collecting = setTimeout(() => {
      this.#collecting = 0;
      if (this.#followsAll()) return; // a stream has begun meanwhile
      this.#abort.abort();
      this.#wake();
    }, COLLECT_MS);
  }

  // Pass on a job that this tab has got by itself, for example the response to a cancel request.
  publish(job) {
    this.#send({ type: "job", detail: job });
  }

  async #lead() {
    this.#isLeader = true;
    let delay = RECONNECT_MS;
    for (;;) {
      const ids = this.#ids();
      this.#followed = new Set(ids);
      if (ids.length === 0) {
        await this.#pause(await this.#idle(delay));
        continue;
      }
      this.#abort = new AbortController();
      const { signal } = this.#abort;
      try {
        await this.#stream(ids, signal);
        delay = RECONNECT_MS;
      } catch (error) {
        if (signal.aborted) continue;
        if (!(error instanceof Problem)) throw error;
        const isConnected = error.status !== 0 && (await this.#poll(ids));
        this.#setConnected(isConnected);
        delay = isConnected ? POLL_MS : Math.min(2 * delay, MAX_RECONNECT_MS);
      }
      await this.#pause(delay);
    }
  }

  // Nothing is followed: at most see whether a server that was away is back. Return how long to wait.
  async #idle(delay) {
    if (this.#isConnected) return undefined;
    const isConnected = await call("GET", "/apiv1/service").then(() => true, (error) => error.status !== 0);
    this.#setConnected(isConnected);
    return isConnected ? undefined : delay;
  }

  async #stream(ids, signal) {
    const response = await request("GET", `/apiv1/events?jobs=${ids.join(",")}`, { signal });
    this.#setConnected(true);
    if (response.status === 204) return;
    for await (const fields of readBlocks(response.body)) {
      if (fields.data) this.#send({ type: "job", detail: JSON.parse(fields.data) });
    }
  }

  // Ask for all followed jobs once; return whether the server has answered.
  async #poll(ids) {
    try {
      const unfinished = await call("GET", "/apiv1/jobs?state=waiting,running&limit=500");
      const missing = new Set(ids);
      for (const job of unfinished.jobs) {
        const id = ids.find((name) => job.id === name || job.key.startsWith(`form/${name}/`));
        if (!id) continue;
        missing.delete(id);
        this.#send({ type: "job", detail: job });
      }
      for (const id of missing) { // finished, or not arrived yet
        const job = await call("GET", `/apiv1/jobs/${id}`).catch(ignoreUnknown);
        if (job) this.#send({ type: "job", detail: job });
      }
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return error.status !== 0;
    }
  }

  #followsAll() {
    return this.#ids().every((id) => this.#followed.has(id));
  }

  #ids() {
    let room = MAX_ID_CHARACTERS;
    return this.#unfinished().slice(0, MAX_JOBS).filter((id) => {
      room -= id.length + 1;
      return room >= 0;
    });
  }

  #setConnected(isConnected) {
    this.#isConnected = isConnected;
    this.#send({ type: "connection", detail: isConnected });
  }

  #send(message) {
    this.#channel.postMessage(message);
    this.#dispatch(message);
  }

  #dispatch({ type, detail }) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // Wait for `ms`, or without limit; at most until a song is new or the browser is online again.
  #pause(ms) {
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (ms) setTimeout(resolve, ms);
    });
  }
}

// Yield the fields of each block of a stream of server-sent events (HTML, section 9.2).
// Reads from fetch, because an EventSource cannot send a token.
async function* readBlocks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let incomplete = "";
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new Problem(0, { title: "The connection was lost" });
    });
    if (done) return;
    const blocks = (incomplete + value).split("\n\n");
    incomplete = blocks.pop();
    for (const block of blocks) {
      yield Object.fromEntries(
        block.split("\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)]),
      );
    }
  }
}

function ignoreUnknown(error) {
  if (error.status !== 404) throw error;
}
