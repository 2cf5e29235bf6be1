"use strict";
// What the page holds: the arrays beside this script, decoded.

/** The number that stands for a missing coordinate among the int16 steps of a packed array. */
const MISSING = -32768;

/** The bytes of the array NAME in the page, or null if the page has none. */
function bytesOf(name) {
  const element = document.getElementById(`array-${name}`);
  if (!element) return null;
  const text = atob(element.textContent);
  element.remove();
  const bytes = new Uint8Array(text.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = text.charCodeAt(place);
  return bytes.buffer;
}

/**
 * Points (row, point, axis) as one Float32Array, NaN where missing; null if the page has none.
 * A coordinate is origin[row, axis] + scale[row] * steps[row, point, axis].
 */
function unpack(name, axes) {
  const stored = bytesOf(`${name}-steps`);
  if (!stored) return null;
  const steps = new Int16Array(stored);
  const origin = new Float32Array(bytesOf(`${name}-origin`));
  const scale = new Float32Array(bytesOf(`${name}-scale`));
  const width = steps.length / Math.max(scale.length, 1);
  const points = new Float32Array(steps.length);
  for (let row = 0; row < scale.length; row++) {
    for (let part = 0; part < width; part++) {
      const step = steps[row * width + part];
      const from = origin[row * axes + (part % axes)];
      points[row * width + part] = step === MISSING ? NaN : from + scale[row] * step;
    }
  }
  return points;
}

/** The poses of all people in all frames; rows are ordered by frame, then by person. */
class Recording {
  constructor(facts) {
    Object.assign(this, facts); // joints, bones, people, fps and more: `facts_of` in html_file.py
    this.points = unpack("points", 3); // meters: x right, y up, z towards the camera
    this.truth = unpack("truth", 3); // the same
    this.keypoints = unpack("keypoints", 2); // pixels
    this.frame = new Float64Array(bytesOf("frame"));
    this.person = new Int32Array(bytesOf("person")); // places in `people`
    this.confidence = new Uint8Array(bytesOf("confidence")); // 255 is sure
    const expected = bytesOf("expected"); // mm; 65535 where not known
    this.expected = expected && new Uint16Array(expected);
    this.rows = this.frame.length;
    this.first = this.rows ? this.frame[0] : 0;
    this.last = this.rows ? this.frame[this.rows - 1] : 0;
    this.shown = new Set(this.people.map((_, place) => place)); // people that are drawn
    this.jointOfKeypoint = this.keypointNames.map((name) => this.joints.indexOf(name));
    this.hasPose = Uint8Array.from({ length: this.rows }, (_, row) =>
      this.joints.some((_, joint) => !Number.isNaN(this.points[3 * (row * this.joints.length + joint)])));
    // For each row the mean error of its joints in mm, NaN where there is none.
    this.errors = this.truth && this.#means((row, joint) => this.errorOf(row, joint));
    this.expectedErrors = this.expected && this.#means((row, joint) => this.expectedOf(row, joint));
  }

  /** The first row whose frame is not before `frame`. */
  #start(frame) {
    let low = 0;
    let high = this.rows;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.frame[middle] < frame) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The rows of a frame, of people that are switched on. */
  rowsOf(frame) {
    const rows = [];
    for (let row = this.#start(frame); this.frame[row] === frame; row++) {
      if (this.shown.has(this.person[row])) rows.push(row);
    }
    return rows;
  }

  /** A joint in meters, or null if it is missing. */
  joint(row, joint, points = this.points) {
    const at = 3 * (row * this.joints.length + joint);
    return Number.isNaN(points[at]) ? null : [points[at], points[at + 1], points[at + 2]];
  }

  /** A keypoint in pixels, or null if it is missing. */
  keypoint(row, place) {
    const at = 2 * (row * this.keypointNames.length + place);
    return Number.isNaN(this.keypoints[at]) ? null : [this.keypoints[at], this.keypoints[at + 1]];
  }

  confidenceOf(row, joint) {
    return this.confidence[row * this.joints.length + joint] / 255;
  }

  /** The expected error in mm, or NaN. */
  expectedOf(row, joint) {
    const stored = this.expected ? this.expected[row * this.joints.length + joint] : 65535;
    return stored === 65535 ? NaN : stored;
  }

  /** The distance of a joint from its true place in mm, or NaN. */
  errorOf(row, joint) {
    if (!this.truth) return NaN;
    const at = 3 * (row * this.joints.length + joint);
    const along = (axis) => this.points[at + axis] - this.truth[at + axis];
    return 1000 * Math.hypot(along(0), along(1), along(2));
  }

  /** For each row the mean of valueOf(row, joint) over its joints. */
  #means(valueOf) {
    const values = new Float32Array(this.joints.length);
    return Float32Array.from({ length: this.rows }, (_, row) => {
      for (let joint = 0; joint < values.length; joint++) values[joint] = valueOf(row, joint);
      return mean(values);
    });
  }

  /** How firmly a joint is drawn, 0.25 to 1: less if its confidence is low or its error large. */
  firmness(row, joint) {
    const sure = this.confidenceOf(row, joint) / 0.5;
    const expected = this.expectedOf(row, joint);
    const exact = Number.isNaN(expected) ? 1 : (150 - expected) / 100;
    return 0.25 + 0.75 * Math.min(1, Math.max(0, Math.min(sure, exact)));
  }

  /** [lowest, highest] of x, y, z over all poses, without joints that lie far from the others. */
  bounds() {
    const step = 3 * Math.max(1, Math.floor(this.points.length / 60000));
    return [0, 1, 2].map((axis) => {
      const values = [];
      for (const points of [this.points, this.truth ?? []]) {
        for (let at = axis; at < points.length; at += step) {
          if (!Number.isNaN(points[at])) values.push(points[at]);
        }
      }
      if (!values.length) return axis === 1 ? [0, 1.8] : [-1, 1];
      values.sort((one, other) => one - other);
      const quantile = (part) => values[Math.round(part * (values.length - 1))];
      const far = 1 + 4 * (quantile(0.75) - quantile(0.25));
      return [
        Math.max(quantile(0.005), quantile(0.25) - far),
        Math.min(quantile(0.995), quantile(0.75) + far),
      ];
    });
  }
}

/** The mean of the numbers that are not NaN; NaN if there is none. */
function mean(values) {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    sum += value;
    count++;
  }
  return count ? sum / count : NaN;
}
