// Finds templates as one types; without this script the form asks the server.
const form = document.querySelector("form[data-filter]");
const search = form?.querySelector('input[type="search"]');
const cards = [...document.querySelectorAll("[data-words]")];

/** Show the cards that hold every word, and the groups that have any. */
function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const card of cards) {
    const held = card.dataset.words.toLowerCase();
    card.hidden = !words.every((word) => held.includes(word));
  }
  let shown = 0;
  for (const group of document.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector("[data-words]:not([hidden])");
    shown += !group.hidden;
  }
  document.getElementById("no-template").hidden = shown > 0;
}

const whole = !new URL(location.href).searchParams.get("search");
if (search && whole) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const found = cards.filter((card) => !card.hidden);
    if (found.length === 1) location.assign(found[0].querySelector("a").href);
  });
  search.addEventListener("input", filter);
  filter();
}
