"""From the names in a checkpoint to those of a network: prefixes that wrappers leave, and those that a head adds.

A network that was trained inside a wrapper has ``module.`` or ``model.`` before its names; a bare encoder lacks the
prefix that it has inside a network with a head (``embeddings.weight`` of a BertModel is ``bert.embeddings.weight`` of a
classifier).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.checkpoints.renaming import renamed
from search.errors import InvalidInputError

Shape = tuple[int, ...]

# Chains of stripped prefixes that are tried, shortest first; real checkpoints need two or three.
MAX_CHAINS = 32
NO_PREFIX = ""


@dataclass(frozen=True, slots=True)
class NamingRule:
    """Prefixes to strip one after the other, then one to add where that gives a name of the network."""

    stripped: tuple[str, ...] = ()
    added: str = NO_PREFIX

    def in_words(self) -> list[str]:
        """One phrase for each thing done."""
        words = [f"stripped {prefix!r}" for prefix in self.stripped]
        return [*words, f"added {self.added!r}"] if self.added else words


@dataclass(frozen=True, slots=True)
class Naming:
    """Which tensor of a checkpoint is which of a network.

    Attributes:
        rule: What was done to all names but those that the user's renaming led into the network.
        names: New names by those in the checkpoint, all of them.
        renamed: How many names the user's renaming changed.
        published: How many names the network's family knew as those of published files.
    """

    rule: NamingRule
    names: Mapping[str, str]
    renamed: int
    published: int = 0


@dataclass(frozen=True, slots=True)
class NamingOptions:
    """What may be done to names.

    Attributes:
        strip_prefixes: Prefixes that may be taken away, repeatedly.
        rename: The user's own patterns; they go first.
        field: Where the weights stood in the spec; options are its children.
        published: What the network calls tensors that published files call otherwise, as its family knows.
    """

    strip_prefixes: Sequence[str]
    rename: Mapping[str, str]
    field: str
    published: Callable[[Collection[str]], Mapping[str, str]] = lambda _: {}


def match_names(
    given: Mapping[str, Shape],
    wanted: Mapping[str, Shape],
    aliases: Mapping[str, str],
    options: NamingOptions,
) -> Naming:
    """Find the rule under which most tensors fit.

    First the user's renaming, then what the family knows; a name that these lead into the network stays.  All others
    go through one rule: the one
    that gives most tensors of the network with their shapes, of these the one that gives most of them by name, then the
    one with the fewest clashes, the fewest prefixes stripped, the shortest one added; at last the order of
    ``strip_prefixes`` and of the alphabet.

    Args:
        given: Shapes in the checkpoint.
        wanted: Shapes in the network's state, tied tensors under every name.
        aliases: First name of each tied tensor by its other names.
        options: What may be done.

    Raises:
        InvalidInputError: Two tensors get one name, or a renaming leads nowhere.
    """
    users = renamed(given, options.rename, f"{options.field}.rename")
    own = dict(users)
    final = {name for name, new in own.items() if new in wanted}
    left = [own.get(name, name) for name in given if name not in final]
    known = {
        old: new
        for old, new in options.published(left).items()
        if new in wanted and old not in wanted
    }
    own |= {name: known[own.get(name, name)] for name in given if own.get(name, name) in known}
    final |= {name for name, new in own.items() if new in wanted}
    fixed = {own[name]: given[name] for name in final}
    free = {own.get(name, name): shape for name, shape in given.items() if name not in final}
    trial = _Trial(wanted, aliases, fixed, free)
    rule = trial.best_rule(options.strip_prefixes)
    names = {
        name: own[name] if name in final else trial.applied(rule, own.get(name, name))
        for name in given
    }
    _check_renaming(users, names, wanted, options)
    _check_apart(names, wanted, options)
    return Naming(rule, names, len(users), len(known))


class _Trial:
    """Trying rules on the names that the user's renaming did not settle."""

    def __init__(
        self,
        wanted: Mapping[str, Shape],
        aliases: Mapping[str, str],
        fixed: Mapping[str, Shape],
        free: Mapping[str, Shape],
    ) -> None:
        self._wanted, self._aliases, self._fixed, self._free = wanted, aliases, fixed, free
        self._prefixes_before: dict[str, list[str]] = {}
        for name in wanted:
            for place in (i + 1 for i, character in enumerate(name) if character == "."):
                self._prefixes_before.setdefault(name[place:], []).append(name[:place])

    def applied(self, rule: NamingRule, name: str) -> str:
        """The name after a rule; the prefix is added only where that gives a name of the network."""
        for prefix in rule.stripped:
            name = name.removeprefix(prefix)
        if rule.added and name not in self._wanted and rule.added + name in self._wanted:
            return rule.added + name
        return name

    def best_rule(self, prefixes: Sequence[str]) -> NamingRule:
        """The rule that ``match_names`` describes."""
        complete = len({self._first_name(name) for name in self._wanted})
        best, best_score = NamingRule(), (-1, -1, 0)
        for chain, stripped in _chains(list(self._free), prefixes):
            for added in (NO_PREFIX, *self._likely_prefixes(stripped)):
                rule = NamingRule(chain, added)
                score = self._score(rule)
                # Only what is truly better replaces a simpler rule, which came before.
                if score > best_score:
                    best, best_score = rule, score
                if score == (complete, complete, 0):
                    return rule
        return best

    def _likely_prefixes(self, names: Iterable[str]) -> list[str]:
        """The prefixes that give most names of the network, shortest first; a few, since one is right."""
        counts = Counter(
            prefix
            for name in names
            if name not in self._wanted
            for prefix in self._prefixes_before.get(name, ())
        )
        likely = sorted(counts, key=lambda prefix: (-counts[prefix], len(prefix), prefix))[:3]
        return sorted(likely, key=lambda prefix: (len(prefix), prefix))

    def _score(self, rule: NamingRule) -> tuple[int, int, int]:
        """Tensors of the network with their name and shape, those with their name, minus the clashes."""
        named, clashes = set(self._fixed), 0
        fitting = {name for name, shape in self._fixed.items() if self._wanted[name] == shape}
        for name, shape in self._free.items():
            new = self.applied(rule, name)
            if new not in self._wanted:
                continue
            clashes += new in named
            named.add(new)
            if shape == self._wanted[new]:
                fitting.add(new)
        return (
            len({self._first_name(name) for name in fitting}),
            len({self._first_name(name) for name in named}),
            -clashes,
        )

    def _first_name(self, name: str) -> str:
        return self._aliases.get(name, name)


