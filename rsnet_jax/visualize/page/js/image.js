"use strict";
// The 2D panel: the keypoints in the image.

class ImagePanel {
  constructor(recording) {
    this.recording = recording;
    this.canvas = document.getElementById("image-canvas");
    this.drawn = []; // keypoints on the canvas, see `nearestJoint`
    this.sides = recording.keypointBones.map((bone) => sideOfBone(recording.keypointNames, bone));
    this.empty = !recording.keypoints;
    document.getElementById("image").hidden = this.empty;
    if (this.empty) return;
    this.area = recording.imageSize ? [0, 0, ...recording.imageSize] : this.#areaOfKeypoints();
    document.getElementById("image-size").textContent = recording.imageSize
      ? `${recording.imageSize[0]} \u00d7 ${recording.imageSize[1]} pixels`
      : "size of the image not known";
    this.resize();
  }

  /** Left, top, width and height of what holds all keypoints, for images of unknown size. */
  #areaOfKeypoints() {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    const { keypoints } = this.recording;
    for (let at = 0; at < keypoints.length; at += 2) {
      if (Number.isNaN(keypoints[at])) continue;
      left = Math.min(left, keypoints[at]);
      right = Math.max(right, keypoints[at]);
      top = Math.min(top, keypoints[at + 1]);
      bottom = Math.max(bottom, keypoints[at + 1]);
    }
    const margin = 0.05 * Math.max(right - left, bottom - top, 1);
    return [left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin];
  }

  resize() {
    if (this.empty) return;
    const [, , across, down] = this.area;
    const width = this.canvas.clientWidth;
    const height = Math.min((width * down) / across, 0.44 * window.innerHeight);
    this.canvas.style.height = `${height}px`;
    Object.assign(this, { width, height, scale: Math.min(width / across, height / down) });
  }

  draw({ frame, colors, marked }) {
    this.drawn = [];
    if (this.empty || !this.width) return;
    const { recording, canvas, width, height, scale } = this;
    const context = prepareCanvas(canvas, width, height);
    const [left, top, across, down] = this.area;
    const corner = [(width - across * scale) / 2, (height - down * scale) / 2];
    context.fillStyle = colors.floor;
    context.fillRect(...corner, across * scale, down * scale);
    context.strokeStyle = colors.edge;
    context.lineWidth = 1;
    context.strokeRect(corner[0] + 0.5, corner[1] + 0.5, across * scale - 1, down * scale - 1);
    const place = (point) =>
      point && [corner[0] + (point[0] - left) * scale, corner[1] + (point[1] - top) * scale];
    context.save();
    context.beginPath();
    context.rect(...corner, across * scale, down * scale);
    context.clip();
    for (const row of recording.rowsOf(frame)) this.#drawRow(context, row, place, colors, marked);
    context.restore();
  }

  #drawRow(context, row, place, colors, marked) {
    const { recording } = this;
    const color = colorOfPerson(recording, recording.person[row], colors);
    const firmness = (keypoint) => {
      const joint = recording.jointOfKeypoint[keypoint];
      return joint < 0 ? 1 : recording.firmness(row, joint);
    };
    const at = recording.keypointNames.map((_, keypoint) => place(recording.keypoint(row, keypoint)));
    const fine = recording.keypointNames.length > 40; // with face and hands
    recording.keypointBones.forEach(([start, end], bone) => {
      if (!at[start] || !at[end]) return;
      context.globalAlpha = Math.min(firmness(start), firmness(end));
      const side = this.sides[bone];
      drawLine(context, [at[start], at[end]], side ? colors[side] : color, fine ? 1.5 : 2.5);
    });
    let highest = null;
    recording.keypointNames.forEach((name, keypoint) => {
      if (!at[keypoint]) return;
      const [x, y] = at[keypoint];
      if (!highest || y < highest[1]) highest = at[keypoint];
      this.drawn.push({ row, name, joint: recording.jointOfKeypoint[keypoint], keypoint, x, y });
      context.globalAlpha = firmness(keypoint);
      drawDot(context, at[keypoint], sideOf(name) ? colors[sideOf(name)] : color, fine ? 1.5 : 3);
      context.globalAlpha = 1;
      if (marked && marked.row === row && marked.name === name) {
        drawRing(context, at[keypoint], 7, colors.ink);
      }
    });
    context.globalAlpha = 1;
    if (recording.people.length > 1 && highest) {
      const above = [highest[0], Math.max(10, highest[1] - 16)];
      drawChip(context, recording.people[recording.person[row]], above, color, colors.panel);
    }
  }
}
