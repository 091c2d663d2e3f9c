"""Files in other encodings than UTF-8 come out right, or with a warning that shows the guess."""
# ruff: noqa: E501 (lines of full-width characters)

import csv
import gzip
import json
import logging
import random
from pathlib import Path

import pytest

from qa_lightning.errors import InputError
from qa_lightning.examples import load_examples

SENTENCES = {
    "gb18030": "中华人民共和国的首都是北京。谁创办了这家公司？长江是中国最长的河流，全长六千三百公里。"
    "他于一九二一年出生在上海的一个商人家庭。大学成立于一八九八年，是中国第一所国立大学。",
    "gbk": "请问该博物馆收藏了多少件文物？这座城市位于河流的北岸，人口约三十万。公司的总部设在广州市。",
    "big5": "臺灣的首都是臺北市。誰創辦了這家公司？長江是中國最長的河流，全長六千三百公里。"
    "他於一九二一年出生在上海的一個商人家庭。請問該博物館收藏了多少件文物？",
    "shift_jis": "日本の首都は東京です。誰がこの会社を設立しましたか。彼は上海の商人の家に生まれた。"
    "その大学は一八九八年に設立された。博物館にはいくつの展示品がありますか？",
    "euc_jp": "日本の首都は東京です。誰がこの会社を設立しましたか。彼は上海の商人の家に生まれた。"
    "その大学は一八九八年に設立された。博物館にはいくつの展示品がありますか？",
    "euc_kr": "대한민국의 수도는 서울이다. 누가 이 회사를 설립했습니까? 그는 상인 가정에서 태어났다. "
    "이 대학교는 십구세기에 설립되었다. 박물관에는 몇 점의 유물이 있습니까?",
    "cp1251": "Столица России — Москва. Кто основал эту компанию? Он родился в семье купца. "
    "Университет был основан в девятнадцатом веке. Сколько экспонатов хранится в музее?",
    "cp1253": "Η πρωτεύουσα της Ελλάδας είναι η Αθήνα. Ποιος ίδρυσε την εταιρεία; Γεννήθηκε στη "
    "Θεσσαλονίκη σε οικογένεια εμπόρων. Ο ποταμός έχει μήκος τριακόσια χιλιόμετρα.",
    "cp1256": "عاصمة مصر هي القاهرة. من أسس الشركة؟ ولد في الإسكندرية لعائلة من التجار. تأسست الجامعة "
    "في القرن التاسع عشر. كم عدد القطع في المتحف؟",
    "cp1252": "São Paulo é a maior cidade do país. Quem fundou a empresa? Não há água na região. O rio "
    "nasce na serra e deságua no oceano, após trezentos quilômetros. Ele estudou em Évora.",
    "latin_1": "Die Universität wurde in München gegründet. Wer gründete die Gesellschaft? Die Straße "
    "führt über die Brücke. Größer als Köln ist nur Berlin. Er starb in Österreich.",
    "iso8859_9": "Türkiye'nin başkenti Ankara'dır. Şirketi kim kurdu? Irmağın uzunluğu üç yüz "
    "kilometredir. İstanbul'da bir tüccar ailesinde doğdu. Müzede kaç eser sergileniyor?",
    "cp1250": "Stolicą Polski jest Warszawa, a największą rzeką Wisła. Kto założył tę firmę? Urodził "
    "się w Krakowie w rodzinie kupieckiej. Źródło rzeki leży w górach, na wysokości trzystu metrów.",
    "iso8859_2": "Stolicą Polski jest Warszawa, a największą rzeką Wisła. Kto założył tę firmę? Urodził "
    "się w Krakowie w rodzinie kupieckiej. Źródło rzeki leży w górach, na wysokości trzystu metrów.",
    "koi8_r": "Столица России - Москва. Кто основал эту компанию? Он родился в семье купца. "
    "Университет был основан в девятнадцатом веке. Сколько экспонатов хранится в музее?",
}


def rows_of(text: str, number: int, seed: int) -> list[dict[str, object]]:
    """Return rows whose contexts are sentences of a language in random order."""
    rng = random.Random(seed)
    ends = "。？" if any(end in text for end in "。？") else ".?;"
    for end in ends:
        text = text.replace(end, f"{end}\n")
    sentences = [sentence.strip() for sentence in text.split("\n") if sentence.strip()]
    rows = []
    for index in range(number):
        context = " ".join(rng.sample(sentences, len(sentences)))
        answer = context[3 : 3 + rng.randint(2, 9)].strip()
        gold = {"text": [answer], "answer_start": [context.index(answer)]}
        question = rng.choice(sentences)
        rows.append(
            {"id": str(index), "title": "", "context": context, "question": question}
            | {"answers": gold}
        )
    return rows


