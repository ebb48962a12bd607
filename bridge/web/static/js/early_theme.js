// Runs before the first paint, so that a dark control room sees no white flash. A classic script on purpose: modules wait.
// data-theme is what is in force, light or dark, so that the colours stand once; data-choice is what the reader chose.
(() => {
  let choice = "system";
  try {
    const chosen = localStorage.getItem("fieldgate.theme");
    if (chosen === "light" || chosen === "dark") choice = chosen;
  } catch {
    // Storage may be forbidden; then the system's choice holds.
  }
  const isDark = choice === "dark" || (choice === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.choice = choice;
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
})();
