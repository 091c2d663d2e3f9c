"""What is seen of the page: Gradio's parts, and their words in either language."""

from html import escape
from importlib import resources
from typing import Any, Final

import gradio as gr

from qa_lightning.app.samples import SAMPLES
from qa_lightning.app.words import LANGUAGES, WORDS

KEPT_SECONDS: Final = 3_600  # of uploaded files
# Gradio has no part that saves a text to the visitor's disk.
_SAVE: Final = """
watch('value', () => {
  if (!props.value) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([props.value.text], { type: props.value.type }));
  link.download = props.value.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});
"""


def resource(name: str) -> str:
    """Return the text of a file beside this one."""
    return (resources.files("qa_lightning.app") / name).read_text(encoding="utf-8")


class Parts:
    """Lay out what is seen."""

    def __init__(self, name: str) -> None:
        self.name = name
        words = WORDS["en"]
        self.session = gr.State(None)  # Gradio lets it go when the visitor has left
        with gr.Row(elem_classes="qa-top"):
            self.heading = gr.HTML(_heading("en", name), scale=4)
            self.language = gr.Radio(
                list(LANGUAGES.items()),
                value="en",
                label="Idioma · Language",
                show_label=False,
                container=False,
                scale=1,
                min_width=220,
                elem_classes="qa-languages",
            )
        with gr.Row():
            self._opening(words)
            self._asking(words)
        self.message = gr.HTML("", elem_classes="qa-message")
        self.saver = gr.HTML(None, html_template="", js_on_load=_SAVE, elem_classes="qa-hidden")
        self.reader = gr.HTML(
            html_template=resource("reader.html"),
            js_on_load=resource("reader.js"),
            apply_default_css=False,
            documents=[],
            result=None,
            history=[],
            words=words,
        )

    def _opening(self, words: dict[str, str]) -> None:
        with gr.Column(min_width=280), gr.Tabs():
            with gr.Tab(words["file"]) as self.file_tab:
                self.files = gr.File(
                    label=words["files"],
                    file_count="multiple",
                    height=130,
                    elem_classes="qa-files",
                )
            with gr.Tab(words["paste"]) as self.paste_tab:
                self.text = gr.Textbox(label=words["text"], lines=3, max_lines=6)
                self.add = gr.Button(words["add"])

    def _asking(self, words: dict[str, str]) -> None:
        with gr.Column(min_width=280, scale=2):
            with gr.Row(elem_classes="qa-asking"):
                self.question = gr.Textbox(
                    label=words["question"],
                    placeholder=words["placeholder"],
                    max_lines=3,
                    scale=5,
                )
                self.ask = gr.Button(words["ask"], variant="primary", scale=1, min_width=110)
            with gr.Row(visible=False, elem_classes="qa-asking") as self.locked:
                self.password = gr.Textbox(label=words["password"], type="password", scale=4)
                self.unlock = gr.Button(words["unlock"], scale=1, min_width=110)
            self.samples_label = gr.HTML(_small(words["samples"]), elem_classes="qa-label")
            with gr.Row(elem_classes="qa-samples"):
                self.samples = [
                    gr.Button(one.question, size="sm", min_width=150) for one in SAMPLES
                ]

    def in_language(self, language: str) -> list[Any]:
        """Return what changes with the language, in the order of ``named``."""
        words = WORDS[language]
        return [
            gr.HTML(_heading(language, self.name)),
            gr.Tab(label=words["file"]),
            gr.File(label=words["files"]),
            gr.Tab(label=words["paste"]),
            gr.Textbox(label=words["text"]),
            gr.Button(words["add"]),
            gr.Textbox(label=words["question"], placeholder=words["placeholder"]),
            gr.Button(words["ask"]),
            gr.Button(words["unlock"]),
            gr.HTML(_small(words["samples"])),
            gr.HTML(words=words),
            gr.HTML(""),
        ]

    @property
    def named(self) -> list[Any]:
        """The parts that have words."""
        return [
            *(self.heading, self.file_tab, self.files, self.paste_tab, self.text, self.add),
            *(self.question, self.ask, self.unlock, self.samples_label, self.reader, self.message),
        ]


def _heading(language: str, name: str) -> str:
    words = WORDS[language]
    about = words["about"].format(name=name)
    return f'<h1 lang="{language}" style="font-size:1.4rem">{escape(words["title"])}</h1>' + _small(
        about
    )


def _small(text: str) -> str:
    return f'<p style="margin:0;font-size:.9rem;opacity:.8">{escape(text)}</p>'
