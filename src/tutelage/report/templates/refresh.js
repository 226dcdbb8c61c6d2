// Reads the page again, unless its reader says stop, looks elsewhere or is at work in it.
const still = document.getElementById("still");
const parts = ["now", "main"];
setInterval(async () => {
  if (still.checked || document.hidden || document.getElementById("main").contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of parts) document.getElementById(part).replaceWith(next.getElementById(part));
  } catch { /* the server has ended: what was read stays */ }
}, 1000 * still.dataset.seconds);
