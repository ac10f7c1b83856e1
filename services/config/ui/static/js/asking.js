// Requests of scripts: they say that they want a part of a page, and carry the token against forgery.

/** The answer of a URL. A session that ended is 401, never a sign-in page. */
export function ask(url, options = {}) {
  const headers = new Headers(options.headers);
  headers.set("X-Requested-With", "fragment");
  const csrf = document.querySelector('meta[name="csrf"]')?.content;
  if (csrf) headers.set("X-CSRF-Token", csrf);
  return fetch(url, { credentials: "same-origin", cache: "no-store", ...options, headers });
}

/** The document of an answer's text. */
export async function documentOf(answer) {
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}
