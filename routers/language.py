"""Is this text English? By its small words: enough for a query, and never sure where it has no reason to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["is_english"]

_ENGLISH = frozenset(
    """
    a than been because into after before during across only such then one two three need get mean meant
    the what which who whom whose where when why how does did is are was were been has have had of and to from with
    on in at an as or no so do be he she will over also here out up who's what's much many first last
    this that these those there their they them it its for by about between each every all any some if whether would
    should could can may must not please me my you your i we our let's
    """.split()  # noqa: SIM905 - a block of words reads better than forty strings
)
_OTHERS = frozenset(
    """
    el la los las un una unos unas del al de que qué quién cuál cuáles cuántas cuántos cuántos cómo dónde cuándo por
    para con sin se su sus es son está en y o no lo cada todos todas
    le les des du au aux et est sont dans pour avec sans sur ce cette ces qui quoi quel quelle quels quelles combien
    comment pourquoi où quand il elle ils elles ne pas fais chaque tous toutes
    der die das den dem des ein eine einen einer und ist sind war waren im vom zum zur von mit für auf aus bei nach wie
    viele was wer wo wann warum welche welcher welches nicht oder jede jeder jedes alle wenn steht gibt
    il lo gli i uno una della dello dei delle degli nel nella che cosa chi quale quali quanti quante perché dove quando
    come è sono con tutti tutte ogni
    os as um uma do has can any is of by will was over dos das no na nos nas em não quem qual quais quantos quantas onde todos
    het een van en op te zijn niet wat wie waar wanneer waarom hoe hoeveel welke er dat deze dit
    och att som är på av för med inte den det hur många vad vem var när varför vilka vilken
    og hvor mange hvad hvem hva hvordan hvorfor ikke til fra på
    ja on ei mitä miksi miten kuka missä kuinka monta
    i w z na do nie jest są ile razy dlaczego gdzie kiedy jak co kto jaki jaka który która się
    a v je jsou kolik proč kde kdy kdo co jaký která který si
    ve bir bu ne kaç neden nerede kim için ile mi
    apa siapa berapa bagaimana mengapa kapan di yang dan ini itu dalam dari untuk dengan adalah
    có bao nhiêu là gì ai ở đâu khi nào tại sao của và trong những các
    și este sunt câte câți unde când cine ce cum pentru din cu
    és egy az hány miért hol mikor ki hogyan
    """.split()  # noqa: SIM905
)
# Words that stand in both lists prove nothing either way.
_SHARED = _ENGLISH & _OTHERS
_COMMANDS = frozenset(
    """
    tldr tl recap outline condense annotate enumerate hello thanks summarise summarize summary explain describe classify
    categorise categorize identify translate write rewrite suggest provide put assign tell count compare
    """.split()  # noqa: SIM905
)
# A first word that other languages have too ("Find", "Tag", "Name") speaks for English only beside an English word.
_WEAK_COMMANDS = frozenset(
    """
    find list name give tag rate fix label score total show sort rank make draft get quote
    """.split()  # noqa: SIM905
)
_ELISIONS = tuple(
    f"{start}{mark}"
    for start in ("l", "d", "s", "n", "j", "c", "m", "qu", "dell", "nell", "all", "un")
    for mark in ("'", "\u2019")
)
_LATIN_END = 0x250
_LATIN_EXTENDED = range(0x1E00, 0x1F00)
_MAX_FOREIGN_LETTERS = 0.3


def is_english(words: Sequence[str]) -> bool:
    """Whether `words` are English beyond doubt.

    It takes at least one word that only English has, and more of those than of words that only other languages have;
    words with letters that English lacks speak against it unless they are names (capitalised, not first).
    """
    letters = "".join(words)
    if not letters:
        return False
    if sum(not _is_latin(letter) for letter in letters) > _MAX_FOREIGN_LETTERS * len(letters):
        return False
    lowered = [word.lower() for word in words]
    ours = sum(word in _ENGLISH and word not in _SHARED for word in lowered) + (lowered[0] in _COMMANDS)
    ours += lowered[0] in _WEAK_COMMANDS and any(word in _ENGLISH - _SHARED for word in lowered)
    theirs = sum(word in _OTHERS and word not in _SHARED for word in lowered)
    theirs += sum(word.startswith(_ELISIONS) for word in lowered)
    theirs += sum(not word.isascii() and not (place and word[0].isupper()) for place, word in enumerate(words))
    return ours > theirs


def _is_latin(letter: str) -> bool:
    return ord(letter) < _LATIN_END or ord(letter) in _LATIN_EXTENDED
