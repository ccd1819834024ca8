"""What kind of question is this? Rules over the words of the query: no model call, no waiting, microseconds.

The rules read English. A query in another language is `UNKNOWN` (which the router treats with care) unless it holds
nothing but identifiers and quotations. Learned classifiers of queries stay far below an oracle (arXiv 2606.07587,
2505.12601), so that none is used; `tests/data/query_kinds.jsonl` holds the questions these rules are judged by.
"""

from __future__ import annotations

import re
from enum import StrEnum

from pyrlm.routers.language import is_english

__all__ = ["QueryKind", "classify_query"]


class QueryKind(StrEnum):
    """What an answer to the query takes.

    Attributes:
        LITERAL: Look-up of a fact whose words stand in the query or can be guessed: a name, a number, a date.
        SEMANTIC: Look-up by meaning: reasons, ways, consequences, in words that the query may not share.
        AGGREGATE: All of the text counts: how many, list all, compare, the most, before or after.
        CLASSIFY_EACH: A judgement on each of many entries.
        MULTI_HOP: One fact leads to the place of the next.
        SUMMARISE: The whole, shorter.
        UNKNOWN: None of these with any safety; other languages than English among them.
    """

    LITERAL = "literal"
    SEMANTIC = "semantic"
    AGGREGATE = "aggregate"
    CLASSIFY_EACH = "classify_each"
    MULTI_HOP = "multi_hop"
    SUMMARISE = "summarise"
    UNKNOWN = "unknown"


_MAX_CHARS = 2_000  # a longer query carries material; its question stands at one of its ends

_QUOTED = re.compile(r"\"[^\"\n]{1,300}\"|“[^”\n]{1,300}”|«[^»\n]{1,300}»|`[^`\n]{1,300}`|(?<!\w)'[^'\n]{1,300}'(?!\w)")
_IDENTIFIER = re.compile(
    r"\b(?:\w+\.\w+(?:\.\w+)*\(?\)?|\w+\(\)|[a-zA-Z]+_\w+|[a-z]+[A-Z]\w*|[A-Z][a-z]+[A-Z]\w*|[A-Z]{2,}[a-z]\w+"
    r"|[A-Za-z]+-?\d[\w-]*|\d{3,}|[A-Z]{2,}[ -]\d+)"
)
_PLACEHOLDER = "zzq"  # stands for a quotation or an identifier while the rules are read

_ASK = r"^(?:(?:please|pls|hey|hi|ok|so|now|and|just|kindly)[ ,]+|(?:can|could|would|will) (?:you|we) |(?:can|could|may) i (?:get|have|see) |(?:i (?:need|want|would like)|i'd like|let's have)(?: you)?(?: to| from you)? |help me (?:to )?)*"
_DO = _ASK + r"(?:(?:read|go through|look at|take) (?:\w+ ){1,3}and )?(?:please )?"
_EACH = r"(?:each|every|all)"


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


