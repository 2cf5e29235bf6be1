"use strict";
// Mouse, pen and fingers on the 3D panel, and pointing at joints on both.

const TAP = 6; // CSS pixels that a finger may move and still tap

/** Turns drags, wheels and fingers into movements of a camera. */
function listenToGestures(canvas, camera, onChange) {
  const fingers = new Map(); // pointer -> where it is
  let spread = null; // distance of two fingers

  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    canvas.setPointerCapture(event.pointerId);
    spread = null;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    const [right, down] = [event.clientX - before[0], event.clientY - before[1]];
    if (fingers.size === 2) {
      const [one, other] = fingers.values();
      const distance = Math.max(1, Math.hypot(one[0] - other[0], one[1] - other[1]));
      if (spread) camera.zoom(spread / distance);
      spread = distance;
      camera.pan(right / 2, down / 2);
    } else if (event.shiftKey || event.buttons & 6) camera.pan(right, down);
    else camera.turn(right * 0.008, down * 0.008);
    onChange();
  });
  const lift = (event) => {
    fingers.delete(event.pointerId);
    spread = null;
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    camera.zoom(Math.exp(Math.min(200, Math.max(-200, event.deltaY * lines)) * 0.0015));
    onChange();
  }, { passive: false });
}

/**
 * Calls onPoint(joint, event) with the joint under the mouse, or under a finger that taps; with
 * null where there is none.
 */
function listenToPointing(canvas, jointsOf, onPoint) {
  let start = null;
  const find = (event) => {
    const area = canvas.getBoundingClientRect();
    return nearestJoint(jointsOf(), event.clientX - area.left, event.clientY - area.top);
  };
  canvas.addEventListener("pointerdown", (event) => {
    start = [event.clientX, event.clientY];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") onPoint(event.buttons ? null : find(event), event);
  });
  canvas.addEventListener("pointerup", (event) => {
    const moved = start ? Math.hypot(event.clientX - start[0], event.clientY - start[1]) : 0;
    if (moved <= TAP) onPoint(find(event), event);
  });
  canvas.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") onPoint(null, event);
  });
}