def write(path: Path, rows: list[dict[str, object]], encoding: str) -> Path:
    """Write rows as the file's name says."""
    if ".csv" in path.name:
        with path.open("w", newline="", encoding=encoding) as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            cells = ({**row, "answers": json.dumps(row["answers"])} for row in rows)
            writer.writerows(cells)
        return path
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = lines if ".jsonl" in path.name else json.dumps({"data": rows}, ensure_ascii=False)
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("encoding", SENTENCES)
@pytest.mark.parametrize("name", ["x.json", "x.jsonl", "x.csv", "x.jsonl.gz"])
def test_an_encoding_is_guessed_and_the_guess_is_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str, name: str
) -> None:
    for seed, number in enumerate((2, 5, 40)):
        rows = rows_of(SENTENCES[encoding], number, seed)
        path = write(tmp_path / name, rows, encoding)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert load_examples(path).to_list() == rows
        assert "which is a guess" in caplog.text
        assert f"iconv -f ITS-ENCODING -t UTF-8 {name}" in caplog.text


@pytest.mark.parametrize(
    "text",
    ["Fica até lá", "Où est né Émile ?", "Größe", "¿Cuándo nació?", "Perché è così", "Så är det"],
)
def test_a_few_accents_among_letters_are_latin(tmp_path: Path, text: str) -> None:
    """So little says nothing of frequencies: "é" was read as the Cyrillic "й"."""
    gold = {"text": [text], "answer_start": [0]}
    row = {"id": "1", "title": "", "context": text, "question": "?", "answers": gold}
    for name in ("x.csv", "x.json"):
        assert load_examples(write(tmp_path / name, [row], "cp1252")).to_list() == [row]


@pytest.mark.parametrize("encoding", ["gbk", "big5", "shift_jis", "euc_kr", "cp1252", "iso8859_9"])
def test_no_guess_is_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str
) -> None:
    """So little says nothing sure: right or wrong, the file is named, with what it became."""
    for seed in range(20):
        rng = random.Random(seed)
        text = SENTENCES[encoding]
        start = rng.randrange(len(text) - 4)
        context = text[start : start + rng.randint(1, 4)] + "x"
        if context.isascii():
            continue
        row = {
            "id": "1",
            "context": context,
            "question": "?",
            "answers": {"text": ["x"], "answer_start": [0]},
        }
        path = write(tmp_path / "x.jsonl", [row], encoding)
        caplog.clear()
        found = told = ""
        try:
            with caplog.at_level(logging.WARNING):
                found = load_examples(path)["context"][0]
        except InputError as error:
            told = str(error)
        assert found == context or str(path) in told + caplog.text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_file_that_tells_its_encoding_is_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str
) -> None:
    for language, name in zip(SENTENCES, ["x.json", "x.jsonl", "x.csv"] * 5, strict=False):
        rows = rows_of(SENTENCES[language], 3, 0)
        path = write(tmp_path / name, rows, encoding)
        with caplog.at_level(logging.WARNING):
            assert load_examples(path).to_list() == rows
    assert "guess" not in caplog.text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_without_a_mark(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str
) -> None:
    for language, name in zip(SENTENCES, ["x.json", "x.jsonl", "x.csv"] * 5, strict=False):
        rows = rows_of(SENTENCES[language], 3, 0)
        path = write(tmp_path / name, rows, encoding)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert load_examples(path).to_list() == rows
        assert f"read as {encoding.upper()}, which is a guess" in caplog.text


def test_damaged_utf8_is_not_guessed_at(tmp_path: Path) -> None:
    for seed, language in enumerate(SENTENCES):
        rows = rows_of(SENTENCES[language], 20, seed)
        data = write(tmp_path / "x.jsonl", rows, "utf-8").read_bytes().split(b"\n")
        place = next(i for i, byte in enumerate(data[7]) if byte > 127)
        data[7] = data[7][:place] + b"\xff" + data[7][place + 1 :]
        (tmp_path / "x.jsonl").write_bytes(b"\n".join(data))
        with pytest.raises(InputError, match=rf"it is, but for line 8, byte {place + 1} \(0xff\)"):
            load_examples(tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_bytes(b"\xef\xbb\xbf{\xff}")
    with pytest.raises(InputError, match="no encoding that is known here, or damaged"):
        load_examples(tmp_path / "x.jsonl")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    rng = random.Random(0)
    for name in ("x.json", "x.jsonl", "x.csv"):
        path = tmp_path / name
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + rng.randbytes(5_000))
        with pytest.raises(InputError, match=name):
            load_examples(path)