_SUMMARISE = _any(
    _DO
    + r"(?:briefly )?(?:summari[sz]e|sum up|sum (?:this|that|it|everything|all of it) up|recap|condense|outline|abridge|shorten|boil (?:\w+ ){1,3}down|paraphrase|digest)\b",
    _DO
    + r"(?:(?:give|write|provide|make|prepare|draft|produce|create|get|have|show)(?: me| us)? )?(?:an?|the|some)(?: [\w-]+){0,3} "
    r"(?:summary|overview|synopsis|recap|abstract|outline|digest|gist|run-?down|résumé|précis)\b",
    r",? in (?:short|brief|summary)\?*$",
    _DO
    + r"(?:explain|describe|state|identify) (?:\w+ )?(?:main|key|central|overall|general) (?:ideas?|points?|argument|thesis|message|theme|topic)\b",
    _DO
    + r"(?:give|tell|show|list|get|extract)(?: me| us)? (?:just |only )?the (?:main|key|central|major|most important) (?:points?|ideas?|themes?|takeaways?|findings|messages?|conclusions?)\b",
    r"^what (?:happens|happened|goes on|went on|was said|is said|was discussed|is covered) (?:in|during|at|on) (?:this|the) (?:\w+ )?(?:meeting|story|chapter|book|text|document|call|episode|novel|session|conversation|transcript|article|report)\?*$",
    r"^tl;? ?dr\b|^summary\b|\bin a nutshell\b|\bin broad strokes\b|\b(?:at|on) a high level\b|\bbroadly speaking\b",
    r"\bwhat(?:'s| is| are| was| were) the (?:\w+ )?(?:gist|upshot|essence|take-?aways?|synopsis)\b",
    r"\bwhat(?:'s| is| are| were) the (?:main|key|central|major|principal|most important|general|overall|core|chief) "
    r"(?:\w+ )?(?:points?|ideas?|themes?|arguments?|findings|takeaways|take-aways|topics?|conclusions?|messages?|thrust|lessons?)\b",
    r"\bwhat(?:'s| is) (?:this|it|the) ?(?:\w+ )?(?:all )?about\?*$",
    r"\b(?:tell me|say|describe|explain) (?:briefly|shortly|in short|in brief|in a few words|in \w+ (?:words|sentences))\b",
)
_CLASSIFY = _any(
    _DO
    + rf"(?:classify|categori[sz]e|label|tag|annotate|bucket|mark|flag|rate|score|grade|judge|sort|assign|allocate|attribute) (?:\w+ ){{0,2}}?{_EACH}\b",
    _DO + r"(?:classify|categori[sz]e|annotate|bucket|label|tag) (?:the|these|those|my|our)\b",
    rf"\b(?:for|go through|read|take|look at|on|to|of) {_EACH}\b(?: of)?(?: [\w-]+){{1,4}}[ ,].*\b(?:say|state|tell|decide|mark|determine|judge|give|assign|name|note|label|classify|whether|what type|what kind|which category)\b",
    _DO + r"(?:decide|determine|say|state|judge|check|identify|predict|detect)\b[^?]*\b(?:each|every)\b",
    _DO
    + r"(?:give|assign|put|attach|add)\b(?: [\w-]+){0,6}? (?:to |for |on )(?:each|every)\b|"
    + _DO
    + r"give (?:each|every)\b",
    r"\b(?:sentiment|topic|intent|category|label|class|tone|type|emotion|stance|language) (?:of|for) (?:each|every)\b",
    r"\b(?:which|what) (?:category|class|label|topic|type|bucket|group)\b.*\b(?:each|every)\b",
    r"^(?:is|are|does|do|was|were) (?:each|every)\b",
)
_AGGREGATE = _any(
    r"\bhow (?:many|often|frequently|much (?:\w+ ){0,3}(?:altogether|in total|overall|in all))\b",
    r"\bhow much .*\b(?:altogether|in total|overall|in all|combined)\b",
    r"\b(?:the|total|a|any) number of\b",
    r"\b(?:count|sum|average|mean|median|percentage|proportion|fraction|share|ratio|frequency|distribution|majority|total) of\b",
    r"\b(?:the|an?) (?:average|mean|median|mode)\b|\bon average\b|\b(?:what|which) (?:percentage|proportion|fraction|share|percent)\b|\bin total\b|\baltogether\b",
    _DO
    + r"(?:count|tally|total|add|sum|list|enumerate|compare|contrast|rank|sort|group|order|compute|calculate|aggregate)\b",
    _DO
    + r"(?:name|show|find|give|extract|collect|print|get|return|tell|identify|mention)(?: me| us)? (?:all|every|each)\b",
    r"\b(?:the )?(?:most|least|fewest) (?:often|frequent|frequently|common|commonly|[a-z]+s\b)|\bhas the (?:most|least|fewest)\b",
    r"\b(?:top|first|last|bottom) (?:\d+|three|five|ten|twenty)\b|\b(?:two|three|four|five|ten) most\b",
    r"^(?:which|who)\b.*\b(?:(?:the|came|comes|went|happened|arrived) )(?:long|short|high|low|large|small|old|young|new|earli|lat|big|great|cheap|heavi|fast|slow)\w*est\b",
    r"\b(?:came|happened|occurred|took place|arrived) (?:first|last|earlier|later|before|after)\b|\bin (?:what|which) order\b|\btime-?line\b|\bchronolog",
    r"^(?:what|which) (?:are )?(?:all|the (?:different|various))\b|^(?:what|which) \w+s (?:are|were|get) (?:\w+ )?(?:mentioned|listed|named|used|described|discussed|cited)\b",
    r"\b(?:most|least)\?*$|\btotal (?:amount|cost|count|sum|value|revenue|length|price|size|spend\w*|expen\w+)\b",
    r"^(?:is|are|was|were|did|does|do|has|have)\b.*\b(?:better|worse|\w{3,}er|more \w+|less \w+) than (?:the|in|before)\b",
    r"^(?:did|do|does|has|have|is|are)\b.*\b(?:increas|decreas|rise|rose|risen|fall|fell|grow|grew|drop|declin|improv|worsen|chang)(?:e|ed|es|en|ing|n|s|ped|ping)?\b",
    _DO + r"(?:give|make|write|provide|get|produce|create|show|compile)(?: me| us)? (?:a|the) (?:\w+ )?list of\b",
    r"\bbefore and after\b|\bover time\b|\bover the (?:years|months|weeks|course)\b|\bfrom (\w+) to \1\b|\bper (?:year|month|day|week|user|author|category)\b|\btrends?\b",
    r"\b(?:differences?|similarit\w+|overlap|comparison) between\b|\b(?:compared (?:to|with)|versus|vs\.?)(?: |$)",
    r"^(?:did|do|does|are|were|is|was|have|has)\b.*\b(?:more|fewer|larger|greater|smaller|less|higher|lower|longer)\b.*\b(?:than|or)\b",
    r"\b(?:distinct|unique|duplicates?)\b|\blast (?:\w+ )?(?:status|value|state|entry)\b.* (?:each|every)\b|\bmentioned? in all\b",
)
_WH = r"(?:who|what|which|where|when|whose|how old|how long|in (?:which|what) \w+|from which \w+)"
_VERB_CLAUSE = r"(?:who|that|which|whose|where|in which|with the \w+est|with the most)"
_NAMELIKE = r"(?:name|title|value|number|id|identifier|text|line|sentence|section|part|place|page|one|chapter|kind|type|sort|only)"
_ROLE = (
    r"(?:author|director|founder|ceo|president|king|queen|owner|manager|boss|employer|composer|inventor|writer|teacher"
    r"|brother|sister|mother|father|wife|husband|spouse|son|daughter|capital|birthplace|successor|predecessor|leader|architect|designer|builder|painter|landlord|partner"
    r"|editor|publisher|captain|chairman|chair|minister|mayor|winner|discoverer|translator|sponsor|parent|owners)"
)
_MULTI_HOP = _any(
    rf"^{_WH}\b.*\b(?:does|did) the {_ROLE} of (?:the |a |an )?[\w-]+ \w+",
    rf"^{_WH}\b.*\b(?:is|was|were|are) the {_ROLE} of (?:[\w-]+ ){{1,4}}(?:born|buried|educated|employed|based|raised|married|from)\b",
    rf"^{_WH}\b.*\bof the {_ROLE} of\b|^{_WH}\b.*\bof the {_ROLE} (?:who|that|whose)\b",
    rf"^(?!what(?:'s| is| was) the (?:\w+ )?{_NAMELIKE} of )(?!(?:which|what) (?:is|are|was) the \w+ (?:that|which|who)\b){_WH}\b.*\b(?:of|by|for|from|to|is|was|in|did|does|has|have|succeeded|replaced|taught|with) (?:the|a|an) (?:[\w-]+ ){{1,3}}{_VERB_CLAUSE} (?!is it\b)\w+",
    rf"^(?:find|name|tell me|give me|show|identify)\b.*\b(?:of|treated|for|by) the \w+ {_VERB_CLAUSE} \w+",
    rf"^{_WH}\b.*\bof the (?!{_NAMELIKE}\b)[\w-]+ (?:that|who|which)? ?(?:of|by|in) (?:the|a)\b.*\b(?:of|that|who)\b",
    r"^(?:who|what|which|where|when|find|name|in)\b.*\b(?:of|at|by) the \w+ (?:\w+ )?(?:of|at) the \w+(?: \w+)? (?:of|at|by|in|which|who|that)\b",
    r"^the \w+ (?:who|that|which)\b.*\b(?:which|what|where|when|who)\b",
    r"^(?:find|give|name|tell|who|what|which|where|when)\b.*\b(?:employer|spouse|wife|husband|brother|sister|mother|father|son|daughter|manager|boss|successor|predecessor|birthplace|teacher|author|director|founder|ceo|capital) of the (?:brother|sister|mother|father|wife|husband|son|daughter|manager|boss|author|director|founder|ceo|country|person|man|woman|parent|composer|teacher|last|company)\b",
    r"^(?:who|what|which|where|when)\b.*\b\w+'s (?:\w+ )?(?:grand)?(?:father|mother|brother|sister|wife|husband|teacher|boss|manager|son|daughter|author|director|founder|parents?)\b.*\b(?:did|win|born|live|study|work|grew|attend)\b",
    r"^(?:who|what|which|where|when)\b.*\b(?:through|in|of|at|to) the (?:birthplace|hometown|home town|employer|successor|predecessor|headquarters|capital) of\b",
    r"^(?:is|are|was|were|does|did)\b.*\bthat \w+ the same\b",
)
_SEMANTIC = _any(
    r"^(?:why|how come|explain|describe|discuss|elaborate|interpret)\b|\bwhy (?:did|does|do|is|are|was|were|would|should|can)\b",
    r"^(?:and |so |but )?how (?:do|does|did|can|could|should|would|will|is|are|was|were|to|has|have|might|must)\b",
    r"\bwhat (?:happens|happened|would happen|will happen|if)\b|\bunder (?:what|which) (?:circumstances|conditions)\b|\bin what (?:way|sense)\b",
    r"^(?!do (?:your|it|this|that|so)\b)(?:do|does|did|is|are|was|were|can|could|may|must|should|would|will|has|have|am)\b",
    r"^what (?:should|must|can|could|may|do|would) (?:i|we|you|one|they|users?|people|someone|a \w+)\b",
    r"^what (?:is|was) meant by\b",
    r"\bwhat (?:does|do|did) .*\b(?:find|consider|conclude|expect|intend|complain|worry|criticise|dislike|like|think|believe|feel|argue|say|imply|suggest|claim|want|hope|fear|advise|recommend|propose)\b",
    r"^(?:what|which) (?:\w+ )?(?:makes?|made|motivates?|motivated|drives?|drove|causes?|caused|leads?|led|prevents?|prevented|concerns?|advice|arguments?|lessons?|objections?|criticisms?|problems?|steps|options|risks|benefits|effects?|evidence|reasons?|explanations?)\b",
    r"\bwhat(?:'s| is| are| was| were) the (?:\w+ )?(?:purpose|reasons?|rationale|idea|point|meaning|significance|role|relationship|consequences?|effects?|impact|implications?|cause|motivation|intention|attitude|mood|tone|advantages?|disadvantages?|difference|drawbacks?|risks?|benefits?|concept|logic|intuition|trade-?offs?|problem|conditions|requirements|best way|right way|procedure|process|steps)\b",
    r"\b(?:feels?|felt|turns? (?:hostile|sour|sad|angry)|betrayed|seems? to)\b",
)
_LITERAL = _any(
    r"^(?:and |so )?(?:who|whom|whose|when|where|which|what|what's|who's|where's|how long|how old|how tall|how big|how high|how far|how much)\b",
    r"^(?:in|on|at|by|from|to|under|for|since|until) (?:what|which|whom)\b",
    _DO
    + r"(?:find|look up|locate|show|quote|give|tell|get|search|print|return|extract|look for|fetch|name|cite|retrieve|point)\b",
    r"\b(?:number|address|name|date|version|port|id|code|title|phone|email|e-mail)\b",
)
_OTHER_TASKS = _any(
    _DO
    + r"(?:translate|write|rewrite|fix|correct|convert|refactor|generate|invent|draft|suggest|pretend|act|make|turn|add|improve|edit|compose|create|implement|continue|play|change|remove|delete|replace|format|reformat|imagine|proofread|polish)\b",
    r"^(?:hello|hi|hey|thanks|thank you|ok|okay|yes|no|hm+|good|great|sure|what would you|how are you|who are you)\b",
)
_ORDER = (
    (_SUMMARISE, QueryKind.SUMMARISE),
    (_CLASSIFY, QueryKind.CLASSIFY_EACH),
    (_OTHER_TASKS, QueryKind.UNKNOWN),
    (_MULTI_HOP, QueryKind.MULTI_HOP),
    (_AGGREGATE, QueryKind.AGGREGATE),
    (_SEMANTIC, QueryKind.SEMANTIC),
    (_LITERAL, QueryKind.LITERAL),
)


def classify_query(query: str) -> QueryKind:
    """Name the kind of `query` by rules; the first that matches decides.

    Quotations and identifiers are read as one opaque word each, so that what stands inside them sets no rule off.
    """
    text = " ".join(query.split())
    if len(text) > _MAX_CHARS:
        text = text[: _MAX_CHARS // 2] + " " + text[-_MAX_CHARS // 2 :]
    masked = _IDENTIFIER.sub(_PLACEHOLDER, _QUOTED.sub(_PLACEHOLDER, text))
    words = re.findall(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?", masked)
    if words and all(word == _PLACEHOLDER for word in words):
        return QueryKind.LITERAL
    if not is_english([word for word in words if word != _PLACEHOLDER]):
        return QueryKind.UNKNOWN
    plain = masked.lower().replace("\u2019", "'")
    return next((kind for rule, kind in _ORDER if rule.search(plain)), QueryKind.UNKNOWN)
