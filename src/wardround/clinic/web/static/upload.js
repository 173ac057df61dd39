"use strict";
// A film is sent as soon as it is dropped or chosen; without this script the form sends it.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("upload");
  if (!form) return;
  const input = document.getElementById("file"), state = document.getElementById("state");

  async function send(file) {
    state.textContent = state.dataset.busy;
    state.classList.remove("error");
    const body = new FormData();
    body.append("token", form.elements.token.value);
    body.append("file", file);
    try {
      const reply = await fetch("/cases", { method: "POST", body, headers: { accept: "application/json" } });
      const told = await reply.json();
      if (!reply.ok) throw new Error(told.error);
      location.assign("/cases/" + told.case);
    } catch (error) {
      state.textContent = error.message || state.dataset.failed;
      state.classList.add("error");
      input.value = "";
    }
  }

  input.addEventListener("change", () => { if (input.files.length) send(input.files[0]); });
  for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => { event.preventDefault(); form.classList.add("over"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) form.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });
});
