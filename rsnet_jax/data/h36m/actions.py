"""The 15 actions of Human3.6M, and the spellings of their names that files have."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from rsnet_jax.errors import quote

ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases"),
    *("Sitting", "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether"),
)
CLIPS_PER_ACTION, CLIPS = 2, 30
"""Each subject was recorded twice in each action."""
ALIASES = {
    "takingphoto": "Photo",
    "walkingdog": "WalkDog",
    "walkingtogether": "WalkTogether",
}
"""Spellings of the original files, in lower case -> the usual name."""
_KNOWN = {action.lower(): action for action in ACTIONS} | ALIASES


def usual_name(name: str) -> str:
    """The usual spelling of a clip's name: "Photo 1" for "TakingPhoto 1", "photo_1" or "Photo1".

    Names of actions that Human3.6M does not have stay as they are.
    """
    found = re.fullmatch(r"([A-Za-z _-]*[A-Za-z])[ _-]*(\d*)", name)
    if found is None:
        return name
    action = _KNOWN.get(re.sub(r"[ _-]", "", found[1]).lower())
    if action is None:
        return name
    return f"{action} {found[2]}".rstrip()


def strange_actions(actions: Iterable[str]) -> list[str]:
    """The actions that Human3.6M does not have, if it has others of them."""
    actions = list(dict.fromkeys(actions))
    unknown = [action for action in actions if action not in ACTIONS]
    return unknown if len(unknown) < len(actions) else []


def missing_clips(clips: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yields what each subject lacks of the 30 clips of Human3.6M.

    Nothing is said of a set that has other actions, or more clips of one, and of subjects that have
    no clips at all.

    Args:
        clips: subject -> names of its clips.
    """
    counts = {
        subject: Counter(name.split(" ")[0] for name in names) for subject, names in clips.items()
    }
    if any(
        action not in ACTIONS or count > CLIPS_PER_ACTION
        for found in counts.values()
        for action, count in found.items()
    ):
        return
    for subject, found in counts.items():
        lacking = {
            action: CLIPS_PER_ACTION - found[action] - ((subject, action) == ("S11", "Directions"))
            for action in ACTIONS
        }
        lacking = {action: count for action, count in lacking.items() if count > 0}
        if found and sum(lacking.values()) > CLIPS / 2:
            yield f"{quote(subject)} has {sum(found.values())} of the {CLIPS} clips of Human3.6M"
        elif found and lacking:
            each = ", ".join(f"{count} {action}" for action, count in lacking.items())
            yield (
                f"{quote(subject)} lacks {sum(lacking.values())} of the {CLIPS} clips of Human3.6M "
                f"({each})"
            )
