// The words that scripts say, which the page brings along from its catalogue.
const held = document.getElementById("words")?.dataset ?? {};

/** The text of a name, as `signedOut`. */
export const word = (name) => held[name] ?? "";
