"use strict";
// What both panels share: canvases, colors, bones, and finding the joint under the pointer.

const REACH = 16; // CSS pixels from a joint at which it is found

/** The colors of the style sheet, which follow the light or dark theme. */
function readColors() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "panel", "ink", "quiet", "edge", "floor", "grid", "shadow"];
  names.push("accent", "left", "right", "middle", "truth");
  const colors = Object.fromEntries(
    names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  colors.people = [0, 1, 2, 3, 4, 5].map((place) => style.getPropertyValue(`--person-${place}`).trim());
  return colors;
}

/** The color of a person; of the only one, that of the middle of the body. */
function colorOfPerson(recording, person, colors) {
  return recording.people.length === 1 ? colors.middle : colors.people[person % colors.people.length];
}

/** "left", "right", or "" for joints in the middle of the body. */
function sideOf(name) {
  return (/^(left|right)_/.exec(name) ?? ["", ""])[1];
}

/** The side of a bone: that of its ends, if they are not on different sides. */
function sideOfBone(names, [start, end]) {
  const sides = [sideOf(names[start]), sideOf(names[end])].filter(Boolean);
  return sides.length && sides.every((side) => side === sides[0]) ? sides[0] : "";
}

/** A context whose unit is a CSS pixel, on a canvas with the pixels of the screen. */
function prepareCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineCap = context.lineJoin = "round";
  return context;
}

function drawLine(context, points, color, width) {
  if (points.length < 2) return;
  context.beginPath();
  points.forEach(([x, y], place) => (place ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

function drawDot(context, [x, y], color, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
}

/** A short text on a round patch of color, centered at a place. */
function drawChip(context, text, [x, y], color, ink) {
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const half = Math.max(1, (context.measureText(text).width - 6) / 2);
  drawLine(context, [[x - half, y], [x + half, y]], color, 18);
  context.fillStyle = ink;
  context.fillText(text, x, y + 0.5);
}

function drawRing(context, [x, y], radius, color) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.stroke();
}

/** Of drawn joints [{row, name, x, y}], the one nearest to a place and within reach; or null. */
function nearestJoint(drawn, x, y) {
  let best = null;
  let least = REACH;
  for (const joint of drawn) {
    const distance = Math.hypot(joint.x - x, joint.y - y);
    if (distance < least) [best, least] = [joint, distance];
  }
  return best;
}
