"""Kinds of text that token counts differ on: made here, or from the standard library, so that they need no download."""

from __future__ import annotations

import base64
import json
import pydoc_data.topics
import random
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

SEEDS = {
    "chinese": "语言模型把文本变成记号。今天天气很好,我们去公园散步,然后在图书馆读了三个小时的书。政府公布了新的经济数据,"
    "专家认为明年的增长会放缓。她打开窗户,听见远处传来孩子们的笑声。",
    "japanese": "言語モデルは文章をトークンに分けます。今日は天気がいいので、公園を散歩してから図書館で本を読みました。"
    "政府は新しい経済統計を発表し、専門家は来年の成長が鈍化すると見ています。彼女は窓を開けて、子どもたちの声を聞いた。",
    "korean": "언어 모델은 문장을 토큰으로 나눕니다. 오늘은 날씨가 좋아서 공원을 산책하고 도서관에서 책을 읽었습니다. "
    "정부는 새로운 경제 지표를 발표했고 전문가들은 내년 성장이 둔화될 것으로 보고 있습니다. ",
    "russian": "Языковая модель делит текст на части. Сегодня хорошая погода, поэтому мы гуляли в парке, а потом читали в "
    "библиотеке. Правительство опубликовало новые данные об экономике, и эксперты ожидают замедления роста. ",
    "arabic": "يقسم النموذج اللغوي النص إلى أجزاء. الطقس جميل اليوم، لذلك مشينا في الحديقة ثم قرأنا في المكتبة. نشرت الحكومة "
    "بيانات اقتصادية جديدة، ويتوقع الخبراء أن يتباطأ النمو في العام القادم. ",
    "hindi": "भाषा मॉडल पाठ को टुकड़ों में बाँटता है। आज मौसम अच्छा है, इसलिए हम बगीचे में घूमे और फिर पुस्तकालय में पढ़ते रहे। "
    "सरकार ने नए आर्थिक आँकड़े जारी किए और विशेषज्ञों को लगता है कि अगले साल वृद्धि धीमी होगी। ",
    "german": "Das Sprachmodell zerlegt den Text in Stücke. Heute ist schönes Wetter, deshalb gingen wir im Park spazieren "
    "und lasen danach in der Bibliothek. Die Regierung veröffentlichte neue Wirtschaftszahlen. ",
}


def vocabulary_folder() -> str:
    """Return tiktoken's cache folder as the wheel of llama-index-core carries it."""
    return str(distribution("llama-index-core").locate_file("llama_index/core/_static/tiktoken_cache"))


@cache
def kinds(size: int) -> dict[str, str]:
    """Return about `size` characters of each kind."""
    chance = random.Random(5)
    words = {name: _shuffled(seed, size, chance) for name, seed in SEEDS.items()}
    library = Path(json.__file__).parent.parent
    noise = chance.randbytes(size)
    rows = [
        [chance.randint(0, 10**9), round(chance.random() * 100, 2), chance.choice("abc")] for _ in range(size // 18)
    ]
    records = [{"id": row[0], "name": f"n{row[1]}", "tags": ["red", "new"], "ok": True} for row in rows]
    emoji = "".join(chr(chance.randint(0x1F600, 0x1F64F)) + chance.choice(["", " "]) for _ in range(size // 2))
    found = {
        "english": " ".join(pydoc_data.topics.topics.values()),
        "code": "".join(path.read_text("utf-8") for path in sorted(library.glob("[a-f]*.py"))),
        **words,
        "base64": base64.b64encode(noise).decode(),
        "hex": noise.hex(),
        "numbers": " ".join(str(row[0]) for row in rows),
        "csv": "\n".join(",".join(map(str, row)) for row in rows),
        "table": "\n".join(f"{'yes':30}{row[2]:50}{row[0] % 100:>20}" for row in rows),
        "json": json.dumps(records, separators=(",", ":")),
        "emoji": emoji,
        "log": "\n".join(
            f"2026-11-{row[0] % 28 + 1:02} 10:{row[0] % 60:02} INFO worker took {row[1]} ms" for row in rows
        ),
    }
    return {name: (text * (size // len(text) + 1))[:size] for name, text in found.items()}


def _shuffled(seed: str, size: int, chance: random.Random) -> str:
    """Mix a seed's sentences and words, so that the text isn't one period repeated."""
    parts = seed.split(" ") if seed.count(" ") > 5 else [seed[at : at + 6] for at in range(0, len(seed), 6)]
    joint = " " if seed.count(" ") > 5 else ""
    mixed: list[str] = []
    while sum(map(len, mixed)) < size:
        chance.shuffle(parts)
        mixed.append(joint.join(parts) + joint)
    return "".join(mixed)
