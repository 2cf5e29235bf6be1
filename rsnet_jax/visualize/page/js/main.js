"use strict";
// Puts the page together: panels, controls, keys.

{
  const at = (id) => document.getElementById(id);
  const recording = new Recording(JSON.parse(at("facts").textContent));
  const player = new Player(recording, requestDraw);
  const space = new Space(recording);
  const image = new ImagePanel(recording);
  const line = new TimeLine(recording);
  const errorsOfPeople = []; // elements, by place in `people`
  let colors = readColors();
  let pointed = null; // the joint under the pointer: { row, name, frame }
  let waiting = false;

  function requestDraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }

  function draw() {
    const { frame } = player;
    if (pointed && pointed.frame !== frame) point(null);
    const wanted = {
      frame, colors, marked: pointed, withTruth: at("truth").checked, follow: at("follow").checked,
    };
    at("no-pose").hidden = space.draw(wanted) > 0;
    image.draw(wanted);
    line.draw(wanted);
    document.body.classList.toggle("playing", player.playing);
    document.body.dataset.frame = frame;
    at("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
    at("frame").value = frame;
    at("frame").setAttribute("aria-valuetext", clockOf(recording, frame));
    at("seconds").textContent = recording.fps ? `${(frame / recording.fps).toFixed(2)} s \u00b7 ` : "";
    at("number").textContent = frame;
    if (!player.playing) at("space-canvas").setAttribute("aria-label", spokenOf(recording, frame));
    showErrors(frame);
  }

  /** The errors of the people in this frame, beside their names. */
  function showErrors(frame) {
    if (!recording.errors) return;
    for (const element of errorsOfPeople) element.textContent = "";
    for (const row of recording.rowsOf(frame)) {
      const error = recording.errors[row];
      if (!Number.isNaN(error)) errorsOfPeople[recording.person[row]].textContent = `error ${error.toFixed(0)} mm`;
    }
  }

  function point(joint, event) {
    pointed = joint && { ...joint, frame: player.frame };
    const box = at("joint");
    box.hidden = !joint;
    if (!joint) return;
    box.textContent = wordsOfJoint(recording, joint);
    const { offsetWidth, offsetHeight } = box;
    const left = Math.min(event.clientX + 14, window.innerWidth - offsetWidth - 8);
    const top = event.clientY + 16 + offsetHeight < window.innerHeight
      ? event.clientY + 16 : event.clientY - offsetHeight - 12;
    Object.assign(box.style, { left: `${Math.max(8, left)}px`, top: `${Math.max(8, top)}px` });
  }

  function resize() {
    space.resize();
    image.resize();
    requestDraw();
  }

  function chooseView(name) {
    space.camera.view(name);
    requestDraw();
  }

  function chooseSpeed(place) {
    const select = at("speed");
    select.selectedIndex = Math.min(SPEEDS.length - 1, Math.max(0, place));
    player.speed = SPEEDS[select.selectedIndex];
  }

  function fillPeople() {
    recording.people.forEach((number, place) => {
      const item = document.createElement("li");
      const label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      const mark = Object.assign(document.createElement("i"), { className: "person" });
      const color = place % colors.people.length;
      mark.style.background = recording.people.length === 1 ? "var(--middle)" : `var(--person-${color})`;
      errorsOfPeople.push(document.createElement("output"));
      label.append(box, mark, `person ${number} `, errorsOfPeople[place]);
      item.append(label);
      at("people").querySelector("ul").append(item);
      box.addEventListener("change", () => {
        if (box.checked) recording.shown.add(place);
        else recording.shown.delete(place);
        point(null);
        requestDraw();
      });
    });
  }

  function fillWords() {
    at("summary").textContent = summaryOf(recording);
    at("range").textContent = ` of ${recording.first}\u2013${recording.last}`;
    for (const [name, text] of recording.details) {
      const term = Object.assign(document.createElement("dt"), { textContent: name });
      const words = Object.assign(document.createElement("dd"), { textContent: text });
      at("details").querySelector("dl").append(term, words);
    }
    at("details").open = !matchMedia("(max-width: 760px)").matches;
    at("legend-truth").hidden = !recording.truth;
    at("legend-middle").hidden = recording.people.length > 1; // there it has the color of the person
    for (const speed of SPEEDS) at("speed").add(new Option(`${speed}\u00d7`, speed));
    chooseSpeed(SPEEDS.indexOf(1));
    for (const id of ["back", "play", "forth"]) at(id).disabled = recording.first === recording.last;
  }

  /** Keys that need no Shift: `event.key` -> what to do. */
  const keys = {
    " ": () => player.toggle(),
    ArrowLeft: () => player.step(-1),
    ArrowRight: () => player.step(1),
    PageUp: () => player.step(-Math.round(player.rate)),
    PageDown: () => player.step(Math.round(player.rate)),
    Home: () => player.show(player.first),
    End: () => player.show(player.last),
    0: () => chooseView("reset"),
    1: () => chooseView("front"),
    2: () => chooseView("side"),
    3: () => chooseView("top"),
    "+": () => space.camera.zoom(1 / 1.15),
    "=": () => space.camera.zoom(1 / 1.15),
    "-": () => space.camera.zoom(1.15),
    "[": () => chooseSpeed(at("speed").selectedIndex - 1),
    "]": () => chooseSpeed(at("speed").selectedIndex + 1),
    l: () => at("loop").click(),
    f: () => at("follow").click(),
    Escape: () => point(null),
  };
  const turns = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const own = event.target.closest?.("button, select, summary, input[type=checkbox]");
    if (own && (event.key === " " || own.matches("select"))) return; // the control's own key
    const turn = event.shiftKey && turns[event.key];
    const action = turn ? () => space.camera.turn(...turn) : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
    requestDraw();
  }

  fillPeople();
  fillWords();
  document.addEventListener("keydown", onKey);
  // After a click, keys belong to the page again.
  document.addEventListener("click", (event) => {
    if (event.detail > 0) event.target.closest("button, summary, input")?.blur();
  });
  at("back").addEventListener("click", () => player.step(-1));
  at("play").addEventListener("click", () => player.toggle());
  at("forth").addEventListener("click", () => player.step(1));
  at("frame").addEventListener("input", () => player.show(Number(at("frame").value)));
  at("speed").addEventListener("change", () => chooseSpeed(at("speed").selectedIndex));
  at("loop").addEventListener("change", () => (player.loop = at("loop").checked));
  for (const id of ["follow", "truth"]) at(id).addEventListener("change", requestDraw);
  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => chooseView(button.dataset.view));
  }
  const scrub = (event) => event.buttons & 1 && player.show(line.frameAt(event.offsetX));
  line.canvas.addEventListener("pointerdown", (event) => {
    line.canvas.setPointerCapture(event.pointerId);
    scrub(event);
  });
  line.canvas.addEventListener("pointermove", scrub);
  listenToGestures(space.canvas, space.camera, requestDraw);
  for (const panel of [space, image]) {
    listenToPointing(panel.canvas, () => panel.drawn, (joint, event) => {
      point(joint, event);
      requestDraw();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colors = readColors();
    requestDraw();
  });
  const showAskedFrame = () => {
    const asked = /^#frame=(-?\d+)$/.exec(location.hash);
    if (asked) player.show(Number(asked[1]));
  };
  window.addEventListener("hashchange", showAskedFrame);
  showAskedFrame();
  new ResizeObserver(resize).observe(space.canvas);
  new ResizeObserver(resize).observe(at("side"));
  window.addEventListener("resize", resize); // also when the screen's pixels change
  resize();
  draw();
}
