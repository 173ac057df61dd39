"use strict";
// The film as 16-bit values from the server, drawn on a canvas through a window. Every button has a key.
document.addEventListener("DOMContentLoaded", async () => {
  const root = document.getElementById("viewer"), stage = document.getElementById("stage"), mirrored = document.getElementById("mirrored");
  const shown = document.getElementById("shown"), hint = document.getElementById("heat-hint");
  const rows = Number(root.dataset.rows), columns = Number(root.dataset.columns), TOP = 65535;
  const first = { low: Number(root.dataset.low), high: Number(root.dataset.high), inverted: root.dataset.inverted === "1" };
  const view = { low: first.low, high: first.high, inverted: first.inverted, zoom: 1, x: 0, y: 0, mirror: false, heat: false };
  const slider = (name) => root.querySelector(`[data-set=${name}]`);
  const button = (name) => root.querySelector(`[data-act=${name}]`);
  const film = document.createElement("canvas"), overlay = document.createElement("canvas");
  let values = null, heat = null;

  function paintFilm() {
    const table = new Uint8ClampedArray(TOP + 1), span = Math.max(view.high - view.low, 1);
    for (let value = 0; value <= TOP; value++) {
      const light = Math.min(Math.max((value - view.low) / span, 0), 1) * 255;
      table[value] = view.inverted ? 255 - light : light;
    }
    const context = film.getContext("2d"), image = context.createImageData(columns, rows), words = new Uint32Array(image.data.buffer);
    for (let at = 0; at < values.length; at++) words[at] = 0xff000000 | (table[values[at]] * 0x010101);
    context.putImageData(image, 0, 0);
  }

  function paintHeat(width, height, bytes) {
    overlay.width = width; overlay.height = height;
    const context = overlay.getContext("2d"), image = context.createImageData(width, height);
    for (let at = 0; at < bytes.length; at++) image.data.set([255, 200 - bytes[at] * 0.7, 0, bytes[at] * 0.6], 4 * at);
    context.putImageData(image, 0, 0);
  }

  function paint(canvas, flip) {
    const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(box.width * ratio)); canvas.height = Math.max(1, Math.round(box.height * ratio));
    const context = canvas.getContext("2d"), scale = Math.min(canvas.width / columns, canvas.height / rows) * view.zoom;
    context.fillStyle = "#000"; context.fillRect(0, 0, canvas.width, canvas.height);
    context.translate(canvas.width / 2, canvas.height / 2);
    if (flip) context.scale(-1, 1);
    context.translate(view.x * ratio, view.y * ratio);
    context.scale(scale, scale);
    context.imageSmoothingEnabled = scale < 3;
    context.drawImage(film, -columns / 2, -rows / 2);
    if (view.heat && heat) { context.imageSmoothingEnabled = true; context.drawImage(overlay, -columns / 2, -rows / 2, columns, rows); }
  }

  function draw() {
    paint(stage, false);
    if (view.mirror) paint(mirrored, true);
  }

  function setWindow(low, high) {
    view.low = low; view.high = Math.max(high, low + 64);
    paintFilm(); draw(); tellWindow();
  }

  function tellWindow() {
    const level = (view.low + view.high) / 2 / TOP * 100, width = (view.high - view.low) / TOP * 100;
    slider("level").value = level; slider("width").value = width;
    shown.textContent = root.dataset.window.replace("{level}", level.toFixed(0)).replace("{width}", width.toFixed(0));
    root.dataset.level = level.toFixed(1);
  }

  function fromSliders() {
    const level = Number(slider("level").value) / 100 * TOP, width = Number(slider("width").value) / 100 * TOP;
    setWindow(level - width / 2, level + width / 2);
  }

  function press(name, on) { button(name).setAttribute("aria-pressed", String(on)); }

  async function toggleHeat() {
    if (button("heat").disabled) return;
    view.heat = !view.heat;
    press("heat", view.heat);
    hint.hidden = !view.heat;
    if (view.heat && !heat) {
      shown.textContent = root.dataset.busy;
      try {
        const reply = await fetch(root.dataset.heat);
        if (!reply.ok) throw new Error((await reply.json()).error);
        const bytes = new Uint8Array(await reply.arrayBuffer());
        const height = new DataView(bytes.buffer).getUint16(0, true), width = new DataView(bytes.buffer).getUint16(2, true);
        heat = bytes.subarray(4);
        paintHeat(width, height, heat);
        tellWindow();
      } catch (error) {
        shown.textContent = error.message || root.dataset.failed;
      }
    }
    root.dataset.heatShown = String(view.heat && heat !== null);
    draw();
  }

  const shift = (TOP / 50);
  const acts = {
    in: () => { view.zoom = Math.min(view.zoom * 1.25, 40); draw(); },
    out: () => { view.zoom = Math.max(view.zoom / 1.25, 0.2); draw(); },
    reset: () => { Object.assign(view, { zoom: 1, x: 0, y: 0, inverted: first.inverted }); press("invert", false); setWindow(first.low, first.high); },
    invert: () => { view.inverted = !view.inverted; press("invert", view.inverted !== first.inverted); paintFilm(); draw(); },
    mirror: () => { view.mirror = !view.mirror; mirrored.hidden = !view.mirror; press("mirror", view.mirror); draw(); },
    heat: toggleHeat,
  };
  const keys = {
    "+": acts.in, "=": acts.in, "-": acts.out, "0": acts.reset, i: acts.invert, m: acts.mirror, h: acts.heat,
    ArrowLeft: () => { view.x += 30; draw(); }, ArrowRight: () => { view.x -= 30; draw(); },
    ArrowUp: () => { view.y += 30; draw(); }, ArrowDown: () => { view.y -= 30; draw(); },
    "[": () => setWindow(view.low + shift, view.high - shift), "]": () => setWindow(view.low - shift, view.high + shift),
    ",": () => setWindow(view.low - shift, view.high - shift), ".": () => setWindow(view.low + shift, view.high + shift),
  };
  for (const one of root.querySelectorAll("[data-act]")) one.addEventListener("click", () => acts[one.dataset.act]());
  for (const one of root.querySelectorAll("[data-set]")) one.addEventListener("input", fromSliders);
  stage.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  stage.addEventListener("wheel", (event) => { event.preventDefault(); (event.deltaY < 0 ? acts.in : acts.out)(); }, { passive: false });

  // One pointer moves the film, or its window; two fingers size it about the place between them.
  const pointers = new Map();
  let grip = null;
  function held() {
    const at = [...pointers.values()], box = stage.getBoundingClientRect(), mean = (axis) => at.reduce((sum, one) => sum + one[axis], 0) / at.length;
    const spread = at.length > 1 ? Math.max(Math.hypot(at[0].x - at[1].x, at[0].y - at[1].y), 1) : 0;
    return { x: mean("x") - box.left - box.width / 2, y: mean("y") - box.top - box.height / 2, spread };
  }
  function takeHold(windows) {
    grip = pointers.size ? { ...held(), view: { ...view }, windows } : null;
  }
  function moveWith(now) {
    const dx = now.x - grip.x, dy = now.y - grip.y, old = grip.view;
    if (grip.windows) {
      const step = TOP / 600;
      setWindow(old.low + dy * step - dx * step / 2, old.high + dy * step + dx * step / 2);
      return;
    }
    view.zoom = grip.spread && now.spread ? Math.min(Math.max(old.zoom * now.spread / grip.spread, 0.2), 40) : old.zoom;
    const grown = view.zoom / old.zoom;
    view.x = now.x - (grip.x - old.x) * grown;
    view.y = now.y - (grip.y - old.y) * grown;
    draw();
  }
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    stage.focus();
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    takeHold(pointers.size === 1 && (event.button === 2 || event.shiftKey));
  });
  stage.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moveWith(held());
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, (event) => { pointers.delete(event.pointerId); takeHold(false); });
  }
  stage.addEventListener("contextmenu", (event) => event.preventDefault());
  new ResizeObserver(() => { if (values) draw(); }).observe(stage.parentElement);

  shown.textContent = root.dataset.busy;
  try {
    const reply = await fetch(root.dataset.film);
    if (!reply.ok) throw new Error((await reply.json()).error);
    values = new Uint16Array(await reply.arrayBuffer());
    film.width = columns; film.height = rows;
    paintFilm(); draw(); tellWindow();
    root.dataset.drawn = "true";
  } catch (error) {
    shown.textContent = error.message || root.dataset.failed;
  }
});
