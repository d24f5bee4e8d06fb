"""Edits of YAML files that keep comments, order and quotes."""

import io
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from hourglass.core.errors import UserError, one_line


def edited_yaml(path: Path, change: Callable[[CommentedMap], None], header: str = "") -> str:
    """Return the text of a YAML file after `change` of its mapping; the file is not written.

    If the file does not exist or is empty, the mapping is empty and begins with the comment
    `header`. Raises a UserError for invalid YAML.
    """
    editor = YAML()
    editor.width, editor.preserve_quotes = 100, True
    editor.indent(mapping=2, sequence=4, offset=2)
    try:
        document = editor.load(path) if path.exists() else None
    except YAMLError as error:
        raise UserError(f"{path.as_posix()} is not valid YAML: {one_line(error)}.") from None
    if document is None:
        document = CommentedMap()
        if header:
            document.yaml_set_start_comment(header)
    change(document)
    text = io.StringIO()
    editor.dump(document, text)
    return text.getvalue()