def _chains(
    names: Sequence[str], prefixes: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Prefixes to strip one after the other, shortest chains first, and the names after each."""
    waiting: list[tuple[tuple[str, ...], list[str]]] = [((), list(names))]
    for place in range(MAX_CHAINS):
        if place == len(waiting):
            return
        chain, stripped = waiting[place]
        yield chain, stripped
        for prefix in prefixes:
            if len(waiting) < MAX_CHAINS and any(name.startswith(prefix) for name in stripped):
                rest = [name.removeprefix(prefix) for name in stripped]
                waiting.append(((*chain, prefix), rest))


def _check_renaming(
    own: Mapping[str, str],
    names: Mapping[str, str],
    wanted: Collection[str],
    options: NamingOptions,
) -> None:
    """Refuse a renaming that leads no tensor into the network: it was meant to."""
    if own and not any(names[name] in wanted for name in own):
        raise InvalidInputError(
            f"{options.field}.rename",
            f"a map to {next(iter(own.values()))!r}, which is no name in the network",
            f"a map to names in the network, such as {', '.join(sorted(wanted)[:3])}",
        )


def _check_apart(names: Mapping[str, str], wanted: Collection[str], options: NamingOptions) -> None:
    """Refuse two tensors that both would be one of the network's."""
    owners: dict[str, str] = {}
    for name, new in names.items():
        if new in owners and new in wanted:
            raise InvalidInputError(
                f"{options.field}.path",
                f"a checkpoint in which both {owners[new]} and {name} are {new}",
                "one tensor of each name: leave one out, tell them apart with rename, or set strip_prefixes to []",
            )
        owners[new] = name
