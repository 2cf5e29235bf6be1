"""The page in a real browser: Chromium without a window, driven by Selenium."""

import base64
import dataclasses
import json
import runpy
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from export.poses_table import example_poses

from rsnet_jax.export.settings import OutputSettings
from rsnet_jax.visualize.page.html_file import save_html

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WIDE, NARROW = (1000, 700, 1), (390, 844, 2)


@pytest.fixture(scope="module")
def chromium():
    webdriver = pytest.importorskip("selenium.webdriver")
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for option in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(programs[1])
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.set_page_load_timeout(30)
        yield driver


class OpenPage:
    """A page in the browser."""

    def __init__(self, driver):
        self._driver = driver

    def run(self, script, *arguments):
        return self._driver.execute_script(script, *arguments)

    def until(self, condition, *arguments):
        """Waits until a condition in JavaScript holds."""
        for _ in range(200):
            if self.run(f"return {condition}", *arguments):
                return
            time.sleep(0.05)
        raise AssertionError(f"never came true: {condition}")

    @property
    def frame(self):
        return int(self.run("return document.body.dataset.frame"))

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def shown(self, selector):
        return self.run("return document.querySelector(arguments[0]).checkVisibility()", selector)

    def click(self, selector):
        self._driver.find_element("css selector", selector).click()
        self.settle()

    def press(self, key, **modifiers):
        """Presses a key where the focus is."""
        self.run(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown',"
            "{key: arguments[0], bubbles: true, cancelable: true, ...arguments[1]}))",
            *(key, modifiers),
        )
        self.settle()

    def point(self, canvas, kind, x, y, **more):
        """A pointer does something at a place of a canvas, CSS pixels from its corner."""
        self.run(
            "const [id, kind, x, y, more] = arguments; const canvas = document.getElementById(id);"
            "canvas.setPointerCapture = () => {};"
            "const area = canvas.getBoundingClientRect(); canvas.dispatchEvent("
            "new PointerEvent(kind, {clientX: area.left + x, clientY: area.top + y, pointerId: 1,"
            "pointerType: 'mouse', bubbles: true, ...more}))",
            *(canvas, kind, x, y, more),
        )
        self.settle()

    def settle(self):
        """Waits until what changed is drawn."""
        self._driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
        )

    def picture(self, canvas):
        """The pixels of a canvas, (row, column, 4)."""
        self.settle()
        width, height, text = self.run(
            "const canvas = document.getElementById(arguments[0]);"
            "const copy = new OffscreenCanvas(canvas.width, canvas.height);"
            "const context = copy.getContext('2d', {willReadFrequently: true});"
            "context.drawImage(canvas, 0, 0);"
            "const {data, width, height} = context.getImageData(0, 0, copy.width, copy.height);"
            "let text = ''; for (let at = 0; at < data.length; at += 32768)"
            "text += String.fromCharCode(...data.subarray(at, at + 32768));"
            "return [width, height, btoa(text)]",
            canvas,
        )
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)

    def count(self, canvas, color):
        """How many pixels of a canvas have a color of the style sheet."""
        text = self.run(
            "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])",
            f"--{color}",
        )
        wanted = [int(text.strip()[place : place + 2], 16) for place in (1, 3, 5)]
        return int((self.picture(canvas)[..., :3] == wanted).all(axis=-1).sum())


