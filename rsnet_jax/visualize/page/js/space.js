"use strict";
// The 3D panel: floor, scale, shadows, bones.

const BONE = 0.045; // meters, thickness

/** Meters between the lines of a scale of some length: 1, or 2, 5, 10, ... so that they are few. */
function spacingOf(length) {
  const least = Math.max(1, length / 20);
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10);
}

class Space {
  constructor(recording) {
    this.recording = recording;
    this.canvas = document.getElementById("space-canvas");
    this.camera = new OrbitCamera(recording.bounds());
    this.drawn = []; // joints on the canvas, see `nearestJoint`
    this.sides = recording.bones.map((bone) => sideOfBone(recording.joints, bone));
    this.floor = this.#floorOf(this.camera.bounds);
    document.getElementById("scale").textContent = `floor: squares of ${this.floor.spacing} m`;
  }

  /** The lines of the floor: whole meters around all poses. */
  #floorOf([x, , z]) {
    const spacing = spacingOf(Math.max(x[1] - x[0], z[1] - z[0]));
    const lines = ([low, high]) => {
      const start = Math.floor((low - 0.4) / spacing);
      const end = Math.ceil((high + 0.4) / spacing);
      return Array.from({ length: end - start + 1 }, (_, place) => (start + place) * spacing);
    };
    return { spacing, x: lines(x), z: lines(z) };
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth && clientHeight) this.camera.resize(clientWidth, clientHeight);
  }

  draw({ frame, colors, marked, withTruth, follow }) {
    const { recording, camera } = this;
    const rows = recording.rowsOf(frame);
    this.#follow(rows, follow);
    this.context = prepareCanvas(this.canvas, camera.width, camera.height);
    this.colors = colors;
    this.drawn = [];
    this.#drawFloor();
    for (const row of rows) this.#drawShadow(row);
    const pieces = rows.flatMap((row) => this.#piecesOf(row, withTruth && recording.truth, marked));
    pieces.sort((one, other) => other.depth - one.depth);
    for (const piece of pieces) piece.draw();
    if (recording.people.length > 1) for (const row of rows) this.#drawNumber(row);
    return rows.filter((row) => recording.hasPose[row]).length;
  }

  /** Moves the view with the middle of the people, if wanted. */
  #follow(rows, wanted) {
    const middle = [0, 1, 2].map((axis) =>
      mean(rows.flatMap((row) =>
        this.recording.joints.map((_, joint) => this.recording.joint(row, joint)?.[axis] ?? NaN))));
    if (!wanted) this.camera.follow = [0, 0, 0];
    else if (!Number.isNaN(middle[0])) {
      const [x, , z] = this.camera.bounds.map(([low, high]) => (low + high) / 2);
      this.camera.follow = [middle[0] - x, 0, middle[2] - z];
    }
  }

  #line(points, color, width) {
    drawLine(this.context, this.camera.projectShape(points, false), color, width);
  }

  #drawFloor() {
    const { context, camera, colors } = this;
    const { x, z } = this.floor;
    const [x0, x1, z0, z1] = [x[0], x.at(-1), z[0], z.at(-1)];
    const ground = camera.projectShape(
      [[x0, 0, z0], [x1, 0, z0], [x1, 0, z1], [x0, 0, z1]], true);
    if (ground.length) {
      context.beginPath();
      ground.forEach(([right, down]) => context.lineTo(right, down));
      context.fillStyle = colors.floor;
      context.fill();
    }
    for (const at of x) this.#line([[at, 0, z0], [at, 0, z1]], colors.grid, 1);
    for (const at of z) this.#line([[x0, 0, at], [x1, 0, at]], colors.grid, 1);
    // The scales stand on the edges of the floor that face the camera.
    const [outX, outZ] = [Math.sin(camera.yaw) >= 0 ? 1 : -1, Math.cos(camera.yaw) >= 0 ? 1 : -1];
    const [nearX, nearZ] = [outX > 0 ? x1 : x0, outZ > 0 ? z1 : z0];
    this.#drawScale(x, (at) => [at, 0, nearZ], [0, 0, outZ], "x right");
    this.#drawScale(z, (at) => [nearX, 0, at], [outX, 0, 0], "z to camera");
    this.#drawHeight();
  }

  /** Numbers along an edge of the floor, and its name; not where they would stand too close. */
  #drawScale(values, pointOf, outwards, name) {
    const { camera } = this;
    const outside = (at, distance) => {
      const place = camera.project(pointOf(at));
      const further = camera.project(pointOf(at).map((value, axis) => value + 0.3 * outwards[axis]));
      if (!place || !further) return null;
      const [right, down] = [further[0] - place[0], further[1] - place[1]];
      const step = distance / Math.max(1e-6, Math.hypot(right, down));
      return [place[0] + right * step, place[1] + down * step];
    };
    let before = null;
    for (const at of values) {
      const place = outside(at, 14);
      if (!place || (before && Math.hypot(place[0] - before[0], place[1] - before[1]) < 22)) continue;
      this.#text(`${Math.round(at)}`.replace("-", "\u2212"), place);
      before = place;
    }
    const middle = (values[0] + values.at(-1)) / 2;
    const [start, end] = [outside(middle - 0.1, 32), outside(middle + 0.1, 32)];
    if (!start || !end) return;
    const [right, down] = [end[0] - start[0], end[1] - start[1]];
    const length = (Math.hypot(right, down) / 0.2) * (values.at(-1) - values[0]);
    const angle = Math.atan2(down, right);
    const upright = Math.abs(angle) > Math.PI / 2 ? angle + Math.PI : angle;
    if (length > 90) this.#text(name, [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2], { angle: upright });
  }

  /** A post with a mark at each meter of height, at the corner furthest to the left. */
  #drawHeight() {
    const { camera, colors } = this;
    if (camera.pitch > 1.2) return; // seen from above it is a point
    const { x, z } = this.floor;
    const spacing = spacingOf(camera.bounds[1][1]);
    const top = Math.max(2, Math.ceil(camera.bounds[1][1] / spacing) * spacing);
    const posts = [x[0], x.at(-1)].flatMap((right) => [z[0], z.at(-1)].map((near) => [right, near]))
      .map(([right, near]) => ({ right, near, top: camera.project([right, top, near]) }))
      .filter((post) => post.top && post.top[0] > 40 && post.top[0] < camera.width && post.top[1] > 56);
    if (!posts.length) return;
    const { right, near } = posts.reduce((one, other) => (other.top[0] < one.top[0] ? other : one));
    this.#line([[right, 0, near], [right, top, near]], colors.grid, 1);
    for (let at = spacing; at <= top; at += spacing) {
      const mark = camera.project([right, at, near]);
      if (!mark) continue;
      drawLine(this.context, [[mark[0] - 4, mark[1]], [mark[0] + 4, mark[1]]], colors.grid, 1);
      this.#text(at === top ? `y up ${at}` : `${at}`, [mark[0] - 8, mark[1]], { align: "right" });
    }
  }

  #text(text, [x, y], { align = "center", angle = 0 } = {}) {
    const { context } = this;
    context.save();
    context.translate(x, y);
    context.rotate(angle);
    context.font = "11.5px system-ui, sans-serif";
    context.textAlign = align;
    context.textBaseline = "middle";
    context.fillStyle = this.colors.quiet;
    context.fillText(text, 0, 0);
    context.restore();
  }

  /** The bones of a row as [start, end, side] of joints that are there. */
  #bonesOf(row, points) {
    return this.recording.bones
      .map(([start, end], place) => ({
        ends: [start, end],
        at: [this.recording.joint(row, start, points), this.recording.joint(row, end, points)],
        side: this.sides[place],
      }))
      .filter(({ at }) => at[0] && at[1]);
  }

  /** The bones of a row on the floor, as if the light came from above. */
  #drawShadow(row) {
    const { context, camera } = this;
    const flat = this.#bonesOf(row).map(({ at }) => at.map(([x, , z]) => [x, 0, z]));
    if (!flat.length) return;
    context.beginPath();
    for (const bone of flat) {
      const [start, end] = camera.projectShape(bone, false);
      if (!end) continue;
      context.moveTo(...start);
      context.lineTo(...end);
    }
    context.strokeStyle = this.colors.shadow;
    context.lineWidth = (1.4 * BONE * camera.focal) / Math.max(NEAR, camera.seen(flat[0][0])[2]);
    context.stroke();
  }

  /** Bones and joints of a row, each with its depth and a function that draws it. */
  #piecesOf(row, truth, marked) {
    const { recording, camera, context, colors } = this;
    const own = colorOfPerson(recording, recording.person[row], colors);
    const pieces = [];
    const bones = (points, color, width) => {
      for (const bone of this.#bonesOf(row, points)) {
        const ends = bone.at.map((point) => camera.project(point));
        if (!ends[0] || !ends[1]) continue;
        const depth = (ends[0][2] + ends[1][2]) / 2;
        pieces.push({ depth, draw: () => color(bone, ends, width(depth)) });
      }
    };
    if (truth) bones(truth, (_, ends, width) => drawLine(context, ends, colors.truth, width), () => 2);
    bones(recording.points, ({ ends: joints, side }, ends, width) => {
      drawLine(context, ends, colors.panel, width + 2); // sets it off from what is behind
      context.globalAlpha = Math.min(...joints.map((joint) => recording.firmness(row, joint)));
      drawLine(context, ends, side ? colors[side] : own, width);
      context.globalAlpha = 1;
    }, (depth) => Math.max(2, (BONE * camera.focal) / depth));
    recording.joints.forEach((name, joint) => {
      const point = recording.joint(row, joint);
      const place = point && camera.project(point);
      if (!place) return;
      const [x, y, depth] = place;
      const radius = Math.max(2.2, (0.62 * BONE * camera.focal) / depth);
      this.drawn.push({ row, name, joint, x, y, radius, depth });
      const isMarked = marked && marked.row === row && marked.name === name;
      pieces.push({ depth: depth - BONE, draw: () => {
        context.globalAlpha = recording.firmness(row, joint);
        drawDot(context, place, sideOf(name) ? colors[sideOf(name)] : own, radius);
        context.globalAlpha = 1;
        drawDot(context, place, colors.panel, radius * 0.45);
        if (isMarked) drawRing(context, place, radius + 4, colors.ink);
      } });
    });
    return pieces;
  }

  /** The number of a person above the highest joint. */
  #drawNumber(row) {
    const { recording, colors } = this;
    const points = recording.joints.map((_, joint) => recording.joint(row, joint)).filter(Boolean);
    if (!points.length) return;
    const top = points.reduce((one, other) => (other[1] > one[1] ? other : one));
    const place = this.camera.project([top[0], top[1] + 0.2, top[2]]);
    const person = recording.person[row];
    const color = colorOfPerson(recording, person, colors);
    if (place) drawChip(this.context, recording.people[person], place, color, colors.panel);
  }
}
