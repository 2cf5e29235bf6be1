"use strict";
// Above the slider: who is there when, and the error over time.

const CHART = 46; // CSS pixels, height of the chart

class TimeLine {
  constructor(recording) {
    this.recording = recording;
    this.canvas = document.getElementById("line-canvas");
    this.slider = document.getElementById("frame");
    this.values = recording.errors ?? recording.expectedErrors; // mm
    if (this.values && !this.values.some((value) => !Number.isNaN(value))) this.values = null;
    this.lane = Math.max(1, Math.min(6, 30 / Math.max(recording.people.length, 1)));
    this.lanes = Math.ceil(this.lane * recording.people.length) + 4;
    this.height = this.lanes + (this.values ? CHART : 0);
    this.highest = this.values ? niceLimit(this.values) : 0;
    const single = recording.first === recording.last;
    document.querySelector(".line").hidden = single;
    Object.assign(this.slider, { min: recording.first, max: recording.last, disabled: single });
    this.canvas.style.height = `${this.height}px`;
    const what = recording.errors ? "mean error of the joints" : "mean expected error of the joints";
    document.getElementById("line-note").textContent =
      this.values && !single ? `${what}, 0 to ${this.highest} mm` : "";
    document.getElementById("line-note").hidden = !this.values || single;
  }

  /** CSS pixels from the left at which a frame is; the slider's thumb stands there, too. */
  at(frame) {
    const { first, last } = this.recording;
    return 8 + ((this.canvas.clientWidth - 16) * (frame - first)) / Math.max(last - first, 1);
  }

  /** The frame at so many CSS pixels from the left. */
  frameAt(x) {
    const { first, last } = this.recording;
    const part = (x - 8) / Math.max(this.canvas.clientWidth - 16, 1);
    return Math.round(first + Math.min(1, Math.max(0, part)) * (last - first));
  }

  draw({ frame, colors }) {
    const width = this.canvas.clientWidth;
    if (!width) return;
    const context = prepareCanvas(this.canvas, width, this.height);
    const key = [width, window.devicePixelRatio, JSON.stringify(colors), ...this.recording.shown].join();
    if (key !== this.key) {
      this.key = key;
      this.still = document.createElement("canvas"); // all but the mark of the frame
      this.#drawStill(prepareCanvas(this.still, width, this.height), colors);
    }
    context.drawImage(this.still, 0, 0, width, this.height);
    const x = this.at(frame);
    drawLine(context, [[x, 0], [x, this.height]], colors.ink, 1.5);
  }

  #drawStill(context, colors) {
    const { recording } = this;
    const step = Math.max(2, this.at(recording.first + 1) - this.at(recording.first) + 0.5);
    const top = this.height - this.lanes + 2;
    for (let row = 0; row < recording.rows; row++) {
      if (!recording.shown.has(recording.person[row]) || !recording.hasPose[row]) continue;
      context.fillStyle = colorOfPerson(recording, recording.person[row], colors);
      const x = this.at(recording.frame[row]) - step / 2;
      context.fillRect(x, top + recording.person[row] * this.lane, step, Math.max(1, this.lane - 1.5));
    }
    if (!this.values) return;
    for (const part of [0, 0.5, 1]) {
      const y = 2 + part * (CHART - 6);
      drawLine(context, [[8, y], [this.canvas.clientWidth - 8, y]], colors.edge, 1);
    }
    for (const person of recording.shown) this.#drawCurve(context, person, colors);
  }

  #drawCurve(context, person, colors) {
    const { recording, values } = this;
    let before = null;
    context.beginPath();
    for (let row = 0; row < recording.rows; row++) {
      if (recording.person[row] !== person) continue;
      if (Number.isNaN(values[row])) {
        before = null;
        continue;
      }
      const x = this.at(recording.frame[row]);
      const y = CHART - 4 - (CHART - 6) * Math.min(1, values[row] / this.highest);
      if (before === null || recording.frame[row] > before + 1) context.moveTo(x - 0.5, y);
      context.lineTo(x, y);
      before = recording.frame[row];
    }
    context.strokeStyle = colorOfPerson(recording, person, colors);
    context.lineWidth = 1.5;
    context.stroke();
  }
}

/** A round number above nearly all values. */
function niceLimit(values) {
  const known = Float32Array.from(values).filter((value) => !Number.isNaN(value)).sort();
  const high = known[Math.floor((known.length - 1) * 0.995)];
  const limits = [1, 2, 5, 10, 20, 50, 100, 150, 200, 300, 500, 1000, 2000, 5000];
  return limits.find((limit) => limit >= high) ?? Math.ceil(high);
}
