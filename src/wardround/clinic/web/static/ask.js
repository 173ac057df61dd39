"use strict";
// What if: the answer to changed values, shown beside the form and kept nowhere.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("ask"), tried = document.getElementById("tried");
  document.getElementById("try").addEventListener("click", async () => {
    if (!form.reportValidity()) return;
    try {
      const reply = await fetch(form.dataset.try, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { accept: "application/json" } });
      const told = await reply.json();
      tried.textContent = reply.ok ? told.said : told.error;
      tried.classList.toggle("error", !reply.ok);
    } catch (error) {
      tried.textContent = tried.dataset.failed;
    }
  });
});
