// Runs before the first paint, so that a dark control room sees no white flash. A classic script on purpose: modules wait.
(() => {
  try {
    const chosen = localStorage.getItem("fieldgate.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; then the system's choice holds.
  }
})();
