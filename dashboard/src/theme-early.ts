/** Runs before the first paint, so that a page that somebody made dark never flashes white. */
try {
  const kept = localStorage.getItem("coalmine-theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset["theme"] = kept;
} catch {
  // Storage is forbidden: the machine's choice holds.
}
