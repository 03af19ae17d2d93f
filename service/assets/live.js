// Refreshes the regions of a page that are marked with `data-live` when the service reports a change. Without this script,
// everything works, and a page shows what it was when it was loaded.
"use strict";

const regions = () => [...document.querySelectorAll("[data-live]")];

async function refresh() {
  const response = await fetch(location.href, { headers: { accept: "text/html" } });
  if (response.redirected || !response.ok) {
    return;
  }
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const region of regions()) {
    const now = page.getElementById(region.id);
    // What a person is using must not disappear under the hands.
    if (!now || region.innerHTML === now.innerHTML || region.contains(document.activeElement)) {
      continue;
    }
    const announcement = now.dataset.announce;
    if (announcement && announcement !== region.dataset.announce) {
      document.getElementById("announcement").textContent = announcement;
    }
    region.replaceWith(document.importNode(now, true));
  }
}

if (regions().length > 0) {
  const events = new EventSource("/events");
  let running = false;
  let again = false;
  events.addEventListener("change", async () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    do {
      again = false;
      await refresh().catch(() => {});
    } while (again);
    running = false;
  });
}
