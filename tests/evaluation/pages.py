"""A tree of HTML elements, built with the parser of the standard library."""

from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"meta", "br", "img", "input", "wbr"}


class Node:
    """An HTML element: tag, attributes, and its text and elements in order."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes = tag, attributes
        self.content: list[Node | str] = []

    @property
    def children(self) -> list["Node"]:
        return [part for part in self.content if isinstance(part, Node)]

    @property
    def text(self) -> str:
        """Return the text with collapsed white space."""
        parts = (part.text if isinstance(part, Node) else part for part in self.content)
        return " ".join(" ".join(parts).split())

    def all(self, *tags: str) -> Iterator["Node"]:
        """Yield the descendants with these tags, or all of them without tags, in order."""
        for child in self.children:
            if not tags or child.tag in tags:
                yield child
            yield from child.all(*tags)

    def by_id(self, name: str) -> "Node":
        (node,) = (node for node in self.all() if node.attributes.get("id") == name)
        return node


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(self.open[-1].children[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {key: value or "" for key, value in attrs})
        self.open[-1].content.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)


def parse(page: str) -> Node:
    """Return the root of a page; raise if an element is not closed."""
    builder = _Builder()
    builder.feed(page)
    (root,) = builder.open
    return root
