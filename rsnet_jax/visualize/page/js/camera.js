"use strict";
// The camera that orbits around a point of the scene, and its perspective.

const NEAR = 0.05; // meters in front of the camera, below which nothing is drawn
const FIELD_OF_VIEW = 0.6; // radians, along the shorter side of the canvas
const VIEWS = {
  reset: { yaw: 0.55, pitch: 0.22 },
  front: { yaw: 0, pitch: 0.03 },
  side: { yaw: Math.PI / 2, pitch: 0.03 },
  top: { yaw: 0, pitch: Math.PI / 2 },
};

class OrbitCamera {
  constructor(bounds) {
    this.bounds = bounds;
    this.width = this.height = 100; // CSS pixels
    this.follow = [0, 0, 0]; // meters by which the view moves with the people
    this.untouched = true; // whether a new window size may fit the view again
    this.view("reset");
  }

  /** Takes one of the VIEWS, from where the whole recording is seen. */
  view(name) {
    Object.assign(this, VIEWS[name]);
    this.fit();
  }

  resize(width, height) {
    this.width = width;
    this.height = height;
    if (this.untouched) this.fit();
    else this.#turn();
  }

  turn(right, down) {
    this.yaw -= right;
    this.pitch = Math.min(Math.PI / 2, Math.max(-0.3, this.pitch + down));
    this.#turn();
  }

  zoom(factor) {
    this.untouched = false;
    this.distance = Math.min(500, Math.max(0.3, this.distance * factor));
    this.#turn();
  }

  /** Moves the scene by so many CSS pixels. */
  pan(right, down) {
    this.untouched = false;
    const meters = this.distance / this.focal;
    for (let axis = 0; axis < 3; axis++) {
      this.target[axis] += meters * (down * this.up[axis] - right * this.right[axis]);
    }
  }

  /** Goes to where the bounds just fill the canvas. */
  fit() {
    const [x, y, z] = this.bounds.map(([low, high], axis) =>
      (axis === 1 ? [low < 5 ? Math.min(low, 0) : low, high + 0.15] : [low - 0.3, high + 0.3]));
    const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((corner) =>
      [x[corner & 1], y[(corner >> 1) & 1], z[corner >> 2]]);
    this.target = [x, y, z].map(([low, high]) => (low + high) / 2);
    for (let turn = 0; turn < 4; turn++) { // near corners look larger: the middle shifts
      this.distance = 0;
      this.#turn();
      this.distance = Math.max(0.5, ...corners.map((corner) => {
        const [right, up, depth] = this.seen(corner);
        const wide = (Math.abs(right) * this.focal) / (0.42 * this.width);
        const high = (Math.abs(up) * this.focal) / (0.4 * this.height);
        return Math.max(wide, high) - depth;
      }));
      const places = corners.map((corner) => this.place(this.seen(corner)));
      const middle = [0, 1].map((axis) => {
        const values = places.map((place) => place[axis]);
        return (Math.min(...values) + Math.max(...values)) / 2;
      });
      this.pan(this.width / 2 - middle[0], this.height / 2 - middle[1]);
    }
    this.untouched = true;
  }

  #turn() {
    this.focal = Math.min(this.width, this.height) / 2 / Math.tan(FIELD_OF_VIEW / 2);
    const [sy, cy] = [Math.sin(this.yaw), Math.cos(this.yaw)];
    const [sp, cp] = [Math.sin(this.pitch), Math.cos(this.pitch)];
    this.right = [cy, 0, -sy];
    this.up = [-sy * sp, cp, -cy * sp];
    this.away = [-sy * cp, -sp, -cy * cp];
  }

  /** A point as the camera sees it, in meters: to the right, up, and in front of it. */
  seen(point) {
    const from = point.map((value, axis) => value - this.target[axis] - this.follow[axis]);
    const along = (axes) => from[0] * axes[0] + from[1] * axes[1] + from[2] * axes[2];
    return [along(this.right), along(this.up), along(this.away) + this.distance];
  }

  /** CSS pixels of a point that is `seen`. */
  place([right, up, depth]) {
    const scale = this.focal / depth;
    return [this.width / 2 + right * scale, this.height / 2 - up * scale];
  }

  /** CSS pixels and depth of a point, or null if it is not in front of the camera. */
  project(point) {
    const seen = this.seen(point);
    return seen[2] < NEAR ? null : [...this.place(seen), seen[2]];
  }

  /** The corners of a flat figure in CSS pixels, cut off where it is behind the camera. */
  projectShape(points, closed) {
    const seen = points.map((point) => this.seen(point));
    const kept = [];
    seen.forEach((here, place) => {
      const next = seen[(place + 1) % seen.length];
      if (here[2] >= NEAR) kept.push(here);
      if (!closed && place === seen.length - 1) return;
      if (here[2] >= NEAR !== next[2] >= NEAR) {
        const part = (NEAR - here[2]) / (next[2] - here[2]);
        kept.push([0, 1, 2].map((axis) => here[axis] + part * (next[axis] - here[axis])));
      }
    });
    return kept.map((point) => this.place(point));
  }
}
