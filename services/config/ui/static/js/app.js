// Brings a page to life. Everything here adds to pages that work without it.
import { enhanceTimes, tellZone } from "./times.js";
import { enhanceForms, guardLeaving } from "./forms.js";
import { enhanceFragments } from "./fragments.js";
import { enhanceLive } from "./live.js";
import { followPanels } from "./panel.js";
import { followMenus, followDialogs } from "./menus.js";
import { followJumps, followKeys } from "./keys.js";
import { followCopies } from "./copies.js";
import { tidyAddress } from "./notices.js";

/** Bring a part of the page to life; called again for what is loaded later. */
export function enhance(root) {
  enhanceTimes(root);
  enhanceForms(root);
  enhanceFragments(root);
  enhanceLive(root);
  enhanceByModules(root);
  root.dispatchEvent(new CustomEvent("enhance", { bubbles: true }));
}

// What a part of a page needs of its own: `data-script="/module"`, whose `enhance(element)` is called.
function enhanceByModules(root) {
  for (const element of root.querySelectorAll("[data-script]")) {
    import(element.dataset.script).then((module) => module.enhance(element));
  }
}

document.documentElement.classList.add("scripted");
tellZone();
tidyAddress();
guardLeaving();
followPanels(enhance);
followMenus();
followDialogs(enhance);
followKeys();
followJumps();
followCopies();
enhance(document.body);
