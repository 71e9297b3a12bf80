/* What the panel asks the admin for. Addresses come from the page, and every refusal has the shape of one. */

import { word } from "./trial-words.js";

const ANY = "00000000-0000-0000-0000-000000000000";

export class Server {
  #data;

  /** @param {object} data what the page has written for the panel */
  constructor(data) {
    this.#data = data;
  }

  /**
   * Start what a form holds.
   *
   * @param {HTMLFormElement} form the page's own
   * @param {Record<string, string>} fields of the panel
   */
  start(form, fields) {
    const body = new FormData(form);
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    return this.#post(this.#data.start, body);
  }

  /** Start the plan of a trial with another input. */
  again(run, input) {
    return this.#post(this.#data.again.replace(ANY, run), this.#fields({ "trial-input": input }));
  }

  keep(fields) {
    return this.#post(this.#data.keep, this.#fields(fields));
  }

  /**
   * @param {string} run
   * @param {number} [after] the `last` of the answer before: then what has been stored since
   * @returns {Promise<object>} what is stored of a trial
   */
  trial(run, after = 0) {
    return this.#ask(`${this.#data.trial.replace(ANY, run)}?after=${after}`);
  }

  /** @param {Record<string, string>} wanted `workflow` and `n`, or `run` */
  async inputs(wanted) {
    return (await this.#ask(`${this.#data.inputs}?${new URLSearchParams(wanted)}`)).inputs;
  }

  #fields(fields) {
    const body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.set(name, value);
    return body;
  }

  #post(url, body) {
    const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
    return this.#ask(url, { method: "POST", body, headers: { "X-CSRFToken": token } });
  }

  /** @throws {Refused} */
  async #ask(url, options = {}) {
    let response;
    try {
      response = await fetch(url, { credentials: "same-origin", ...options });
    } catch {
      throw new Refused({ "": [word("away")] });
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const errors = answer.errors ?? { "": [word("refused", { status: response.status })] };
    throw new Refused(errors, answer.uri, answer.remedy);
  }
}

/** What was asked was not done. */
export class Refused extends Error {
  /**
   * @param {Record<string, string[]>} errors messages by the name of a field
   * @param {string} [uri] in the input
   * @param {{ text: string, url: string, title: string } | null} [remedy]
   */
  constructor(errors, uri, remedy) {
    super(Object.values(errors).flat().join(" "));
    this.errors = errors;
    this.uri = uri;
    this.remedy = remedy;
  }
}
