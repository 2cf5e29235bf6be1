"use strict";
// The time: which frame is shown, and how it goes on.

const SPEEDS = [0.1, 0.25, 0.5, 1, 1.5, 2, 4];
const USUAL_RATE = 25; // frames per second where the rate is not known

class Player {
  constructor(recording, onChange) {
    Object.assign(this, { first: recording.first, last: recording.last, onChange });
    this.rate = recording.fps ?? USUAL_RATE;
    this.exact = recording.first; // with the part of a frame that has gone by
    this.speed = 1;
    this.loop = true;
    this.playing = false;
  }

  get frame() {
    return Math.floor(this.exact);
  }

  show(frame) {
    this.exact = Math.min(this.last, Math.max(this.first, frame));
    this.onChange();
  }

  toggle() {
    if (this.first === this.last) return;
    this.playing = !this.playing;
    if (this.playing && this.frame === this.last) this.exact = this.first;
    this.before = null;
    if (this.playing) requestAnimationFrame((now) => this.#advance(now));
    this.onChange();
  }

  step(frames) {
    if (this.playing) this.toggle();
    this.show(this.frame + frames);
  }

  #advance(now) {
    if (!this.playing) return;
    // A page in the background gets no time; it goes on where it was.
    const seconds = Math.min(0.25, (now - (this.before ?? now)) / 1000);
    this.before = now;
    this.exact += seconds * this.rate * this.speed;
    if (this.exact >= this.last + 1) {
      const span = this.last + 1 - this.first;
      if (this.loop) this.exact = this.first + ((this.exact - this.first) % span);
      else {
        this.exact = this.last;
        this.playing = false;
      }
    }
    this.onChange();
    if (this.playing) requestAnimationFrame((later) => this.#advance(later));
  }
}
