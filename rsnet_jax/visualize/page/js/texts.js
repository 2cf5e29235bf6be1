"use strict";
// The words of the page.

function inMeters(value) {
  return value.toFixed(2).replace(/^-(?=[0.]*$)/, "").replace("-", "\u2212"); // no "-0.00"
}

/** What is known of a joint, a line each. */
function wordsOfJoint(recording, { row, name, joint, keypoint }) {
  const lines = [name.replaceAll("_", " ")];
  if (recording.people.length > 1) lines[0] += `, person ${recording.people[recording.person[row]]}`;
  if (keypoint !== undefined) {
    const [x, y] = recording.keypoint(row, keypoint);
    lines.push(`image x ${x.toFixed(1)}, y ${y.toFixed(1)} pixels`);
  }
  const point = joint >= 0 ? recording.joint(row, joint) : null;
  if (point) lines.push(`x ${inMeters(point[0])}, y ${inMeters(point[1])}, z ${inMeters(point[2])} m`);
  if (joint < 0) return lines.join("\n");
  lines.push(`confidence ${recording.confidenceOf(row, joint).toFixed(2)}`);
  const expected = recording.expectedOf(row, joint);
  if (!Number.isNaN(expected)) lines.push(`expected error ${expected.toFixed(0)} mm`);
  const error = recording.errorOf(row, joint);
  if (!Number.isNaN(error)) lines.push(`error ${error.toFixed(0)} mm`);
  return lines.join("\n");
}

function plural(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** The line under the title. */
function summaryOf(recording) {
  const frames = recording.last - recording.first + 1;
  const parts = [
    plural(recording.people.length, "person", "people"),
    plural(recording.joints.length, "joint", "joints"),
    plural(recording.rows ? frames : 0, "frame", "frames"),
  ];
  if (recording.fps) parts.push(`${(frames / recording.fps).toFixed(1)} s at ${+recording.fps.toFixed(2)} frames per second`);
  else if (frames > 1) parts.push(`frame rate unknown, played at ${USUAL_RATE} frames per second`);
  if (recording.errors) {
    const error = mean(recording.errors);
    if (!Number.isNaN(error)) parts.push(`mean error ${error.toFixed(1)} mm`);
  }
  return parts.join(" \u00b7 ");
}

/** Frame and time. */
function clockOf(recording, frame) {
  const number = `frame ${frame}`;
  return recording.fps ? `${(frame / recording.fps).toFixed(2)} s \u00b7 ${number}` : number;
}

/** What the 3D panel shows, for those who do not see it. */
function spokenOf(recording, frame) {
  const seen = recording.rowsOf(frame).filter((row) => recording.hasPose[row]);
  const people = seen.map((row) => {
    const points = recording.joints.map((_, joint) => recording.joint(row, joint)).filter(Boolean);
    const [x, y, z] = [0, 1, 2].map((axis) => inMeters(mean(points.map((point) => point[axis]))));
    const error = recording.errors ? `, error ${recording.errors[row].toFixed(0)} mm` : "";
    return `person ${recording.people[recording.person[row]]}: ${plural(points.length, "joint", "joints")}, middle at x ${x}, y ${y}, z ${z} m${error}`;
  });
  return `Poses in 3D, frame ${frame}. ${people.join("; ") || "No pose"}.`;
}