@pytest.fixture
def opened(chromium, tmp_path):
    """Opens poses as a page; afterwards, it must have complained of nothing and loaded nothing."""
    chromium.get_log("browser"), chromium.get_log("performance")
    files = []

    def open_page(poses, *, window=WIDE, theme="light", **options):
        width, height, ratio = window
        metrics = {"width": width, "height": height, "deviceScaleFactor": ratio}
        chromium.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", metrics | {"mobile": window == NARROW}
        )
        features = [{"name": "prefers-color-scheme", "value": theme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        files.append(tmp_path / f"{len(files)}.html")
        save_html(files[-1], poses, OutputSettings(), **options)
        chromium.get(files[-1].as_uri())
        page = OpenPage(chromium)
        page.until("document.body.dataset.frame !== undefined")
        return page

    yield open_page
    assert chromium.get_log("browser") == []
    messages = [
        json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")
    ]
    asked = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert {url for url in asked if not url.startswith("data:")} == {f.as_uri() for f in files}


def test_time_goes_on_and_can_be_scrubbed(opened):
    page = opened(example_poses(frames=50))
    assert page.frame == 0
    page.press(" ")
    page.until("Number(document.body.dataset.frame) > 3")
    assert page.run("return document.getElementById('play').ariaLabel") == "Pause"
    page.press(" ")
    stopped = page.frame
    page.press("ArrowRight")
    assert page.frame == stopped + 1
    page.press("ArrowLeft")
    page.press("ArrowLeft")
    assert page.frame == stopped - 1
    page.press("End")
    assert page.frame == 49
    page.press("PageUp")  # a second of 25 frames
    assert (page.frame, page.text("#clock")) == (24, "0.96 s \u00b7 frame 24 of 0\u201349")
    page.run(
        "const slider = document.getElementById('frame'); slider.value = 30;"
        "slider.dispatchEvent(new Event('input'))"
    )
    page.settle()
    assert page.frame == 30
    width = page.run("return document.getElementById('line-canvas').clientWidth")
    page.point("line-canvas", "pointerdown", width / 2, 3, buttons=1)
    assert page.frame in (24, 25)


def test_the_address_names_a_frame(opened):
    page = opened(example_poses(frames=9))
    page.run("location.hash = 'frame=6'")
    page.until("document.body.dataset.frame === '6'")
    page.run("location.hash = 'frame=99'")
    page.until("document.body.dataset.frame === '8'")


def test_the_view_follows_people_if_wanted(opened):
    poses = example_poses(people=1, frames=4)
    poses.root[:, 0] = (0, 1, 2, 3)
    page = opened(poses)
    page.click("[data-view=front]")

    def middle_after(frames):
        page.press("Home")
        for _ in range(frames):
            page.press("ArrowRight")
        picture = page.picture("space-canvas")
        left = (picture[..., :3] == (0xD5, 0x5E, 0)).all(axis=-1)
        return left.any(axis=0).nonzero()[0].mean()

    assert middle_after(2) - middle_after(0) > 200
    page.click("#follow")
    assert abs(middle_after(2) - middle_after(0)) < 5


def test_playing_ends_without_the_loop_and_goes_round_with_it(opened):
    page = opened(example_poses(frames=12))
    page.press("l")
    page.press("End")
    page.press("ArrowLeft")
    page.click("#play")
    page.until("!document.body.classList.contains('playing')")
    assert page.frame == 11
    page.press("l")
    page.press("]")
    assert page.run("return document.getElementById('speed').value") == "1.5"
    page.click("#play")
    page.until("Number(document.body.dataset.frame) < 11")
    page.until("Number(document.body.dataset.frame) === 11")
    page.until("Number(document.body.dataset.frame) < 11")


def test_people_are_drawn_in_both_panels_and_can_be_switched_off(opened):
    poses = example_poses()
    poses.keypoints[1::2, :, 0] += 150
    page = opened(poses)
    for canvas in ("space-canvas", "image-canvas"):
        for color in ("left", "right", "person-0", "person-1"):
            assert page.count(canvas, color) > 50, (canvas, color)
    page.click("#people li:nth-child(2) label")
    for canvas in ("space-canvas", "image-canvas"):
        assert page.count(canvas, "person-0") > 50
        assert page.count(canvas, "person-1") == 0
    page.click("#people li:nth-child(1) label")
    assert page.count("space-canvas", "left") == 0
    assert page.shown("#no-pose")


def test_the_view_turns_zooms_and_comes_back(opened):
    page = opened(example_poses())
    start = page.picture("space-canvas")
    before = start
    for kind in ("drag", "keys", "wheel", "front", "side", "top"):
        if kind == "drag":
            page.point("space-canvas", "pointerdown", 400, 300, buttons=1)
            page.point("space-canvas", "pointermove", 460, 320, buttons=1)
            page.point("space-canvas", "pointerup", 460, 320)
        elif kind == "keys":
            page.press("ArrowLeft", shiftKey=True)
        elif kind == "wheel":
            page.run(
                "document.getElementById('space-canvas').dispatchEvent("
                "new WheelEvent('wheel', {deltaY: 300, cancelable: true}))"
            )
        else:
            page.click(f"[data-view={kind}]")
        after = page.picture("space-canvas")
        assert (after != before).any(axis=-1).sum() > 1000, kind
        before = after
    page.press("0")
    np.testing.assert_array_equal(page.picture("space-canvas"), start)


def test_pointing_at_a_joint_names_it(opened):
    poses = example_poses(people=1, frames=2)
    page = opened(poses)
    page.click("[data-view=front]")
    # By hand: the left ankle is keypoint 6, at 0.2 m, 0.85 m below the pelvis.
    scale = page.run("return document.getElementById('image-canvas').clientWidth") / 640
    page.point("image-canvas", "pointermove", 320 * scale, 385 * scale)
    lines = page.text("#joint").splitlines()
    assert lines[0] == "left ankle"
    assert lines[1] == "image x 320.0, y 385.0 pixels"
    assert lines[2].startswith("x 0.20, y 0.00, z ")
    assert lines[3] == "confidence 0.75"
    assert page.shown("#joint")
    page.point("image-canvas", "pointermove", 5, 5)
    assert not page.shown("#joint")


def test_errors_are_those_that_numpy_finds(opened):
    poses = example_poses(people=1, frames=5)
    random = np.random.default_rng(0)
    truth = poses.poses + random.normal(scale=0.03, size=poses.poses.shape).astype(np.float32)
    page = opened(poses, truth=truth)
    errors = 1000 * np.nanmean(np.linalg.norm(poses.poses - truth, axis=-1)[:4], axis=1)
    for frame, error in enumerate(errors):
        assert page.text("#people output") == f"error {error:.0f} mm"
        assert page.frame == frame
        page.press("ArrowRight")
    assert page.text("#people output") == ""  # the last frame has no pose
    assert page.shown("#no-pose")
    assert f"mean error {errors.mean():.1f} mm" in page.text("#summary")
    assert page.text("#line-note").startswith("mean error of the joints, 0 to ")
    page.press("Home")
    assert page.count("space-canvas", "truth") > 50
    page.click("#legend-truth label")
    assert page.count("space-canvas", "truth") == 0


def test_frames_without_people_keep_their_time(opened):
    poses = example_poses(people=1, frames=4)
    poses = dataclasses.replace(
        poses,
        frame=np.array([3, 4, 9, 10]),
        header=poses.header.model_copy(update={"fps": None, "image_size": None}),
    )
    page = opened(poses)
    assert "8 frames" in page.text("#summary")
    assert "frame rate unknown, played at 25 frames per second" in page.text("#summary")
    assert page.text("#clock") == "frame 3 of 3\u201310"
    for frame, empty in ((4, False), (5, True), (6, True), (7, True), (8, True), (9, False)):
        page.press("ArrowRight")
        assert (page.frame, page.shown("#no-pose")) == (frame, empty)


def test_people_who_are_absurdly_far_away_stop_nothing(opened):
    poses = example_poses(frames=9)
    poses.root[::6] = 1e6
    page = opened(poses)
    page.press("ArrowRight")
    assert page.frame == 1
    assert page.count("space-canvas", "left") > 50


def test_one_frame_alone(opened):
    poses = example_poses(people=2, frames=1)
    page = opened(poses)
    assert page.run("return document.getElementById('play').disabled")
    assert not page.shown("#frame")
    page.press(" ")
    page.press("ArrowRight")
    assert page.frame == 0
    assert page.count("space-canvas", "left") > 50


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_narrow_windows_and_themes(opened, theme):
    page = opened(example_poses(), window=NARROW, theme=theme)
    assert page.run("return document.documentElement.scrollWidth") == 390
    places = [
        page.run("return document.getElementById(arguments[0]).getBoundingClientRect().top", name)
        for name in ("space", "image", "people")
    ]
    assert places == sorted(places) and places[1] - places[0] > 250
    picture = page.picture("space-canvas")
    across = page.run("return document.getElementById('space-canvas').clientWidth")
    assert picture.shape[1] == 2 * across  # as fine as the screen
    assert page.count("space-canvas", "left") > 50
    background = page.run("return getComputedStyle(document.body).backgroundColor")
    levels = [int(part) for part in background.removeprefix("rgb(").removesuffix(")").split(",")]
    assert (max(levels) < 60) == (theme == "dark") and (min(levels) > 200) == (theme == "light")


def test_the_picture_of_the_docs_can_be_taken(golden, tmp_path, monkeypatch):
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    script, page, picture = "scripts/draw_page.py", tmp_path / "page.html", tmp_path / "page.png"
    arguments = [script, golden / "e2e_tiny", "--out", page, "--picture", picture]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    runpy.run_path(str(ROOT / script), run_name="__main__")
    assert "ReachWave" in page.read_text("utf-8")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert 40_000 < picture.stat().st_size < 150_000
