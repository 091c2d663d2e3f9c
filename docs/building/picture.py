"""Make the picture of answers in a document: ``python docs/building/picture.py runs/demo``.

What a notebook shows of a run's answers on a document of the demo's test split, as Chromium
draws it.
"""

import argparse
import subprocess
import tempfile
from html import escape
from pathlib import Path
from typing import Final

from qa_lightning import QuestionAnswerer
from qa_lightning.demo import demo_rows

PICTURE: Final = Path(__file__).resolve().parents[1] / "figures" / "answer.png"
DOCUMENT: Final = 4
SIZE: Final = (900, 470)
STYLE: Final = (
    "body{font:15px/1.5 sans-serif;color:#263238;background:#fff;margin:1rem 1.4rem}"
    "body{max-width:840px} ol{list-style:none;padding:0;margin:.1rem 0 1rem}"
    "p{color:#78909c;margin:0 0 .8rem;font-size:90%}"
)


def page(checkpoint: str) -> str:
    """Return the answers to three questions on one document, as HTML."""
    rows = demo_rows("test")
    context = list(dict.fromkeys(row["context"] for row in rows))[DOCUMENT]
    asked = [row for row in rows if row["context"] == context][:3]
    answerer = QuestionAnswerer.from_checkpoint(checkpoint)
    answers = answerer.answer_questions([row["question"] for row in asked], context)
    found = "".join(answer._repr_html_() for answer in answers)
    about = f"A document of {len(context.split())} words that the network has never seen."
    return f"<meta charset=utf-8><style>{STYLE}</style><p>{escape(about)}</p>{found}"


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="a run of configs/demo.yaml")
    parser.add_argument("--browser", default="chromium")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers.html"
        file.write_text(page(given.checkpoint), "utf-8")
        size = ",".join(str(length) for length in SIZE)
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--window-size={size}"]
        command = [given.browser, *options, f"--screenshot={PICTURE}", f"file://{file}"]
        subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
