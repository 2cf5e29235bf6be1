"""tyro's error boxes as one line in the words of this package.

tyro frames its messages: a title, a rule, the message, rules around hints.
"""

import re

from rsnet_jax.errors import shown

RULE = re.compile(r"^\s*[-─]{5,}\s*$")
_FRAME = re.compile(r"[│╭╮╰╯]")

_UNKNOWN = re.compile(r"^Unrecognized options: (.*)")
_CHOICE = re.compile(r"^invalid choice '(.*)' for argument '(\S+)'\. Expected one of \((.*)\) ?\.")
_INVALID = re.compile(r"^Error parsing (\S+): .*?(?:\['(.*?)'\]|: '(.*)'$)")
_MISSING = re.compile(r"^Missing value for argument '(\S+)'")
_TYPE = re.compile(r"no type matching \{None\}\|(\w+)|literal for (int)\(\)|to (float)")
_ALSO = re.compile(r"no type matching [^ ]*\{(?!None\})([\w,-]+)\}")
_TYPES = {"INT": "a whole number", "int": "a whole number", "FLOAT": "a number"}


def readable_complaint(complaint: str) -> str:
    """The message of an error box in one line, with tyro's first suggestion if there is one."""
    blocks: list[list[str]] = [[]]
    for line in complaint.splitlines():
        line = _FRAME.sub("", line)
        if RULE.match(line):
            blocks.append([])
        elif line.strip():
            blocks[-1].append(line.strip())
    messages = [" ".join(block) for block in blocks if block]
    text = plain_words(messages[1] if len(messages) > 1 else "".join(messages))
    for message in messages:
        if match := re.search(r"Perhaps you meant:? *(--\S+)", message):
            text += f" (perhaps {match.group(1)}?)"
            break
    return text or "the command line was not understood; try --help"


def plain_words(message: str) -> str:
    """A message of tyro in the words of this package: the option, what was wanted, what came."""
    if match := _UNKNOWN.match(message):
        return f"not understood: {match.group(1).replace(', ', ' ')}; --help lists the options"
    if match := _CHOICE.match(message):
        came, option, choices = match.groups()
        wanted = [choice.strip(" '") for choice in choices.split(",")]
        wanted = ", ".join(choice for choice in wanted if choice not in ("", "None"))
        return f"{option}: one of {wanted} was wanted, not {shown(came)}"
    if match := _INVALID.match(message):
        option, came = match.group(1), match.group(2) or match.group(3)
        kind = _TYPE.search(message)
        wanted = _TYPES.get(next(filter(None, kind.groups()), "") if kind else "", "a number")
        if match := _ALSO.search(message):
            wanted = f"{match.group(1).replace(',', ', ')} or {wanted}"
        return f"{option}: {wanted} was wanted, not {shown(came)}"
    if match := _MISSING.match(message):
        return f"{match.group(1)}: a value was wanted after it"
    return message
