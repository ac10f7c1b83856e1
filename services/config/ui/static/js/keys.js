// Keys that work everywhere: `/` goes to the search; links within the page go to their place.

/** Listen for them, not while something is typed. */
export function followKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === "/") {
      const search = document.querySelector('input[type="search"]');
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
  });
}

/** Links to a place of the page take the focus there; the address stays, so that going back leaves the page. */
export function followJumps() {
  document.addEventListener("click", (event) => {
    const anchor = event.target.closest?.('a[href^="#"]');
    const place = anchor && document.getElementById(decodeURIComponent(anchor.hash.slice(1)));
    if (!place) return;
    event.preventDefault();
    place.scrollIntoView({ block: "nearest" });
    place.focus();
  });
}
