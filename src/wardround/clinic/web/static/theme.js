"use strict";
// Light or dark: what the system says, until somebody chooses; the choice stays on this device.
(() => {
  const kept = localStorage.getItem("clinic-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      const next = (document.documentElement.dataset.theme || system) === "dark" ? "light" : "dark";
      document.documentElement.dataset.theme = next;
      localStorage.setItem("clinic-theme", next);
    });
  });
})();
